"""One session: its state, its inbox, its current run.

State is a fold of the log and changes only when events are committed (`committed`). Commands are carried
out one after the other by the session's own task (`mutations`); a cancel acts at once, past the inbox.
Sessions share nothing with each other but the daemon's journal, hub and catalogues.
"""

import logging
from collections.abc import Callable
from itertools import groupby
from secrets import token_hex
from typing import Final, TypeVar, cast

import anyio
import msgspec

from holdfast_daemon.config import SessionLimits
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.journal.pending import DELTAS, Committed
from holdfast_daemon.journal.store import SessionRow, Upsert
from holdfast_daemon.sessions.commands import (
    ClearQueue,
    Command,
    Continue,
    Delete,
    Inbound,
    Inbox,
    Prompt,
    Recover,
    RunEnded,
)
from holdfast_daemon.sessions.consent import Consent
from holdfast_daemon.sessions.delegation import Terminal
from holdfast_daemon.sessions.elicitations import Elicitations
from holdfast_daemon.sessions.extension_slot import ExtensionSlot
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.mutations import Mutations
from holdfast_daemon.sessions.permissions import Permissions
from holdfast_daemon.sessions.request_mutations import RequestMutations
from holdfast_daemon.sessions.rules import Rules
from holdfast_daemon.sessions.run import RunState, next_state
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.sessions.run_slot import RunSlot
from holdfast_daemon.sessions.session_parts import SessionParts
from holdfast_daemon.sessions.session_tools import SessionTools
from holdfast_daemon.tools.client_hosted import HostedTools
from holdfast_protocol import events
from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.errors import Draining, InternalError, NotFound, RpcError
from holdfast_protocol.methods.extension import McpServerSpec
from holdfast_protocol.methods.prompt import SessionCancelResult
from holdfast_protocol.methods.session import SessionInfo, SessionsChangedParams
from holdfast_protocol.view import Settings, Snapshot, View

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_TERMINAL: Final = (events.RunCompleted, events.RunFailed, events.RunCancelled, events.RunInterrupted)

_LISTED: Final = frozenset(
    {
        events.SessionUpdated,
        events.ModelSwitched,
        events.RunStarted,
        events.RunPaused,
        events.RunResumed,
        *_TERMINAL,
    }
)
"""Events after which a session's row in the list is another."""

_CHECKPOINT_EVENTS: Final = 256
"""The view is stored at a run's end if so many events came since the last time: loading folds the rest."""

_HISTORY_PAGE_BYTES: Final = 1024 * 1024


class SessionGone(Exception):
    """The session was unloaded between being looked up and being used: look it up again."""


