"""A model of the journal and its readers: whatever happens, and wherever the daemon is killed, the log holds.

Rules emit, commit, let deltas merge, read, follow, pause, and kill; the model is dicts of bytes. A kill is
the files as they lie on the disk at some moment of a transaction, opened by a new daemon; the old one is
abandoned. Pruning settled deltas is not modelled: the daemon does not prune yet.

The invariants are those a user is promised: places 1 to n without a hole, the same bytes for ever; a
follower gets a slice from its cursor on, once; what anybody got was stored; merged text is what was
emitted; a snapshot and what follows give the same view as the whole log.

`HOLDFAST_MODEL_EXAMPLES` sets how many histories are tried.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_world import check_log, limits, notice
from modelled_daemon import ModelledDaemon
from outlets import WAIT_S, FakeOutlet, Follower

from fakes.home import temporary_home
from holdfast_daemon.config import HubLimits
from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.hub.subscription import Pace
from holdfast_daemon.journal.store import EventRow
from holdfast_protocol import events
from holdfast_protocol.view import Snapshot, fold

EXAMPLES = int(os.environ.get("HOLDFAST_MODEL_EXAMPLES", "40"))

NAMES = ("a", "b")

NAME = st.sampled_from(NAMES)

FILTERS = (
    Filter(),
    Filter(deltas=False),
    Filter(types=frozenset({"notice"})),
    Filter(types=frozenset({"token_delta", "content_block_end"})),
)

RUN_STARTED = events.RunStarted(run_id="r1", prompt_id="p", agent="c", model="m")

# Small, so that short histories reach every limit.
JOURNAL = limits(
    merged_delta_bytes_max=40, checkpoint_bytes=20_000, truncate_bytes=60_000, transaction_events_max=16
)
HUB = HubLimits(ring_bytes_max=600, batch_bytes_max=300, page_events_max=3)


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
        self.home = self.stack.enter_context(temporary_home()).path
        self.portal = self.stack.enter_context(start_blocking_portal())
        self.seen: dict[str, dict[int, bytes]] = defaultdict(dict)  # All that was ever read of a log.
        self.snapshots: list[tuple[str, Snapshot]] = []
        self.blocks: dict[str, Block] = {}
        self.clients: list[Client] = []
        self.serial = 0  # Names directories and blocks.
        self.daemon: ModelledDaemon
        self.stop: anyio.Event
        self.running: Any = None  # The daemon's task.

    # The daemon's life ---------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        (self.home / "0").mkdir()
        self._start(self.home / "0")
        for name in NAMES:
            self._call(self.daemon.commit, name, RUN_STARTED)

    @rule(name=NAME, when=st.sampled_from(["between", "before", "after"]), text=st.text(max_size=3))
    def kill(self, name: str, when: str, text: str) -> None:
        """Kill the daemon at a moment of its work and start another on what is on the disk."""
        self.serial += 1
        to = self.home / str(self.serial)
        published = self._call(self.daemon.die, to, when, name, notice(text), notice("two"))
        self._stop()
        self.blocks.clear()  # Their last deltas may be gone, and nobody goes on with them.
        self._start(to)
        for session, head in published.items():
            found = self.daemon.lives[session].log.head
            assert found >= head, "something published is gone"
            assert when != "before" or found == head, "something is there that was never stored"
            assert when != "after" or session != name or found == head + 2
        self._reconnect()

    @rule()
    def restart(self) -> None:
        self._stop()
        self._start(self.daemon.directory)
        self._reconnect()

    # Writing -------------------------------------------------------------------------------------------

    @rule(name=NAME, texts=st.lists(st.text(max_size=5), max_size=4))
    def emit(self, name: str, texts: list[str]) -> None:
        self._call(self.daemon.emit, name, *(notice(text) for text in texts))

    @rule(name=NAME, texts=st.lists(st.text(max_size=5), min_size=1, max_size=3))
    def commit(self, name: str, texts: list[str]) -> None:
        self._call(self.daemon.commit, name, *(notice(text) for text in texts))

    @rule(name=NAME)
    def open_block(self, name: str) -> None:
        if name in self.blocks:
            return
        self.serial += 1
        block_id = f"b{self.serial}"
        start = events.ContentBlockStart(run_id="r1", block_id=block_id, message_id="m", step=1, kind="text")
        self.blocks[name] = Block(block_id, "")
        self._call(self.daemon.commit, name, start)

    @rule(name=NAME, texts=st.lists(st.text(min_size=1, max_size=9), max_size=9), merge=st.booleans())
    def stream(self, name: str, texts: list[str], merge: bool) -> None:
        block = self.blocks.get(name)
        if block is None:
            return
        deltas: list[events.Event] = []
        for text in texts:
            offset = len(block.text)
            deltas.append(events.TokenDelta(run_id="r1", block_id=block.block_id, offset=offset, text=text))
            block = block._replace(text=block.text + text)
        self.blocks[name] = block
        self._call(self.daemon.emit_together if merge else self.daemon.emit, name, *deltas)

    @rule(name=NAME)
    def close_block(self, name: str) -> None:
        block = self.blocks.pop(name, None)
        if block is not None:
            end = events.ContentBlockEnd(
                run_id="r1", block_id=block.block_id, message_id="m", step=1, kind="text", text=block.text
            )
            self._call(self.daemon.commit, name, end)

    # Reading -------------------------------------------------------------------------------------------

    @rule(name=NAME, part=st.floats(0, 1), limit=st.integers(1, 5), back=st.booleans())
    def read(self, name: str, part: float, limit: int, back: bool) -> None:
        log, journal = self.daemon.lives[name].log, self.daemon.world.journal
        cursor = int(log.head * part)
        if back:
            page = self._call(lambda: journal.read_back(log, cursor + 1, limit=limit, bytes_max=500))
        else:
            page = self._call(lambda: journal.read(log, cursor, limit=limit, bytes_max=500))
        assert page.last <= log.head
        self._note(name, page.rows)

    @rule(name=NAME)
    def take_snapshot(self, name: str) -> None:
        snapshot = self._call_sync(self.daemon.lives[name].kept.owner.view.snapshot)
        self.snapshots.append((name, snapshot))

    # Following -----------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.clients) < 4)
    @rule(name=NAME, part=st.sampled_from([0.0, 0.5, 1.0]), wanted=st.sampled_from(FILTERS))
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
    def the_daemon_is_up(self) -> None:
        """What clients assert as they are written to would have ended it."""
        if self.running is not None and self.running.done():
            self.running.result()

    def teardown(self) -> None:
        try:
            if self.running is not None:
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

    def _check_client(self, client: Client) -> None:
        """It got what it wanted of a slice of the log, each event once, in the bytes that are stored."""
        expected: list[int] = []
        for seq in range(client.after + 1, client.follower.cursor + 1):
            body = self.seen[client.name][seq]
            kind = str(msgspec.json.decode(body)["type"])
            if client.wanted.passes(EventRow(seq, kind, None, 0, body)):
                expected.append(seq)
        assert client.follower.seqs == expected
        frames = b"".join(client.outlet.frames)
        assert all(self.seen[client.name][seq] in frames for seq in expected)

    def _check_text(self) -> None:
        """What a block's deltas say together is what was emitted, and what its end says."""
        for name in NAMES:
            texts: dict[str, str] = defaultdict(str)
            for row in self._call(self.daemon.stored, name):
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

    # How -------------------------------------------------------------------------------------------------

    def _start(self, directory: Path) -> None:
        self.daemon = ModelledDaemon(directory, JOURNAL, HUB)
        ready, self.stop = self.portal.call(anyio.Event), self.portal.call(anyio.Event)
        self.running = self.portal.start_task_soon(self.daemon.run, ready.set, self.stop)
        self._call(ready.wait)
        for name in NAMES:
            self._call(self.daemon.load, name)
        self._note_all()

    def _stop(self) -> None:
        self.portal.call(self.stop.set)
        self.running.result(WAIT_S)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(WAIT_S):
                return await function(*args)

        return self.portal.call(bounded)

    def _call_sync(self, function: Callable[..., Any], *args: Any) -> Any:
        async def call() -> Any:
            return function(*args)

        return self.portal.call(call)

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

    def _subscribe(self, name: str, cursor: int | None, part: float, wanted: Filter) -> None:
        daemon, live = self.daemon, self.daemon.lives[name]
        after = int(live.log.head * part) if cursor is None else cursor
        live.log.check_cursor(after, live.log.epoch)
        outlet = FakeOutlet()
        daemon.hub.attach(outlet)
        start = daemon.hub.subscribe(live.channel, outlet, after=after, wanted=wanted, on_lag="catch_up")
        follower = outlet.follow(name, after)
        self.clients.append(Client(outlet, follower, name, after, wanted))

        def check_stored(frame: bytes) -> None:
            """Whatever a client is about to get is in the store by now."""
            covered = frame.partition(b'"to":')[2].partition(b",")[0]
            assert int(covered or 0) <= daemon.durable[name]

        outlet.on_write = check_stored
        start()

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
        """Let every client read until it is at the head."""
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


TestJournalModel = Model.TestCase
TestJournalModel.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
TestJournalModel.pytestmark = pytest.mark.timeout(400)  # A failing history is made short before it is shown.
