"""A model of the journal and its readers: whatever happens, and wherever the daemon is killed, the log holds.

Rules emit, commit, let deltas merge, read, follow, pause, and kill; the model is lists of bytes. A kill is
the files as they lie on the disk at some moment of a transaction, opened by a new journal; the old one is
abandoned. Pruning settled deltas is not modelled: the daemon does not prune yet.

The invariants are those a user is promised: places 1 to n without a hole, the same bytes for ever; a
follower gets a slice from its cursor on, once; what anybody got was stored; merged text is what was
emitted; a snapshot and what follows give the same view as the whole log.

`HOLDFAST_MODEL_EXAMPLES` sets how many histories are tried.
"""

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_world import Gate, Kept, TappedStore, World, check_log, limits, notice, open_sqlite, running
from outlets import WAIT_S, FakeOutlet, Follower

from holdfast_daemon.config import HubLimits
from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.hub.hub import Channel, Hub
from holdfast_daemon.hub.subscription import Pace
from holdfast_daemon.journal.store import Append, EventRow
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.view import Snapshot, View, fold

EXAMPLES = int(os.environ.get("HOLDFAST_MODEL_EXAMPLES", "25"))

NAMES = ("a", "b")

FILTERS = (
    Filter(),
    Filter(deltas=False),
    Filter(types=frozenset({"notice"})),
    Filter(types=frozenset({"token_delta", "content_block_end"})),
)

SETTINGS = limits(
    merged_delta_bytes_max=40, checkpoint_bytes=20_000, truncate_bytes=60_000, transaction_events_max=16
)

HUB = HubLimits(ring_bytes_max=600, batch_bytes_max=300, page_events_max=3)


class Live:
    """A session in a running daemon."""

    def __init__(self, kept: Kept, channel: Channel) -> None:
        self.kept = kept
        self.log = kept.log
        self.channel = channel


class Daemon:
    """A journal and a hub on one directory, from start to kill. All methods run in its loop."""

    def __init__(self, directory: Path, durable: dict[str, int]) -> None:
        self.directory = directory
        self.store = TappedStore(open_sqlite(directory, SETTINGS))
        self.store.after = self._stored
        self.lives: dict[str, Live] = {}
        self.durable = durable
        self._names: dict[int, str] = {}
        self.world: World
        self.hub: Hub

    async def run(self, ready: Callable[[], None], stop: anyio.Event) -> None:
        async with running(self.store, SETTINGS) as self.world:
            self.hub = Hub(self.world.journal, HUB)
            async with self.hub.running():
                ready()
                await stop.wait()

    def _stored(self, appends: Sequence[Append]) -> None:
        for append in appends:
            if append.rows and append.session in self._names:
                self.durable[self._names[append.session]] = append.rows[-1].seq

    async def load(self, name: str) -> None:
        row = await self.world.journal.query(self.store.find_session, name)
        self._enter(name, await (self.world.load(name) if row else self.world.session(name)))

    def _enter(self, name: str, kept: Kept) -> None:
        channel = self.hub.open(kept.log)
        kept.owner.on_committed = lambda committed: self.hub.publish(channel, committed)
        self.lives[name] = Live(kept, channel)
        self._names[kept.log.key] = name
        self.durable[name] = kept.log.head

    async def emit(self, name: str, *group: events.Event) -> None:
        for event in group:
            await self.world.journal.emit(self.lives[name].log, event)

    async def commit(self, name: str, *group: events.Event) -> None:
        await self.world.journal.commit(self.lives[name].log, *group)

    async def emit_together(self, name: str, gate: Gate, group: Sequence[events.Event]) -> None:
        """Emit while a transaction is held up, so that deltas merge."""
        gate.close()
        self.store.before = gate
        log = self.lives[name].log
        await self.world.journal.emit(log, notice("first"))
        await gate.reached()
        await self.emit(name, *group)
        gate.open()
        await self.world.journal.flushed(log)

    async def flush(self) -> None:
        for live in self.lives.values():
            await self.world.journal.flushed(live.log)

    async def stored(self, name: str) -> list[EventRow]:
        return await self.world.stored(self.lives[name].log)

    async def copy(self, to: Path) -> None:
        """Copy the files as they are between two transactions."""
        await self.world.on_writer(lambda: shutil.copytree(self.directory, to))

    async def copy_within(self, to: Path, when: str, name: str, group: Sequence[events.Event]) -> None:
        """Copy the files just before or just after a transaction, before anybody hears of it."""
        done = anyio.Event()

        def copy(_appends: Sequence[Append]) -> None:
            if not to.exists():
                shutil.copytree(self.directory, to)

        await self.flush()
        if when == "before":
            self.store.before = copy
        else:
            stored = self.store.after

            def store_and_copy(appends: Sequence[Append]) -> None:
                stored(appends)
                copy(appends)

            self.store.after = store_and_copy
        del done
        await self.commit(name, *group)
        await self.flush()


