"""A journal on any store, owners that keep what they are told, and a store that can be held up or refused."""

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import msgspec

from holdfast_daemon.config import JournalLimits
from holdfast_daemon.journal.ballast import Ballast
from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.journal.pending import Committed, Group, PendingEvents
from holdfast_daemon.journal.sqlite import SQLiteStore
from holdfast_daemon.journal.store import Append, EventRow, NewSession, Store, StoreError
from holdfast_protocol import events
from holdfast_protocol.events import SandboxInfo
from holdfast_protocol.view import View

WAIT_S = 10.0
"""The bound of every wait: far above what it takes, for the machine may be shared."""

STARTED = events.SessionStarted(cwd="/", agent="chat", model="m", sandbox=SandboxInfo(kind="none"))

Tap = Callable[[Sequence[Append]], None]


def limits(**changes: Any) -> JournalLimits:
    """Give the daemon's limits, but with no ballast and quick to try again after a fault."""
    defaults = JournalLimits(ballast_bytes=0, revive_interval_s=0.01)
    return msgspec.structs.replace(defaults, **changes)


def open_sqlite(directory: Path, settings: JournalLimits | None = None) -> SQLiteStore:
    settings = settings or limits()
    return SQLiteStore(
        directory,
        spill_bytes=settings.spill_bytes,
        checkpoint_bytes=settings.checkpoint_bytes,
        truncate_bytes=settings.truncate_bytes,
    )


# Events ------------------------------------------------------------------------------------------------


def notice(text: str = "", **fields: Any) -> events.Notice:
    return events.Notice(kind="test", message=text, **fields)


def delta(text: str, *, block: str = "b1", offset: int = 0, run: str | None = "r1") -> events.TokenDelta:
    return events.TokenDelta(run_id=run, block_id=block, offset=offset, text=text)


def output(text: str, *, call: str = "t1", offset: int = 0, run: str | None = "r1") -> events.ToolOutput:
    return events.ToolOutput(run_id=run, tool_call_id=call, offset=offset, text=text)


def notice_of(size: int) -> events.Notice:
    """Give an event whose JSON without its place takes `size` bytes."""
    bare = len(msgspec.json.encode(notice("")))
    return notice("x" * (size - bare))


class Placed(NamedTuple):
    """An event in its place, and its row."""

    event: events.Event
    row: EventRow


def pairs(committed: Committed) -> list[Placed]:
    return [Placed(*pair) for pair in zip(committed.events, committed.rows, strict=True)]


def place(*group: events.Event, head: int = 0) -> Committed:
    """Number events as the journal does."""
    pending = PendingEvents()
    pending.add(Group(group, awaited=True))
    taken = pending.take(0, head, 1, events_max=2**31, bytes_max=2**31, merged_bytes_max=0)
    return taken.committed


# Owners ------------------------------------------------------------------------------------------------


class Owner:
    """A session as the journal knows it: folds and keeps what it is handed."""

    def __init__(self) -> None:
        self.view = View()
        self.committed_events: list[Placed] = []
        self.batches: list[int] = []  # How many events came with each transaction.
        self.halts: list[str] = []
        self.revivals = 0
        self.on_committed: Callable[[Committed], None] = lambda _committed: None
        self._changed = anyio.Event()

    def committed(self, committed: Committed) -> None:
        for event in committed.events:
            self.view.apply(event)
        self.committed_events += pairs(committed)
        self.batches.append(len(committed.rows))
        self.on_committed(committed)
        self._change()

    def halted(self, kind: str) -> None:
        self.halts.append(kind)
        self._change()

    def revived(self) -> None:
        self.revivals += 1
        self._change()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something the journal told makes a condition true."""
        with anyio.fail_after(WAIT_S):
            while not condition():
                await self._changed.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [item.row.body for item in self.committed_events]

    @property
    def texts(self) -> list[str]:
        """What its notices and deltas say, in order."""
        return [_text(item.event) for item in self.committed_events if _text(item.event)]

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _text(event: Any) -> str:
    return event.message if isinstance(event, events.Notice) else getattr(event, "text", "")


class Kept:
    """A session's end of the log and its owner."""

    def __init__(self, log: SessionLog, owner: Owner) -> None:
        self.log = log
        self.owner = owner


