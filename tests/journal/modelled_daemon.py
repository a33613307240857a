"""A journal and a hub on one directory, from start to kill, as the model of the journal drives them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
from journal_world import Gate, Kept, TappedStore, World, notice, open_sqlite, running

from holdfast_daemon.config import HubLimits, JournalLimits
from holdfast_daemon.hub.hub import Channel, Hub
from holdfast_daemon.journal.store import Append, EventRow
from holdfast_protocol import events


class Live:
    """A loaded session with its channel."""

    def __init__(self, kept: Kept, channel: Channel) -> None:
        self.kept = kept
        self.log = kept.log
        self.channel = channel


class ModelledDaemon:
    """All methods but the constructor run in its loop.

    Attributes:
        durable: the last event of each session that is known to be stored.
    """

    def __init__(self, directory: Path, limits: JournalLimits, hub_limits: HubLimits) -> None:
        self.directory = directory
        self.lives: dict[str, Live] = {}
        self.durable: dict[str, int] = {}
        self.world: World
        self.hub: Hub
        self._limits = limits
        self._hub_limits = hub_limits
        self._names: dict[int, str] = {}
        self._store: TappedStore

    async def run(self, ready: Callable[[], None], stop: anyio.Event) -> None:
        self._store = TappedStore(open_sqlite(self.directory, self._limits))
        self._store.after = self._stored
        async with running(self._store, self._limits) as self.world:
            self.hub = Hub(self.world.journal, self._hub_limits)
            async with self.hub.running():
                ready()
                await stop.wait()

    async def load(self, name: str) -> None:
        """Load a session, or make it."""
        row = await self.world.journal.query(self._store.find_session, name)
        kept = await (self.world.load(name) if row else self.world.session(name))
        channel = self.hub.open(kept.log)
        kept.owner.on_committed = lambda committed: self.hub.publish(channel, committed.rows, committed.bytes)
        self.lives[name] = Live(kept, channel)
        self._names[kept.log.key] = name
        self.durable[name] = kept.log.head

    async def emit(self, name: str, *group: events.Event) -> None:
        for event in group:
            await self.world.journal.emit(self.lives[name].log, event)

    async def emit_together(self, name: str, *group: events.Event) -> None:
        """Emit while a transaction is held up, so that deltas merge."""
        gate = Gate()
        gate.close()
        self._store.before = gate
        log = self.lives[name].log
        await self.world.journal.emit(log, notice("first"))
        await gate.reached()
        await self.emit(name, *group)
        gate.open()
        await self.world.journal.flushed(log)

    async def commit(self, name: str, *group: events.Event) -> None:
        await self.world.journal.commit(self.lives[name].log, *group)

    async def flush(self) -> None:
        for live in self.lives.values():
            await self.world.journal.flushed(live.log)

    async def stored(self, name: str) -> list[EventRow]:
        return await self.world.stored(self.lives[name].log)

    async def die(self, to: Path, when: str, name: str, *group: events.Event) -> dict[str, int]:
        """Copy the files as they lie at some moment; from then on nobody hears of this daemon.

        Args:
            to: where the next daemon finds them.
            when: `between` two transactions, or `before` or `after` one is stored.
            name: of the session that is being written.
            group: what is being written.

        Returns:
            The heads as they were published by then.
        """
        gate = Gate()
        gate.close()

        def copy_and_hold(_appends: Sequence[Append] = ()) -> None:
            if not to.exists():
                shutil.copytree(self.directory, to)
                gate()

        def note_and_hold(appends: Sequence[Append]) -> None:
            self._stored(appends)
            copy_and_hold()

        async with anyio.create_task_group() as tasks:
            if when == "between":
                tasks.start_soon(self.world.on_writer, copy_and_hold)
            elif when == "before":
                self._store.before = copy_and_hold
            else:
                await self.flush()  # So that the next transaction is this one.
                self._store.after = note_and_hold
            self.world.journal.emit_nowait(self.lives[name].log, *group)
            await gate.reached()
            heads = {name: live.log.head for name, live in self.lives.items()}
            for live in self.lives.values():
                live.kept.owner.on_committed = lambda _committed: None
                self.hub.close(live.channel)
            gate.open()
        return heads

    def _stored(self, appends: Sequence[Append]) -> None:
        for append in appends:
            if append.rows:
                self.durable[self._names[append.session]] = append.rows[-1].seq
