"""The journal: numbers events, commits them, and only then lets anybody see them.

    emit / commit → PendingEvents (per session) → pump → writer thread → `SessionLog.on_commit`

One pump task on the loop takes what is pending, sessions in turn, and hands one transaction at a time to
the writer thread. What is emitted meanwhile waits for the next one: group commit adapts by itself, without
a timer. After the sync the head moves and the session folds and publishes, in one step without an await:
nobody can see an event that is not durable, nor miss one that is seen.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import ParamSpec, Protocol, TypeVar

import anyio

from holdfast_daemon.config import JournalLimits
from holdfast_daemon.journal.ballast import Ballast
from holdfast_daemon.journal.pending import DELTAS, Committed, Group, PendingEvents, Rows, Taken, is_over
from holdfast_daemon.journal.serial_thread import SerialThread
from holdfast_daemon.journal.store import Bodies, Page, SessionKey, Store, StoreError
from holdfast_protocol import events
from holdfast_protocol.errors import CursorInvalid, StorageUnavailable, TooLarge
from holdfast_protocol.methods.daemon import JournalStatistics

P = ParamSpec("P")
T = TypeVar("T")


class LogOwner(Protocol):
    """The session a log belongs to. None of these may raise or wait."""

    def committed(self, committed: Committed) -> None:
        """Fold and publish events that are durable now; the head has moved to the last."""
        ...

    def halted(self, kind: str) -> None:
        """Stop: the log cannot be written."""
        ...

    def revived(self) -> None:
        """Writing works again; recover."""
        ...


class SessionLog:
    """One loaded session's end of the log. The journal changes it; others read.

    Attributes:
        head: the last event handed to the loop. Snapshots, cursor checks and pages see no further.
        oldest: the first event that can be read.
        halted: the kind of fault since which nothing is written; None in health.
        faults: how often it was halted; events that were pending then are lost.
    """

    def __init__(self, session_id: str, key: SessionKey, epoch: str, head: int, owner: LogOwner) -> None:
        self.session_id = session_id
        self.key = key
        self.epoch = epoch
        self.head = head
        self.oldest = 1
        self.owner = owner
        self.halted: str | None = None
        self.faults = 0
        self.pending = PendingEvents()
        self.writing = False  # A part of this log is in the transaction under way …
        self.in_flight = 0  # … and takes so many bytes.
        self._settlement: anyio.Event | None = None  # Made by who waits for the next one.
        self._hold: anyio.Event | None = None

    @property
    def uncommitted_bytes(self) -> int:
        """What was emitted and is not on disk."""
        return self.pending.bytes + self.in_flight

    @property
    def unsettled(self) -> bool:
        """Whether something waits or is being written; changes of rows alone have no bytes."""
        return self.writing or len(self.pending) > 0

    def has_space(self, bytes_max: int) -> bool:
        """Tell whether `wait_for_space` would return at once."""
        return self._hold is None and self.pending.bytes + self.in_flight < bytes_max

    def hold(self) -> None:
        """Make emitters wait: a blocking subscriber is behind. Whoever holds must release in bounded time."""
        self._hold = self._hold or anyio.Event()

    def release(self) -> None:
        """Let emitters go on."""
        if self._hold is not None:
            self._hold.set()
            self._hold = None

    def check(self) -> None:
        """Raise StorageUnavailable if the log is halted."""
        if self.halted is not None:
            raise StorageUnavailable(
                f"The session's log cannot be written ({self.halted}).",
                resource="session",
                id=self.session_id,
            )

    def check_cursor(self, cursor: int, epoch: str | None = None) -> None:
        """Raise CursorInvalid unless the log can be read on from `cursor`."""
        if epoch is not None and epoch != self.epoch:
            problem = "The cursor belongs to another epoch of this session."
        elif cursor > self.head:
            problem = f"The cursor {cursor} is beyond the head {self.head}."
        elif cursor < self.oldest - 1:
            problem = f"The cursor {cursor} is before the oldest event {self.oldest}."
        else:
            return
        raise self.cursor_invalid(problem)

    def cursor_invalid(self, problem: str, *, path: str | None = None) -> CursorInvalid:
        """Give the refusal of a cursor, with what there is to read."""
        return CursorInvalid(
            problem, id=self.session_id, head=self.head, oldest=self.oldest, epoch=self.epoch, path=path
        )

    async def wait_for_space(self, bytes_max: int) -> None:
        """Wait while more than `bytes_max` are uncommitted, or a blocking subscriber holds the session."""
        while self.halted is None:
            if self.uncommitted_bytes >= bytes_max:
                await self.next_settlement()
            elif self._hold is not None:
                await self._hold.wait()
            else:
                return

    async def next_settlement(self) -> None:
        """Wait until the next transaction with a part of this log has ended."""
        self._settlement = self._settlement or anyio.Event()
        await self._settlement.wait()

    def settled(self) -> None:
        """Wake those who wait for space; the journal calls it when a transaction has ended."""
        self.writing = False
        self.in_flight = 0
        if self._settlement is not None:
            self._settlement.set()
            self._settlement = None


class Journal:
    """The only writer of the log.

    Args:
        store: where it is kept; used on the journal's own threads only.
        limits: sizes of transactions and buffers.
        ballast: disk space to give back when the disk is full; None in tests.
        clock: Unix seconds.

    Use `async with journal.running():` around everything that emits.
    """

    def __init__(
        self,
        store: Store,
        limits: JournalLimits,
        *,
        ballast: Ballast | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.limits = limits
        self._ballast = ballast
        self._clock = clock
        self._writer = SerialThread("journal-writer")
        self._reader = SerialThread("journal-reader")
        self._ready: dict[SessionLog, None] = {}  # Sessions with something pending, in turn.
        self._halted: dict[SessionLog, None] = {}
        self._wake: anyio.Event | None = None  # Made by the pump when it finds nothing to do.
        self._fault = anyio.Event()
        self._transaction: list[tuple[SessionLog, Taken]] = []  # The one under way.
        self._stopped = False  # The pump has ended: nothing is written any more.
        self._settlement: anyio.Event | None = None  # Made by who waits for the next one.
        self._committed = self._transactions = self._merged = self._bytes = self._failures = 0

    # For sessions -------------------------------------------------------------------------------------

    async def emit(self, log: SessionLog, event: events.Event) -> None:
        """Append an event soon. Returns at once, unless the session has too much uncommitted.

        Raises:
            StorageUnavailable: the log is halted.
            TooLarge: the event is over `event_bytes_max`.
        """
        if not log.has_space(self.limits.uncommitted_bytes_max):
            await log.wait_for_space(self.limits.uncommitted_bytes_max)
        self.add(log, event)

    def add(self, log: SessionLog, event: events.Event) -> None:
        """Append an event soon, whatever waits already; behind `SessionLog.has_space`, this is `emit`.

        Raises:
            StorageUnavailable, TooLarge: as `emit`.
        """
        if isinstance(event, DELTAS):
            self._check(log)
            if is_over(event, self.limits.event_bytes_max):
                raise _too_large(self.limits.event_bytes_max)
            log.pending.add_delta(event)
            self._ready_now(log)
        else:
            self._add(log, Group((event,)))

    def emit_nowait(self, log: SessionLog, *group: events.Event, rows: Rows | None = None) -> None:
        """Append events soon and together, whatever waits already. For the few a session says of itself."""
        if len(group) == 1 and rows is None:
            self.add(log, group[0])
        else:
            self._add(log, Group(group, rows))

    async def commit(self, log: SessionLog, *group: events.Event, rows: Rows | None = None) -> int:
        """Append events together; returns after the sync, with the last one's seq.

        Args:
            log: the session's.
            group: the events, in order; none to commit only `rows`.
            rows: further row changes of the same transaction.

        Raises:
            StorageUnavailable: nothing was stored.
            TooLarge: an event is over `event_bytes_max`.
        """
        pending = Group(group, rows, awaited=True)
        self._add(log, pending)
        return await pending.wait()

    def _add(self, log: SessionLog, group: Group) -> None:
        self._check(log)
        limit = self.limits.event_bytes_max
        if group.has_event_over(limit):
            raise _too_large(limit)
        log.pending.add(group)
        self._ready_now(log)

    def _check(self, log: SessionLog) -> None:
        if log.halted is not None:
            log.check()
        if self._stopped:
            raise _ended()

    def _ready_now(self, log: SessionLog) -> None:
        """Have the pump take from a log; it sleeps only while no log is ready."""
        self._ready[log] = None
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    async def read(
        self,
        log: SessionLog,
        after: int,
        *,
        limit: int,
        bytes_max: int,
        upto: int | None = None,
        types: Sequence[str] | None = None,
        without: Sequence[str] = (),
    ) -> Page:
        """Read a page forwards, never beyond the head.

        Raises:
            StorageUnavailable: the store cannot be read.
        """
        upto = log.head if upto is None else min(upto, log.head)
        try:
            return await self._reader.call(
                self.store.read,
                log.key,
                after,
                upto,
                limit=limit,
                bytes_max=bytes_max,
                types=types,
                without=without,
            )
        except StoreError as error:
            raise _unavailable(error) from error

    async def read_bodies(self, log: SessionLog, after: int, *, limit: int, bytes_max: int) -> Bodies:
        """Read a page forwards, never beyond the head, the bodies alone.

        Raises:
            StorageUnavailable: the store cannot be read.
        """
        try:
            return await self._reader.call(
                self.store.read_bodies, log.key, after, log.head, limit=limit, bytes_max=bytes_max
            )
        except StoreError as error:
            raise _unavailable(error) from error

    async def read_back(
        self,
        log: SessionLog,
        before: int,
        *,
        limit: int,
        bytes_max: int,
        types: Sequence[str] | None = None,
    ) -> Page:
        """Read the page that ends before `before`, never beyond the head.

        Raises:
            StorageUnavailable: the store cannot be read.
        """
        before = min(before, log.head + 1)
        try:
            return await self._reader.call(
                self.store.read_back, log.key, before, limit=limit, bytes_max=bytes_max, types=types
            )
        except StoreError as error:
            raise _unavailable(error) from error

    async def query(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading method of the store on the reader thread.

        Raises:
            StorageUnavailable: the store cannot be read.
        """
        try:
            return await self._reader.call(function, *args, **kwargs)
        except StoreError as error:
            raise _unavailable(error) from error

    async def execute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a writing method of the store on the writer thread, between two transactions.

        Raises:
            StorageUnavailable: nothing was written.
        """
        try:
            return await self._writer.call(function, *args, **kwargs)
        except StoreError as error:
            self._failures += 1
            raise _unavailable(error) from error

    async def forget_old_keys(self) -> None:
        """Drop results of the daemon's scope that are older than `key_lifetime_s`; asked again each hour."""
        while True:
            before = self.now() - self.limits.key_lifetime_s * 1000
            with contextlib.suppress(StorageUnavailable):  # They are forgotten an hour later.
                await self.execute(self.store.forget_keys, before)
            await anyio.sleep(3600)

    def forget(self, log: SessionLog) -> None:
        """Drop a log whose session is unloaded; nothing of it may be pending."""
        assert not log.unsettled
        self._ready.pop(log, None)
        self._halted.pop(log, None)

    async def flushed(self, log: SessionLog) -> None:
        """Wait until nothing of a log is pending or under way."""
        while log.unsettled:
            await log.next_settlement()

    def now(self) -> int:
        """Give the time events are labelled with, Unix ms."""
        return int(self._clock() * 1000)

    def statistics(self) -> JournalStatistics:
        """Count what was done and what waits."""
        return JournalStatistics(
            committed=self._committed,
            transactions=self._transactions,
            merged=self._merged,
            bytes=self._bytes,
            failures=self._failures,
            pending=sum(len(log.pending) for log in self._ready),
            halted=len(self._halted),
            sqlite=self.store.library,
        )

    # The pump -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run pump and threads; leaving commits what is pending, then closes the store."""
        with self._writer, self._reader:
            try:
                async with anyio.create_task_group() as tasks:
                    pumping = anyio.CancelScope(shield=True)  # Who is being cancelled may still commit.
                    tasks.start_soon(self._pump, pumping)
                    tasks.start_soon(self._revive)
                    tasks.start_soon(self.forget_old_keys)
                    try:
                        yield
                    finally:
                        with anyio.CancelScope(shield=True):
                            await self._idle()
                        pumping.cancel()
                        tasks.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):
                    await self._writer.call(self.store.close)

    async def _pump(self, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                while True:
                    if self._ready:
                        await self._write(self._take())
                    else:
                        self._wake = anyio.Event()
                        await self._wake.wait()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Leave nobody waiting: after an orderly end there is nobody, after a bug there may be."""
        self._stopped = True
        groups = [group for _, taken in self._transaction for group, _ in taken.groups]
        for log in self._ready:
            groups += log.pending.clear()
        for group in groups:
            group.settle(0, _ended())
        self._settled()

    def _settled(self) -> None:
        """Wake who waits for the end of a transaction."""
        if self._settlement is not None:
            self._settlement.set()
            self._settlement = None

    async def _idle(self) -> None:
        while (self._ready or self._transaction) and not self._stopped:
            self._settlement = self._settlement or anyio.Event()
            await self._settlement.wait()

    def _take(self) -> list[tuple[SessionLog, Taken]]:
        """Take one transaction's worth: an even share of each session, who got nothing first next time."""
        limits = self.limits
        at = self.now()
        ready = list(self._ready)
        self._ready.clear()
        events_left, bytes_left = limits.transaction_events_max, limits.transaction_bytes_max
        events_share = max(1, events_left // len(ready))
        bytes_share = max(1, bytes_left // len(ready))
        transaction: list[tuple[SessionLog, Taken]] = []
        for log in ready:
            if transaction and not log.pending.fits(events_max=events_left, bytes_max=bytes_left):
                self._ready[log] = None
                continue
            before = log.pending.bytes
            taken = log.pending.take(
                log.key,
                log.head,
                at,
                events_max=min(events_share, events_left),
                bytes_max=min(bytes_share, bytes_left),
                merged_bytes_max=limits.merged_delta_bytes_max,
            )
            log.writing = True
            log.in_flight = before - log.pending.bytes
            events_left -= len(taken.committed.rows)
            bytes_left -= taken.bytes
            transaction.append((log, taken))
        for log, _ in transaction:
            if len(log.pending):
                self._ready[log] = None
        return transaction

    async def _write(self, transaction: list[tuple[SessionLog, Taken]]) -> None:
        self._transaction = transaction
        try:
            await self._writer.call(self.store.append, [taken.append for _, taken in transaction])
        except StoreError:
            self._failures += 1
            for log, taken in transaction:
                await self._write_alone(log, taken)
        else:
            self._transactions += 1
            for log, taken in transaction:
                self._settle(log, taken)
        self._transaction = []
        self._settled()

    async def _write_alone(self, log: SessionLog, taken: Taken) -> None:
        """Try one session's part of a failed transaction again: another's may have been the cause."""
        try:
            await self._writer.call(self.store.append, [taken.append])
        except StoreError as error:
            self._failures += 1
            self._halt(log, taken, error.kind)
        else:
            self._transactions += 1
            self._settle(log, taken)

    def _settle(self, log: SessionLog, taken: Taken) -> None:
        """Move the head, let the session fold and publish, then wake who waited: no await in between."""
        rows = taken.committed.rows
        if rows:
            log.head = rows[-1].seq
            self._committed += len(rows)
            self._bytes += taken.committed.bytes
            self._merged += taken.merged
            log.owner.committed(taken.committed)
        for group, last_seq in taken.groups:
            group.settle(last_seq)
        log.settled()

    def _halt(self, log: SessionLog, taken: Taken, kind: str) -> None:
        """Stop writing a session: its numbers are taken back, its emitters told, its owner stopped."""
        log.halted = kind
        log.faults += 1
        self._ready.pop(log, None)
        self._halted[log] = None
        error = StorageUnavailable(
            f"The session's log cannot be written ({kind}).", resource="session", id=log.session_id
        )
        for group, _ in taken.groups:
            group.settle(0, error)
        for group in log.pending.clear():
            group.settle(0, error)
        log.settled()
        log.release()
        log.owner.halted(kind)
        self._fault.set()

    async def _revive(self) -> None:
        """While sessions are halted, see whether writing works again; the ballast is given back first."""
        while True:
            await self._fault.wait()
            while self._halted:
                await anyio.sleep(self.limits.revive_interval_s)
                try:
                    if self._ballast is not None:
                        await self._writer.call(self._ballast.free)
                    await self._writer.call(self.store.probe)
                except StoreError:
                    continue
                for log in list(self._halted):
                    del self._halted[log]
                    log.halted = None
                    log.owner.revived()
            if self._ballast is not None:
                await self._writer.call(self._ballast.restore)
            self._fault = anyio.Event()


def _unavailable(error: StoreError) -> StorageUnavailable:
    return StorageUnavailable(f"The store does not answer ({error.kind}): {error}")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"An event is at most {limit} bytes.", limit="event_bytes_max", limit_value=limit)


def _ended() -> StorageUnavailable:
    return StorageUnavailable("The journal has ended.")