class World:
    """A running journal and its sessions."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def session(self, name: str = "s") -> Kept:
        """Make a session; its log begins with `session_started`."""
        (first,) = pairs(place(STARTED))
        new = NewSession(name, f"epoch-{name}", "/", "chat", "m", None, "{}", 1)
        key = await self.journal.execute(self.journal.store.create_session, new, Append(0, [first.row], []))
        owner = Owner()
        owner.view.apply(first.event)
        owner.committed_events.append(first)
        return Kept(SessionLog(name, key, f"epoch-{name}", 1, owner), owner)

    async def load(self, name: str) -> Kept:
        """Load a session from the store, folding its log."""
        row = await self.journal.query(self.journal.store.find_session, name)
        assert row is not None
        owner = Owner()
        log = SessionLog(name, row.key, row.epoch, row.head, owner)
        for event_row in await self.stored(log):
            event = events.decode(event_row.body)
            owner.view.apply(event)
            owner.committed_events.append(Placed(event, event_row))
        return Kept(log, owner)

    async def stored(self, log: SessionLog) -> list[EventRow]:
        """Read all of a log from the store, also what was not handed over yet."""
        page = await self.journal.query(
            self.journal.store.read, log.key, 0, 2**31, limit=2**31, bytes_max=2**31
        )
        return page.rows

    async def on_writer(self, work: Callable[[], Any]) -> Any:
        """Run something on the writer thread, between two transactions."""
        return await self.journal.execute(work)


@asynccontextmanager
async def running(
    store: Store, settings: JournalLimits | None = None, *, ballast: Ballast | None = None
) -> AsyncIterator[World]:
    """Run a journal on a store."""
    journal = Journal(store, settings or limits(), ballast=ballast)
    async with journal.running():
        yield World(journal)


def check_log(rows: Sequence[EventRow], head: int) -> None:
    """Assert that a log is dense: 1 to its head, and each body says its place."""
    assert [row.seq for row in rows] == list(range(1, head + 1))
    for row in rows:
        assert row.body.startswith(b'{"seq":%d,"at":' % row.seq)


# Stores that can be held up or refused --------------------------------------------------------------------


class TappedStore:
    """A store with a tap before and after each append, on the writer thread. All else passes through."""

    def __init__(self, store: Store) -> None:
        self.inner = store
        self.before: Tap = lambda _appends: None
        self.after: Tap = lambda _appends: None
        self.before_probe: Callable[[], None] = lambda: None
        self.appended: list[list[Append]] = []  # Transactions that were stored.

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def append(self, appends: Sequence[Append]) -> None:
        self.before(appends)
        self.inner.append(appends)
        self.appended.append(list(appends))
        self.after(appends)

    def probe(self) -> None:
        self.before_probe()
        self.inner.probe()


class Gate:
    """Holds the thread that comes to it until the test opens it."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def close(self) -> None:
        self._reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def __call__(self, _appends: Sequence[Append] = ()) -> None:
        if not self._open.is_set():
            self._reached.set()
            assert self._open.wait(WAIT_S)

    async def reached(self) -> None:
        """Wait until a thread is held."""
        assert await anyio.to_thread.run_sync(self._reached.wait, WAIT_S)


class Fault:
    """Refuses appends: the next `times`, or those to one session only."""

    def __init__(self, kind: str = "io", *, times: int = 10**9, session: int | None = None) -> None:
        self.kind = kind
        self.left = times
        self.session = session
        self.refused = 0

    def __call__(self, appends: Sequence[Append]) -> None:
        if self.session is not None and all(append.session != self.session for append in appends):
            return
        if self.left > 0:
            self.left -= 1
            self.refused += 1
            raise StoreError(self.kind, "refused by the test")