class Block(NamedTuple):
    """A block that is open, and its text as it was emitted."""

    block_id: str
    text: str


class Client(NamedTuple):
    """A connection that follows one session."""

    outlet: FakeOutlet
    follower: Follower
    name: str
    after: int
    wanted: Filter


class Model(RuleBasedStateMachine):
    """The rules."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.home = Path(tempfile.mkdtemp(prefix="hf"))
        self.stack.callback(shutil.rmtree, self.home)
        self.portal = self.stack.enter_context(start_blocking_portal())
        self.seen: dict[str, dict[int, bytes]] = defaultdict(dict)  # Every byte anybody ever read.
        self.durable: dict[str, int] = {}
        self.snapshots: list[tuple[str, Snapshot]] = []
        self.blocks: dict[str, Block] = {}
        self.clients: list[Client] = []
        self.turn = 0
        self.daemon: Daemon
        self.stop: anyio.Event
        self.ended: Any = None

    # The daemon's life ---------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        (self.home / "0").mkdir()
        self._start(self.home / "0")
        for name in NAMES:
            self._call(
                self.daemon.commit, name, events.RunStarted(run_id="r1", prompt_id="p", agent="c", model="m")
            )

    @rule(
        name=st.sampled_from(NAMES),
        when=st.sampled_from(["between", "before", "after"]),
        text=st.text(max_size=3),
    )
    def kill(self, name: str, when: str, text: str) -> None:
        """Kill the daemon at a moment of its work and start another on what is on the disk."""
        to = self._next_directory()
        published = {name: live.log.head for name, live in self.daemon.lives.items()}
        if when == "between":
            self._call(self.daemon.copy, to)
        else:
            self._call(self.daemon.copy_within, to, when, name, [notice(text), notice("two")])
            self._note_all()
            if when == "before":  # Nobody had heard of the last two: they never were.
                head = self.daemon.lives[name].log.head
                for seq in (head - 1, head):
                    self.seen[name].pop(seq, None)
                published = None
        self._stop()
        self._forget_unstored(name if published is None else None)
        self._start(to)
        for name_, head in (published or {}).items():
            assert self.daemon.lives[name_].log.head >= head, "something published is gone"
        self._reconnect()

    @rule()
    def restart(self) -> None:
        self._call(self.daemon.flush)
        self._stop()
        self._start(self.daemon.directory)
        self._reconnect()

    # Writing -------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), texts=st.lists(st.text(max_size=5), max_size=4))
    def emit(self, name: str, texts: list[str]) -> None:
        self._call(self.daemon.emit, name, *(notice(text) for text in texts))

    @rule(name=st.sampled_from(NAMES), texts=st.lists(st.text(max_size=5), min_size=1, max_size=3))
    def commit(self, name: str, texts: list[str]) -> None:
        self._call(self.daemon.commit, name, *(notice(text) for text in texts))

    @rule(name=st.sampled_from(NAMES))
    def open_block(self, name: str) -> None:
        if name in self.blocks:
            return
        self.turn += 1
        block_id = f"b{self.turn}"
        start = events.ContentBlockStart(run_id="r1", block_id=block_id, message_id="m", step=1, kind="text")
        self.blocks[name] = Block(block_id, "")
        self._call(self.daemon.commit, name, start)

    @rule(
        name=st.sampled_from(NAMES),
        texts=st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=9),
        merge=st.booleans(),
    )
    def stream(self, name: str, texts: list[str], merge: bool) -> None:
        block = self.blocks.get(name)
        if block is None:
            return
        deltas = []
        for text in texts:
            deltas.append(self._delta(block, text))
            block = block._replace(text=block.text + text)
        self.blocks[name] = block
        if merge:
            self._call(self.daemon.emit_together, name, Gate(), deltas)
        else:
            self._call(self.daemon.emit, name, *deltas)

    @rule(name=st.sampled_from(NAMES))
    def close_block(self, name: str) -> None:
        block = self.blocks.pop(name, None)
        if block is not None:
            end = events.ContentBlockEnd(
                run_id="r1", block_id=block.block_id, message_id="m", step=1, kind="text", text=block.text
            )
            self._call(self.daemon.commit, name, end)

    # Reading -------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), part=st.floats(0, 1), limit=st.integers(1, 5), back=st.booleans())
    def read(self, name: str, part: float, limit: int, back: bool) -> None:
        log = self.daemon.lives[name].log
        cursor = int(log.head * part)
        journal = self.daemon.world.journal
        if back:
            page = self._call(lambda: journal.read_back(log, cursor + 1, limit=limit, bytes_max=500))
        else:
            page = self._call(lambda: journal.read(log, cursor, limit=limit, bytes_max=500))
        assert page.last <= log.head
        self._note(name, page.rows)

    @rule(name=st.sampled_from(NAMES))
    def take_snapshot(self, name: str) -> None:
        snapshot = self._call_sync(self.daemon.lives[name].kept.owner.view.snapshot)
        self.snapshots.append((name, snapshot))

    # Following -----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.clients) < 4)
    @rule(name=st.sampled_from(NAMES), part=st.sampled_from([0.0, 0.5, 1.0]), wanted=st.sampled_from(FILTERS))
    def subscribe(self, name: str, part: float, wanted: Filter) -> None:
        self._call_sync(self._subscribe, name, None, part, wanted)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self._call_sync(setattr, client.outlet, "paused", True)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self._call_sync(self._resume, client)

    # Invariants ----------------------------------------------------------------------------------------

    @invariant()
    def nobody_got_what_was_not_stored(self) -> None:
        """It is asserted at each write; a failure there ends the daemon, which is noticed here."""
        if self.ended is not None and self.ended.done():
            self.ended.result()

    def teardown(self) -> None:
        try:
            if self.ended is not None:
                self._call(self.daemon.flush)
                self._call(self._catch_up)
                self._note_all()
                self._check_text()
                self._check_snapshots()
                for client in self.clients:
                    self._check_client(client)
                self._stop()
        finally:
            self.stack.close()

    # How -------------------------------------------------------------------------------------------------

    def _start(self, directory: Path) -> None:
        self.portal.call(self._open, directory)
        ready = self.portal.call(anyio.Event)
        self.stop = self.portal.call(anyio.Event)
        self.ended = self.portal.start_task_soon(self.daemon.run, ready.set, self.stop)
        self._call(ready.wait)
        for name in NAMES:
            self._call(self.daemon.load, name)
        self._note_all()

    async def _open(self, directory: Path) -> None:
        self.daemon = Daemon(directory, self.durable)

    def _stop(self) -> None:
        self.portal.call(self.stop.set)
        self.ended.result(WAIT_S)

    def _next_directory(self) -> Path:
        self.turn += 1
        return self.home / str(self.turn)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(WAIT_S):
                return await function(*args)

        return self.portal.call(bounded)

    def _call_sync(self, function: Callable[..., Any], *args: Any) -> Any:
        async def call() -> Any:
            return function(*args)

        return self.portal.call(call)

    @staticmethod
    def _delta(block: Block, text: str) -> events.TokenDelta:
        return events.TokenDelta(run_id="r1", block_id=block.block_id, offset=len(block.text), text=text)

    def _note(self, name: str, rows: Sequence[EventRow]) -> None:
        """Take note of what was read; it must be what it was at every read before."""
        for row in rows:
            assert self.seen[name].setdefault(row.seq, row.body) == row.body

    def _note_all(self) -> None:
        for name, live in self.daemon.lives.items():
            rows = self._call(self.daemon.stored, name)
            check_log(rows, len(rows))
            assert len(rows) >= live.log.head
            self._note(name, rows)

    def _forget_unstored(self, _name: str | None) -> None:
        """The daemon is dead: deltas that were not committed are gone, and blocks end where the log does."""
        self.blocks.clear()

    def _subscribe(self, name: str, cursor: int | None, part: float, wanted: Filter) -> None:
        live = self.daemon.lives[name]
        after = int(live.log.head * part) if cursor is None else cursor
        live.log.check_cursor(after, live.log.epoch)
        outlet = FakeOutlet()
        self.daemon.hub.attach(outlet)
        start = self.daemon.hub.subscribe(live.channel, outlet, after=after, wanted=wanted, on_lag="catch_up")
        follower = outlet.follow(name, after)
        client = Client(outlet, follower, name, after, wanted)
        outlet.on_write = lambda _frame: self._check_stored(client)
        self.clients.append(client)
        start()

    def _check_stored(self, client: Client) -> None:
        """Whatever a client is about to get is in the store by now."""
        assert client.follower.cursor <= self.durable[client.name]

    def _resume(self, client: Client) -> None:
        client.outlet.read()
        self.daemon.hub.resume(client.outlet)

    def _reconnect(self) -> None:
        """Each client comes back with its cursor, which must still be one."""
        before, self.clients = self.clients, []
        for client in before:
            self._check_client(client)
            self._call_sync(self._subscribe, client.name, client.follower.cursor, 0.0, client.wanted)

    async def _catch_up(self) -> None:
        written = anyio.Event()
        for client in self.clients:
            client.outlet.on_write = lambda _frame: written.set()
        while True:
            written = anyio.Event()
            for client in self.clients:
                self._resume(client)
            subscriptions = [
                (live.log, item)
                for live in self.daemon.lives.values()
                for item in live.channel.subscriptions.values()
            ]
            if all(item.pace is Pace.LIVE and item.position == log.head for log, item in subscriptions):
                return
            await written.wait()

    def _check_client(self, client: Client) -> None:
        """It got what it wanted of a slice of the log, each event once, in the bytes that are stored."""
        expected = []
        for seq in range(client.after + 1, client.follower.cursor + 1):
            event = events.decode(self.seen[client.name][seq])
            stream = getattr(event, "block_id", None) if isinstance(event, events.TokenDelta) else None
            if client.wanted.passes(seq, events.type_of(event), stream):
                expected.append(seq)
        assert client.follower.seqs == expected
        frames = b"".join(client.outlet.frames)
        assert all(self.seen[client.name][seq] in frames for seq in expected)

    def _check_text(self) -> None:
        for name in NAMES:
            rows = self._call(self.daemon.stored, name)
            texts: dict[str, str] = defaultdict(str)
            for row in rows:
                event = events.decode(row.body)
                if isinstance(event, events.TokenDelta):
                    assert event.offset == len(texts[event.block_id])
                    texts[event.block_id] += event.text
                elif isinstance(event, events.ContentBlockEnd):
                    assert event.text == texts[event.block_id]
            block = self.blocks.get(name)
            assert block is None or texts[block.block_id] == block.text

    def _check_snapshots(self) -> None:
        logs = {
            name: [events.decode(row.body) for row in self._call(self.daemon.stored, name)] for name in NAMES
        }
        for name, snapshot in self.snapshots:
            assert fold(snapshot, logs[name][snapshot.head :]) == fold(None, logs[name])
        for name, live in self.daemon.lives.items():
            assert live.kept.owner.view.snapshot() == fold(None, logs[name])


TestJournalModel = Model.TestCase
TestJournalModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None)


def test_the_model_knows_the_daemons_types() -> None:
    """Were these to move, the model would have to follow."""
    assert issubclass(StorageUnavailable, Exception)
    assert View().head == 0