class Session:
    """One loaded session.

    Args:
        row: its row in the store, as created or found.
        view: the fold of its log up to the row's head.
        journal: the daemon's.
        hub: the daemon's.
        runs: makes drivers.
        rules: the daemon's.
        limits: of sessions.
        parent: gives the session this one works for, if that is loaded; None: it works for people.

    Attributes:
        finished: how its last run since it was loaded ended; None while one is active or waits.
        gone: unloaded or deleted; whoever still holds it must look it up again.
        task_due: made to work for another one, which has not told it yet what to do.
    """

    def __init__(
        self,
        row: SessionRow,
        view: View,
        journal: Journal,
        hub: Hub,
        runs: RunFactory,
        rules: Rules,
        limits: SessionLimits,
        parent: "Callable[[], Session | None] | None" = None,
    ) -> None:
        self.id = row.session
        self.log = SessionLog(row.session, row.key, row.epoch, row.head, self)
        self.view = view
        self.channel = hub.open(self.log)
        self.env_json = row.env
        self.servers_json = row.servers
        self.parent_id = row.parent
        self.finished: Terminal | None = None
        self._parent = parent
        self.created_at = row.created_at
        self.updated_at = row.updated_at
        self.gone = False
        self.task_due = False
        self._journal = journal
        self._hub = hub
        self._inbox = Inbox()
        self._working = False  # A command is being carried out.
        self._history: History | None = None
        self._run_state: RunState | None = RunState(view.run.status) if view.run else None
        self._run_over = anyio.Event()  # Replaced whenever a run or a waiting prompt came to its end.
        self._checkpoint_seq = row.view_seq
        self._slot = RunSlot(runs, lambda run_id: self._inbox.post(RunEnded(run_id)))
        self.permissions = Permissions(view)
        self.hosted = HostedTools(self.id)
        bound = self._mode_of_parent if parent is not None else None
        self.consent = consent = Consent(self.log, journal, view, self._inbox, self.permissions, rules, bound)
        env = msgspec.json.decode(row.env, type=dict[str, str])
        self.extensions = ExtensionSlot(
            runs.extensions,
            lambda: runs.place(self._settings, env),
            msgspec.json.decode(row.servers, type=tuple[McpServerSpec, ...]),
            [spec.name for spec in runs.executor.specs()],
            Elicitations(consent, view, lambda event: journal.commit(self.log, event)).ask,
            lambda: self._slot.busy,
        )
        above = parent() if parent is not None else None
        self.extensions.declined = above is not None and above.extensions.declined
        self.tools = SessionTools(runs.executor, self.extensions, self.hosted)
        executor = runs.session_executor(row.key)
        parts = SessionParts(
            self.log, env, row.env, row.servers, executor, consent, self.extensions, self.tools
        )
        requests = RequestMutations(
            view,
            self.log,
            self.somebody_here,
            self._inbox,
            self.permissions,
            journal,
            rules,
            limits.request_expiry_s,
        )
        self._mutations = Mutations(
            view, parts, journal, self._slot, runs, limits, self._load_history, requests
        )

    # For anybody, without waiting ----------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether it is still this object that serves the session."""
        return not self.gone and not self.view.ended

    @property
    def running(self) -> bool:
        """Whether a run is active or being started."""
        return self._slot.busy

    @property
    def idle(self) -> bool:
        """Whether it could be unloaded: nothing runs, waits, is being written, is listened to or hosted."""
        busy = self._slot.busy or self._working or len(self._inbox) or self.log.unsettled
        used = self.channel.subscriptions or self.hosted.tools or self.task_due or self.extensions.opening
        return not busy and not used and self.log.halted is None

    def somebody_here(self, kind: RequestKind) -> bool:
        """Tell whether somebody listens who may answer: here, or to the session this one works for."""
        if self._hub.somebody_here(self.channel, kind):
            return True
        parent = self._parent() if self._parent is not None else None
        return parent is not None and parent.somebody_here(kind)

    def _mode_of_parent(self) -> events.Mode | None:
        parent = self._parent() if self._parent is not None else None
        return parent.consent.mode if parent is not None else None

    @property
    def epoch(self) -> str:
        """Of its log."""
        return self.log.epoch

    def stop_child(self, by: str) -> None:
        """Cancel its run and whatever waits; for the session it works for."""
        self.task_due = False
        self.cancel(by=by, run_id=None, tool_call_id=None, clear_queue=True)

    def child_spent(self, usage: events.Usage, cost: events.Cost | None) -> None:
        """Count what a session that works for this one used."""
        self._slot.child_spent(usage, cost)

    async def last_text(self) -> str:
        """Give what its agent said last."""
        history = await self._load_history()
        return history.last_text()

    def snapshot(self) -> Snapshot:
        """Give the session at its head."""
        return self.view.snapshot()

    @property
    def _settings(self) -> Settings:
        assert self.view.settings is not None
        return self.view.settings

    def info(self) -> SessionInfo:
        """Give its row of the session list."""
        settings = self._settings
        return SessionInfo(
            session_id=self.id,
            epoch=self.log.epoch,
            cwd=settings.cwd,
            agent=settings.agent,
            model=settings.model,
            status=self.view.status,
            head=self.log.head,
            created_at=self.created_at,
            updated_at=self.updated_at,
            archived=settings.archived,
            title=settings.title,
            run_id=self.view.run.run_id if self.view.run else None,
            forked_from=settings.forked_from,
            parent=self.parent_id,
        )

    def cancel(
        self, *, by: str, run_id: str | None, tool_call_id: str | None, clear_queue: bool
    ) -> SessionCancelResult:
        """Cancel the current run, one named, or one of its tool calls. Acts now, waits for nothing."""
        if clear_queue:
            self._inbox.post(ClearQueue(by))
        return self._slot.cancel(
            by=by, run_id=run_id, tool_call_id=tool_call_id, admitting=self._inbox.last_admission
        )

    def interrupt(self, cause: str) -> None:
        """End the current run because the daemon stops."""
        self._slot.interrupt(cause)

    def recover(self, cause: str) -> None:
        """Have an open run closed and the queue go on."""
        self._inbox.post(Recover(cause))

    async def submit(self, command: Command[T]) -> T:
        """Have a command carried out, after those before it.

        Raises:
            RpcError: it was refused.
            SessionGone: look the session up again.
        """
        if self.gone:
            raise SessionGone
        self.task_due = False
        self._inbox.submit(command)
        return await command.answer()

    def run_over(self) -> anyio.Event:
        """Give the event that is set when next a run ended or a waiting prompt was removed."""
        return self._run_over

    async def freed(self) -> None:
        """Wait until no run is active."""
        await self._slot.freed()

    # LogOwner: called by the journal, between a commit and everything else ------------------------------

    def committed(self, committed: Committed) -> None:
        """Fold durable events in and send them on. The only place where the session's state changes."""
        try:
            for kind, group in groupby(committed.events, type):
                if kind in DELTAS:
                    self._fold_deltas(cast("list[events.Delta]", list(group)))
                else:
                    for event in group:
                        self._fold(event)
        except Exception:  # the session task's place: a bug here must not stop the journal
            _logger.exception("session %s: cannot fold", self.id)
            self._slot.interrupt("internal_error")
        self._hub.publish(self.channel, committed.rows, committed.bytes)
        if self.parent_id is None and not _LISTED.isdisjoint(map(type, committed.events)):
            self._hub.broadcast_list_change(
                SessionsChangedParams(change="updated", session_id=self.id, session=self.info())
            )

    def halted(self, kind: str) -> None:
        """Stop the run; it is closed when writing works again."""
        _logger.error("session %s halted: %s", self.id, kind)
        self._slot.interrupt("storage_unavailable")
        self._hub.halted(self.channel, kind)

    def revived(self) -> None:
        """Close what the fault left open."""
        self.recover("storage_unavailable")

    def _fold_deltas(self, deltas: list[events.Delta]) -> None:
        """Fold consecutive deltas in at once: nearly all events, and they end, list and settle nothing.

        A delta keeps the run's state, so that asking for one that is of a run asks for all of them.
        """
        of_run = next((delta for delta in deltas if delta.run_id is not None), None)
        if of_run is not None:
            self._run_state = next_state(self._run_state, of_run)
        self.view.apply_deltas(deltas)
        if self._history is not None:
            self._history.position = deltas[-1].seq

    def _fold(self, event: events.Event) -> None:
        if event.run_id is not None:
            state = None if isinstance(event, events.RunStarted) else self._run_state
            self._run_state = next_state(state, event)
        self.view.apply(event)
        if self._history is not None:
            self._history.apply(event)
        if isinstance(event, events.PromptReceived) or type(event) in _LISTED:
            self.updated_at = event.at
        if isinstance(event, events.RunStarted):
            self.finished = None
        elif isinstance(event, _TERMINAL):
            self.finished = event
        if isinstance(event, (events.PromptRemoved, events.SessionEnded, *_TERMINAL)):
            self._run_over.set()
            self._run_over = anyio.Event()
        if isinstance(event, events.RequestResolved):
            self.permissions.resolved(event)
        if isinstance(event, _TERMINAL):
            self.permissions.run_over()
            self._slot.over()
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Store the view, so that loading need not fold the whole log."""
        if self.view.head - self._checkpoint_seq < _CHECKPOINT_EVENTS or self.log.halted:
            return
        self._checkpoint_seq = self.view.head
        body = msgspec.json.encode(self.view.snapshot(None))
        change = Upsert("sessions", "", (("view", body), ("view_seq", self.view.head)))
        self._journal.emit_nowait(self.log, rows=lambda _seq: (change,))

    # The session's task --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry out commands until unloaded or deleted."""
        try:
            async with anyio.create_task_group() as tasks:
                self.extensions.attach(tasks)
                await self._serve(tasks)
                tasks.cancel_scope.cancel()  # No run is left, but perhaps requests whose time runs out.
        finally:
            self.gone = True
            self._run_over.set()  # Who waits for a run looks the session up again.
            for command in self._inbox.drain():
                command.fail(self._no_more())

    def _no_more(self) -> RpcError:
        """Say to who still waits why nothing comes: the session was deleted, or the daemon stops."""
        if self.view.ended:
            return NotFound("No such session.", resource="session", id=self.id)
        return Draining("The daemon is stopping.")

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> None:
        while not self.gone:
            item = await self._inbox.next()
            if self.gone:
                return
            self._working = True
            await self._carry_out(item, tasks)
            self._working = False
            if isinstance(item, Prompt | Continue):
                self._slot.admitted(item.number)
            if isinstance(item, RunEnded) and self.parent_id is not None:
                tasks.start_soon(self.extensions.close)  # Nobody closes a sub-agent's session.

    async def _carry_out(self, item: Inbound, tasks: anyio.abc.TaskGroup) -> None:
        if isinstance(item, Command):
            if item.abandoned:
                return
            item.begun = True
        self._inbox.admitting_now = item.number if isinstance(item, Prompt | Continue) else 0
        error: RpcError
        try:
            await self._mutations.carry_out(item, tasks)
        except RpcError as refusal:
            error = refusal
        except anyio.get_cancelled_exc_class():
            if isinstance(item, Command):  # Its caller cannot take it back any more.
                item.fail(self._no_more())
            raise
        except Exception:
            incident = token_hex(4)
            _logger.exception("session %s, incident %s", self.id, incident)
            error = InternalError("A bug in the daemon.", incident_id=incident)
        else:
            self.gone = isinstance(item, Delete)
            return
        finally:
            self._inbox.admitting_now = 0
        if isinstance(item, Command):
            item.fail(error)

    async def _load_history(self) -> History:
        """Give the conversation, kept up to date from now on; read from the log the first time."""
        if self._history is not None:
            return self._history
        history = History()
        while history.position < self.log.head:
            page = await self._journal.read(
                self.log,
                history.position,
                limit=1000,
                bytes_max=_HISTORY_PAGE_BYTES,
                without=tuple(events.DELTA_TAGS),
            )
            for row in page.rows:
                history.apply(events.decode(row.body))
            history.position = page.last
        self._history = history  # No await since the head was compared: nothing is missed.
        return history

    def unload(self) -> None:
        """Let go of memory: the registry forgets an idle session."""
        assert self.idle
        self.gone = True
        self._run_over.set()  # Who waits for a run looks the session up again.
        self._inbox.post(Recover("unloaded"))  # Wakes the task, which sees that the session is gone.
