"""The set of live sessions: makes, finds, loads, unloads, forks and deletes them."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import Any, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast_daemon.config import SessionLimits
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.journal import projections
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.pending import Group, PendingEvents
from holdfast_daemon.journal.store import (
    DAEMON_SCOPE,
    Append,
    Change,
    EventRow,
    InsertKey,
    NewSession,
    SessionRow,
    Upsert,
)
from holdfast_daemon.sessions.commands import Command, Delete, Idempotency, Recover
from holdfast_daemon.sessions.recovery import closing_events
from holdfast_daemon.sessions.rules import Rules
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.sessions.session import Session, SessionGone
from holdfast_protocol import events
from holdfast_protocol.errors import Conflict, NotFound, StorageUnavailable
from holdfast_protocol.methods.daemon import SessionStatistics
from holdfast_protocol.methods.extension import McpServerSpec
from holdfast_protocol.methods.session import (
    SessionCreateResult,
    SessionDeleteResult,
    SessionInfo,
    SessionsChangedParams,
)
from holdfast_protocol.view import Snapshot, View

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_PAGE_EVENTS = 1000
_PAGE_BYTES = 1024 * 1024
_PURGE_ROWS = 5000
_PAGE_CHILDREN = 100


class Registry:
    """All sessions of the daemon; those in use are in memory.

    Args:
        journal: the daemon's.
        hub: the daemon's.
        runs: makes drivers.
        rules: the daemon's standing answers.
        limits: of sessions.

    Use `async with registry.running():` around everything that uses sessions.
    """

    def __init__(
        self, journal: Journal, hub: Hub, runs: RunFactory, rules: Rules, limits: SessionLimits
    ) -> None:
        self.runs = runs
        runs.children = self
        self.rules = rules
        self._journal = journal
        self._hub = hub
        self._limits = limits
        self._live: dict[str, Session] = {}  # Least recently used first.
        self._claims: dict[str, anyio.Event] = {}  # Sessions being made, loaded or deleted, by one task each.
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the sessions' tasks; what was left unfinished is recovered before this is entered."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await self.rules.load()
            await self._recover()
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def stop(self, cause: str, grace_s: float) -> None:
        """Interrupt what runs; wait until each run has its end in the log, `grace_s` at the most."""
        self.runs.draining = True
        sessions = list(self._live.values())
        for session in sessions:
            session.interrupt(cause)
        with anyio.move_on_after(grace_s) as scope:
            for session in sessions:
                await session.freed()
        if scope.cancelled_caught:
            _logger.warning("some runs did not end within %s s", grace_s)

    def live(self, session_id: str) -> Session | None:
        """Give a session if it is in memory."""
        return self._live.get(session_id)

    async def get(self, session_id: str) -> Session:
        """Give a session, loading it if need be.

        Raises:
            NotFound: there is none, or it was deleted.
            StorageUnavailable: its log cannot be read.
        """
        while (held := self._claims.get(session_id)) is not None:
            await held.wait()  # It is being made, loaded or deleted by a call that came before.
        session = self._live.get(session_id)
        if session is None:
            async with self.claimed(session_id):
                return self._live.get(session_id) or await self._load(session_id)
        if not session.usable:  # Its deletion failed half way; the next start ends it.
            raise NotFound("No such session.", resource="session", id=session_id)
        self._live[session_id] = self._live.pop(session_id)
        return session

    async def submit(self, session_id: str, command: Command[T]) -> T:
        """Have a session carry out a command.

        Raises:
            RpcError: it was refused.
        """
        while True:
            session = await self.get(session_id)
            try:
                return await session.submit(command)
            except SessionGone:
                continue

    def connection_lost(self, host: object) -> None:
        """Take away the tools a lost connection ran for sessions."""
        for session in self._live.values():
            session.hosted.drop(host)

    def open_requests(self) -> tuple[tuple[str, events.RequestOpened], ...]:
        """Give the open requests of all sessions; a session that has one is in memory."""
        return tuple(
            (session.id, request)
            for session in self._live.values()
            for request in session.view.requests.values()
        )

    async def list(
        self,
        *,
        cwd: str | None,
        archived: bool,
        before: tuple[int, int] | None,
        limit: int,
        parent: str | None = None,
    ) -> tuple[list[SessionInfo], tuple[int, int] | None]:
        """Give a page of the list and, if there is more, where the next begins."""
        rows = await self._journal.query(
            self._journal.store.list_sessions,
            cwd=cwd,
            archived=archived,
            before=before,
            limit=limit + 1,
            parent=parent,
        )
        more, rows = len(rows) > limit, rows[:limit]
        infos = [session.info() if (session := self._live.get(row.session)) else _info(row) for row in rows]
        last = (rows[-1].updated_at, rows[-1].key) if more else None
        return infos, last

    def go_on(self) -> None:
        """Start the prompts whose turn came while nothing was to be started."""
        for session in self._live.values():
            if session.view.queue:
                session.recover("storage_unavailable")  # What alone leaves a run that nobody drives.

    def statistics(self) -> SessionStatistics:
        """Count sessions and runs."""
        return SessionStatistics(loaded=len(self._live), active_runs=self.runs.active)

    # Making and removing -------------------------------------------------------------------------------

    async def create(
        self,
        session_id: str,
        started: events.SessionStarted,
        env: dict[str, str],
        keys: tuple[Idempotency, ...],
        servers: tuple[McpServerSpec, ...] = (),
    ) -> SessionCreateResult:
        """Make a session whose id the caller has claimed; durable when it returns.

        Raises:
            Conflict: the id is taken.
            StorageUnavailable: nothing was stored.
        """
        await self._check_free(session_id)
        stored = (msgspec.json.encode(env).decode(), msgspec.json.encode(servers).decode())
        session = await self._create(session_id, started, *stored, keys)
        return SessionCreateResult(session_id=session_id, epoch=session.epoch, seq=1)

    async def _create(
        self,
        session_id: str,
        started: events.SessionStarted,
        env: str,
        servers: str,
        keys: tuple[Idempotency, ...],
    ) -> Session:
        epoch, at = token_hex(8), self._journal.now()
        result = SessionCreateResult(session_id=session_id, epoch=epoch, seq=1)
        new = NewSession(
            session=session_id,
            epoch=epoch,
            cwd=started.cwd,
            agent=started.agent,
            model=started.model,
            title=started.title,
            env=env,
            at=at,
            servers=servers,
            parent=started.parent,
        )
        append = Append(0, _first_rows(started, at), _remember(keys, result, at))
        key = await self._journal.execute(self._journal.store.create_session, new, append)
        view = View()
        view.apply(msgspec.structs.replace(started, seq=1, at=at))
        return self._enter(_row(key, new), view)

    # Children: what `delegation` needs -----------------------------------------------------------------

    async def spawn(self, parent: str, started: events.SessionStarted, env: str, servers: str) -> Session:
        """Make a session that works for another one; see `delegation.Children`."""
        session_id = f"{parent[:100]}.{token_hex(4)}"
        async with self.claimed(session_id):
            child = await self._create(session_id, started, env, servers, ())
            child.task_due = True
            return child

    def depth(self, session_id: str) -> int:
        """Give how many sessions stand above one; those that delegate are in memory."""
        depth, session = 0, self._live.get(session_id)
        while session is not None and session.parent_id is not None:
            depth, session = depth + 1, self._live.get(session.parent_id)
        return depth

    def child_spent(self, session_id: str, usage: events.Usage, cost: events.Cost | None) -> None:
        """See `delegation.Children.child_spent`."""
        session = self._live.get(session_id)
        while session is not None:
            session.child_spent(usage, cost)
            session = self._live.get(session.parent_id) if session.parent_id is not None else None

    def announce(self, session_id: str) -> None:
        """Tell all connections of a new session; after its creator was answered."""
        session = self._live.get(session_id)
        if session is not None:
            self._hub.broadcast_list_change(
                SessionsChangedParams(change="created", session_id=session_id, session=session.info())
            )

    async def fork(
        self,
        source: Session,
        session_id: str,
        at_seq: int | None,
        title: str | None,
        keys: tuple[Idempotency, ...],
    ) -> SessionCreateResult:
        """Make a session that begins with another's events up to and with `at_seq` (None: its head).

        A run that was open there is closed as interrupted in the fork; the source goes on undisturbed.

        Raises:
            Conflict: the id is taken.
            CursorInvalid: there is no such event.
            StorageUnavailable: the fork does not exist.
        """
        upto = source.log.head if at_seq is None else at_seq
        if upto > source.log.head:
            raise source.log.cursor_invalid("There is no such event.", path="$.at")
        async with self.claimed(session_id):
            return await self._fork(source, session_id, upto, title, keys)

    async def _fork(
        self,
        source: Session,
        session_id: str,
        upto: int,
        title: str | None,
        keys: tuple[Idempotency, ...],
    ) -> SessionCreateResult:
        await self._check_free(session_id)
        info = source.info()
        epoch, at = token_hex(8), self._journal.now()
        new = NewSession(
            session_id,
            epoch,
            info.cwd,
            info.agent,
            info.model,
            title,
            source.env_json,
            at,
            servers=source.servers_json,
        )
        store = self._journal.store
        key = await self._journal.execute(store.create_session, new, Append(0, (), ()), copying=True)
        try:
            view = await self._copy(source, key, upto)
        except (NotFound, StorageUnavailable):
            await self._purge(key)  # The id is free again.
            raise
        origin = events.Origin(session_id=source.id, epoch=source.log.epoch, seq=upto)
        closing = closing_events(view, "forked")
        forked = events.SessionUpdated(title=title, forked_from=origin)
        seq = upto + len(closing) + 1
        result = SessionCreateResult(session_id=session_id, epoch=epoch, seq=seq)
        pending = PendingEvents()
        assert view.settings is not None
        row = (
            ("state", "active"),
            ("agent", view.settings.agent),
            ("model", view.settings.model),
            ("title", title or view.settings.title),
        )
        activate = (Upsert("sessions", "", row), *_remember(keys, result, at))
        pending.add(Group((*closing, forked), lambda _seq: activate))
        taken = pending.take(key, upto, at, events_max=2**31, bytes_max=2**31, merged_bytes_max=0)
        await self._journal.execute(store.append, [taken.append])
        await self._load(session_id)
        return result

    async def delete(self, session_id: str, by: str, keys: tuple[Idempotency, ...]) -> None:
        """Remove a session, which the caller has claimed, and its log for good.

        Raises:
            NotFound: there is none.
            StorageUnavailable: it is still there.
        """
        session = self._live.get(session_id) or await self._load(session_id)
        await session.submit(Delete(by))
        try:
            remembered = _remember(keys, SessionDeleteResult(), self._journal.now())
            await self._remove(session_id, session.log.key, remembered, listed=session.parent_id is None)
        finally:
            self._leave(session)  # It takes no more commands, removed or not.

    async def _remove(self, session_id: str, key: int, changes: Sequence[Change], *, listed: bool) -> None:
        """Make a session whose log has ended unfindable, and before it those that worked for it."""
        await self._remove_children(session_id)
        await self._journal.execute(self._journal.store.mark_deleted, key, changes)
        await self.rules.forget(session_id)
        await self.runs.forget_results(key)
        if listed:
            self._hub.broadcast_list_change(SessionsChangedParams(change="deleted", session_id=session_id))
        assert self._tasks is not None
        self._tasks.start_soon(self._purge, key)

    async def _remove_children(self, session_id: str) -> None:
        while True:
            rows = await self._journal.query(
                self._journal.store.list_sessions,
                cwd=None,
                archived=True,
                before=None,
                limit=_PAGE_CHILDREN,
                parent=session_id,
            )
            if not rows:
                return
            for row in rows:
                async with self.claimed(row.session):
                    with suppress(NotFound):  # Somebody else was quicker.
                        await self.delete(row.session, session_id, ())

    def unload_if_idle(self, session: Session) -> None:
        """Let go of a session's memory if nothing needs it; using it loads it again."""
        if session.idle and self._live.get(session.id) is session:
            session.unload()
            self._leave(session)

    async def _check_free(self, session_id: str) -> None:
        if await self._journal.query(self._journal.store.find_session, session_id) is not None:
            raise Conflict("The session id is taken.", resource="session", id=session_id)

    async def _copy(self, source: Session, key: int, upto: int) -> View:
        """Copy a log's beginning, with the rows its events make; give the fold of it."""
        view, position = View(), 0
        while position < upto:
            page = await self._journal.read(
                source.log, position, upto=upto, limit=_PAGE_EVENTS, bytes_max=_PAGE_BYTES
            )
            if not page.rows:
                raise NotFound("The session was deleted meanwhile.", resource="session", id=source.id)
            changes: list[Change] = []
            for row in page.rows:
                event = events.decode(row.body)
                view.apply(event)
                if not isinstance(event, events.UnknownEvent):
                    changes.extend(projections.changes_of(event, row.seq, row.at))
            await self._journal.execute(self._journal.store.append, [Append(key, page.rows, changes)])
            position = page.last
        return view

    async def _purge(self, key: int) -> None:
        """Remove a deleted session's rows, a few at a time so that others are not held up."""
        try:
            while await self._journal.execute(self._journal.store.purge, key, _PURGE_ROWS):
                pass
        except StorageUnavailable:
            _logger.exception("a deleted session's rows cannot be removed now; the next start goes on")

    # Loading -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def claimed(self, session_id: str) -> AsyncGenerator[None]:
        """Be the only one who makes, loads or deletes a session; waits while somebody else does.

        Taken at a call's first turn, it also makes later calls of the same connection wait behind it.
        """
        while (held := self._claims.get(session_id)) is not None:
            await held.wait()
        done = self._claims[session_id] = anyio.Event()
        try:
            yield
        finally:
            del self._claims[session_id]
            done.set()

    async def _load(self, session_id: str) -> Session:
        """Bring a session into memory; the caller has claimed it."""
        row = await self._journal.query(self._journal.store.find_session, session_id)
        if row is None or row.state != "active":
            raise NotFound("No such session.", resource="session", id=session_id)
        view = await self._fold(row)
        if view.ended:  # The disk or a crash cut its deletion short; its log says that it is gone.
            await self._remove(session_id, row.key, (), listed=row.parent is None)
            raise NotFound("No such session.", resource="session", id=session_id)
        session = self._enter(row, view)
        if view.run is not None or view.queue:
            session.recover("daemon_restarted")
        return session

    async def _fold(self, row: SessionRow) -> View:
        """Fold a log: from the stored view, or from its start."""
        snapshot = msgspec.json.decode(row.view, type=Snapshot) if row.view else None
        view = View(snapshot)
        store, position = self._journal.store, row.view_seq if snapshot else 0
        while position < row.head:
            page = await self._journal.query(
                store.read, row.key, position, row.head, limit=_PAGE_EVENTS, bytes_max=_PAGE_BYTES
            )
            for event_row in page.rows:
                view.apply(_decode(row.session, event_row))
            position = page.last
        return view

    def _enter(self, row: SessionRow, view: View) -> Session:
        self._make_room()
        parent = row.parent
        find = None if parent is None else lambda: self._live.get(parent)
        session = Session(row, view, self._journal, self._hub, self.runs, self.rules, self._limits, find)
        self._live[session.id] = session
        assert self._tasks is not None
        self._tasks.start_soon(session.run, name=f"session {session.id}")
        return session

    def _leave(self, session: Session) -> None:
        self._live.pop(session.id, None)
        self._hub.close(session.channel)
        self._journal.forget(session.log)

    def _make_room(self) -> None:
        """Unload the idle sessions longest unused, if there are too many in memory."""
        if len(self._live) < self._limits.loaded_max:
            return
        for session in list(self._live.values()):
            if len(self._live) < self._limits.loaded_max:
                return
            self.unload_if_idle(session)

    async def _recover(self) -> None:
        """Close what a stopped daemon left open; finish what it was copying or removing."""
        store = self._journal.store
        for key in await self._journal.query(store.leftovers):
            await self._purge(key)
        for session_id in await self._journal.query(store.unfinished_sessions):
            try:
                await self.submit(session_id, Recover("daemon_restarted"))
            except (StorageUnavailable, NotFound):
                _logger.exception("session %s cannot be recovered", session_id)


def _decode(session_id: str, row: EventRow) -> events.Event | events.UnknownEvent:
    """Decode a stored event; one that cannot be read ends its session's use, and nothing else.

    Raises:
        StorageUnavailable: naming the event.
    """
    try:
        return events.decode(row.body)
    except msgspec.MsgspecError as error:
        raise StorageUnavailable(
            f"Event {row.seq} of the log cannot be read (corrupt): {error}", resource="session", id=session_id
        ) from error


def _first_rows(started: events.SessionStarted, at: int) -> list[EventRow]:
    pending = PendingEvents()
    pending.add(Group((started,)))
    taken = pending.take(0, 0, at, events_max=1, bytes_max=2**31, merged_bytes_max=0)
    return list(taken.append.rows)


def _remember(keys: tuple[Idempotency, ...], result: Any, at: int) -> list[Change]:
    body = msgspec.json.encode(result)
    return [InsertKey(DAEMON_SCOPE, key.client, key.method, key.key, key.digest, body, at) for key in keys]


def _info(row: SessionRow) -> SessionInfo:
    return SessionInfo(
        session_id=row.session,
        epoch=row.epoch,
        cwd=row.cwd,
        agent=row.agent,
        model=row.model,
        status="running" if row.status == "running" else "paused" if row.status == "paused" else "idle",
        head=row.head,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived=row.archived,
        title=row.title,
        run_id=row.run,
        forked_from=msgspec.json.decode(row.forked, type=events.Origin) if row.forked else None,
        parent=row.parent,
    )


def _row(key: int, new: NewSession) -> SessionRow:
    """Give the row a new session has."""
    return SessionRow(
        key=key,
        session=new.session,
        epoch=new.epoch,
        cwd=new.cwd,
        agent=new.agent,
        model=new.model,
        title=new.title,
        status="idle",
        run=None,
        archived=False,
        state="active",
        env=new.env,
        forked=None,
        created_at=new.at,
        updated_at=new.at,
        view=None,
        view_seq=0,
        head=1,
        servers=new.servers,
        parent=new.parent,
    )
