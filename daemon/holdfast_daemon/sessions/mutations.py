"""What a session's commands do: each decides on the view, commits events, and answers.

Carried out by the session's task, one after the other, so that the view is never behind a decision.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from anyio.abc import TaskGroup

from holdfast_daemon.config import SessionLimits
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.pending import Rows
from holdfast_daemon.journal.store import Change, InsertKey
from holdfast_daemon.sessions import prompts
from holdfast_daemon.sessions.commands import (
    ClearQueue,
    Close,
    Command,
    Continue,
    Delete,
    DeliverSteers,
    EndPlan,
    Expire,
    FromClient,
    FromDaemon,
    FromRun,
    Inbound,
    OpenRequest,
    Prompt,
    Recover,
    RemovePrompt,
    Respond,
    RunEnded,
    Update,
    UpdatePrompt,
    Withdraw,
)
from holdfast_daemon.sessions.driver import Driver, ResumedRun
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.prompts import Admission
from holdfast_daemon.sessions.recovery import closing_events, waits_for_people
from holdfast_daemon.sessions.request_mutations import RequestMutations
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.sessions.run_slot import RunSlot
from holdfast_daemon.sessions.session_parts import SessionParts
from holdfast_daemon.sessions.settings import settings_events
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.errors import Busy, IdempotencyConflict, NotFound
from holdfast_protocol.events.prompt import PromptStatus
from holdfast_protocol.methods.prompt import SessionContinueResult, SessionPromptResult
from holdfast_protocol.methods.request import RequestRespondResult
from holdfast_protocol.methods.session import MutationResult
from holdfast_protocol.view import View


def _status(admission: Admission) -> PromptStatus:
    if admission.started is not None:
        return "started"
    received = admission.group[0]
    assert isinstance(received, events.PromptReceived)
    return received.status


C = TypeVar("C", bound=Command[Any])


class Mutations:
    """Carries out one session's commands.

    Args:
        view: the session's; changes as events are committed.
        parts: the session's, for its runs.
        journal: the daemon's.
        run_slot: the session's.
        runs: makes drivers.
        limits: of sessions.
        load_history: gives the session's conversation.
        requests: carries out commands about requests.
    """

    def __init__(
        self,
        view: View,
        parts: SessionParts,
        journal: Journal,
        run_slot: RunSlot,
        runs: RunFactory,
        limits: SessionLimits,
        load_history: Callable[[], Awaitable[History]],
        requests: RequestMutations,
    ) -> None:
        self._view = view
        self._parts = parts
        self._log = parts.log
        self._journal = journal
        self._slot = run_slot
        self._runs = runs
        self._limits = limits
        self._load_history = load_history
        self._requests = requests

    async def carry_out(self, item: Inbound, tasks: TaskGroup) -> None:
        """Carry out one command and answer it.

        Args:
            item: what to do.
            tasks: where a run that is started belongs.

        Raises:
            RpcError: it is refused, and nothing was done.
        """
        if isinstance(item, FromClient):
            await self._serve_client(item, tasks)
        elif isinstance(item, FromRun):
            await self._serve_run(item, tasks)
        else:
            await self._serve_daemon(item, tasks)

    async def _serve_client(self, item: FromClient, tasks: TaskGroup) -> None:
        match item:
            case Prompt():
                await self._once(item, SessionPromptResult, lambda command: self._prompt(command, tasks))
            case Continue():
                await self._once(item, SessionContinueResult, lambda command: self._continue(command, tasks))
            case Update():
                await self._once(item, MutationResult, self._update)
            case Respond():
                await self._once(item, RequestRespondResult, self._respond)
            case UpdatePrompt():
                await self._once(item, MutationResult, self._update_prompt)
            case RemovePrompt():
                await self._once(item, MutationResult, self._remove_prompt)
            case Close():
                await self._once(item, MutationResult, self._close)
            case Delete():
                await self._delete(item)
            case ClearQueue():
                await self._clear_queue(item)

    async def _serve_run(self, item: FromRun, tasks: TaskGroup) -> None:
        match item:
            case OpenRequest():
                await self._requests.open(item, tasks)
            case Withdraw():
                await self._requests.withdraw(item)
            case EndPlan():
                await self._requests.end_plan(item)
            case DeliverSteers():
                await self._deliver_steers(item)
            case RunEnded():
                await self._go_on("storage_unavailable", tasks)

    async def _serve_daemon(self, item: FromDaemon, tasks: TaskGroup) -> None:
        match item:
            case Recover():
                await self._go_on(item.cause, tasks)
                item.finish(None)
            case Expire():
                await self._requests.expire(item)

    async def _respond(self, command: Respond) -> None:
        await self._requests.respond(command, self._remember)

    # Idempotency ---------------------------------------------------------------------------------------

    async def _once(
        self, command: C, result_type: type[Any], perform: Callable[[C], Awaitable[None]]
    ) -> None:
        """Answer with the remembered result if a key of the command was used before; else perform it."""
        for key in command.keys:
            row = await self._journal.query(
                self._journal.store.find_key, self._log.key, key.client, key.method, key.key
            )
            if row is None:
                continue
            if row.digest != key.digest:
                raise IdempotencyConflict(
                    "The key was used before with other params.", resource=key.method, id=key.key
                )
            result = msgspec.json.decode(row.result, type=result_type)
            command.finish(msgspec.structs.replace(result, replayed=True))
            return
        self._log.check()  # Before anything else is said of a session whose view cannot change.
        await perform(command)

    def _remember(self, command: Command[Any], result: Callable[[int], msgspec.Struct]) -> Rows | None:
        """Give the rows that remember a command's result, for the transaction of its events."""
        if not command.keys:
            return None
        at = self._journal.now()

        def rows(seq: int) -> list[Change]:
            body = msgspec.json.encode(result(seq))
            return [
                InsertKey(None, key.client, key.method, key.key, key.digest, body, at) for key in command.keys
            ]

        return rows

    # Runs ----------------------------------------------------------------------------------------------

    async def _check_new(self, prompt_id: str | None) -> None:
        """Refuse an id that the log has and no key: a fork begins with its source's prompts, not its keys.

        Raises:
            IdempotencyConflict: naming the prompt.
        """
        if prompt_id is None:
            return
        if await self._journal.query(self._journal.store.find_prompt_status, self._log.key, prompt_id):
            raise IdempotencyConflict(
                "The session has a prompt of this id.", resource="session/prompt", id=prompt_id
            )

    async def _prompt(self, command: Prompt, tasks: TaskGroup) -> None:
        await self._check_new(command.prompt_id)
        await self._expand(command)
        admission = prompts.admit(
            self._view,
            command,
            running=self._slot.busy or self._view.run is not None,
            queued_max=self._limits.queued_prompts_max,
        )

        def result(seq: int) -> SessionPromptResult:
            return SessionPromptResult(
                prompt_id=admission.prompt_id,
                status=_status(admission),
                seq=seq,
                run_id=admission.started.run_id if admission.started else None,
                position=admission.position,
            )

        rows = self._remember(command, result)
        seq = await self._admit(admission, rows, tasks, command.number)
        if command.delivery == "interrupt" and admission.started is None:
            self._slot.cancel(by=command.by, run_id=None, tool_call_id=None)
        command.finish(result(seq))

    async def _expand(self, command: Prompt) -> None:
        """Put what a slash command stands for in its place; the prompt says what was typed."""
        first = command.content[0] if command.content else None
        if not isinstance(first, TextBlock) or not first.text.startswith("/"):
            return
        expanded = await self._parts.extensions.expand(first.text)
        if expanded is not None:
            command.command = first.text
            command.content = (*expanded, *command.content[1:])
            prompts.check_size(command.content, self._limits.prompt_bytes_max)

    async def _continue(self, command: Continue, tasks: TaskGroup) -> None:
        if self._slot.busy or self._view.run is not None:
            raise Busy("The session has a run.", resource="session")
        admission = prompts.take_up(self._view)

        def result(seq: int) -> SessionContinueResult:
            assert admission.started is not None
            return SessionContinueResult(run_id=admission.started.run_id or "", seq=seq)

        rows = self._remember(command, result)
        command.finish(result(await self._admit(admission, rows, tasks, command.number)))

    async def _admit(
        self, admission: Admission, rows: Rows | None, tasks: TaskGroup, number: int | None = None
    ) -> int:
        """Commit an admission and start the run it starts; give the seq that is durable by then."""
        if admission.started is None:
            self._runs.check_serving()
            return await self._journal.commit(self._log, *admission.group, rows=rows)
        self._runs.check_room()
        await self._runs.ready()
        assert self._view.settings is not None
        driver = self._driver(admission.started)
        self._slot.reserve(driver, number)
        try:
            seq = await self._journal.commit(self._log, *self._sandbox_change(), *admission.group, rows=rows)
        except BaseException:
            self._slot.release()
            raise
        self._slot.start(tasks, self._load_history)
        return seq

    def _sandbox_change(self) -> tuple[events.Event, ...]:
        """Say before a run that another sandbox is active than the log says: never a silent fallback."""
        assert self._view.settings is not None
        sandbox = self._runs.sandbox
        return () if sandbox == self._view.settings.sandbox else (events.SessionUpdated(sandbox=sandbox),)

    async def _go_on(self, cause: str, tasks: TaskGroup) -> None:
        """Close a run nobody drives any more, then start the first waiting prompt."""
        if self._slot.busy:
            return
        # Nobody waits any more for what a sub-agent would say.
        goes_on = cause == "daemon_restarted" and not self._parts.consent.delegated
        if goes_on and waits_for_people(self._view):
            await self._runs.ready()
            self._take_up_waiting(tasks)
            return
        closing = closing_events(self._view, cause)
        if closing:
            await self._journal.commit(self._log, *closing)
        admission = prompts.dequeue(self._view)
        if admission is not None and not self._runs.draining:
            await self._admit(admission, None, tasks)

    def _driver(self, started: events.RunStarted, resumed: ResumedRun | None = None) -> Driver:
        assert self._view.settings is not None
        return self._runs.driver(started, self._view.settings, self._parts, resumed=resumed)

    def _take_up_waiting(self, tasks: TaskGroup) -> None:
        """Drive a run on that waited for people when the daemon stopped, under the same requests."""
        run = self._view.run
        assert run is not None
        started = events.RunStarted(
            run_id=run.run_id,
            prompt_id=run.prompt_id,
            agent=run.started.agent,
            model=run.started.model,
            mode=run.started.mode,
            budget=run.started.budget,
        )
        requests = tuple(self._view.requests.values())
        waiting = tuple(request.tool_call_id for request in requests if request.tool_call_id is not None)
        self._slot.reserve(self._driver(started, ResumedRun(run.step, run.usage, run.cost, waiting)))
        for request in requests:
            self._requests.watch(request, tasks)
        self._slot.start(tasks, self._load_history)

    # The queue -----------------------------------------------------------------------------------------

    async def _update_prompt(self, command: UpdatePrompt) -> None:
        params = command.params
        self._check_waiting(params.prompt_id)
        changed = events.PromptUpdated(
            prompt_id=params.prompt_id,
            content=params.content,
            position=params.position,
            by=command.by,
        )
        rows = self._remember(command, lambda seq: MutationResult(seq=seq))
        command.finish(MutationResult(seq=await self._journal.commit(self._log, changed, rows=rows)))

    async def _remove_prompt(self, command: RemovePrompt) -> None:
        if command.prompt_id is not None:
            self._check_waiting(command.prompt_id)
        names = [command.prompt_id] if command.prompt_id is not None else list(self._view.queue)
        removed = [events.PromptRemoved(prompt_id=name, reason="removed", by=command.by) for name in names]
        rows = self._remember(command, lambda seq: MutationResult(seq=seq))
        seq = self._log.head
        if removed or rows:
            seq = await self._journal.commit(self._log, *removed, rows=rows)
        command.finish(MutationResult(seq=seq))

    async def _deliver_steers(self, command: DeliverSteers) -> None:
        delivered = [
            events.PromptUpdated(run_id=command.run_id, prompt_id=name, status="delivered", step=command.step)
            for name, prompt in self._view.queue.items()
            if prompt.delivery == "steer" and name in command.prompt_ids
        ]
        if delivered:
            await self._journal.commit(self._log, *delivered)
        command.finish(None)

    def _check_waiting(self, prompt_id: str) -> None:
        if prompt_id not in self._view.queue:
            raise NotFound("No such waiting prompt.", resource="prompt", id=prompt_id)

    # The rest ------------------------------------------------------------------------------------------

    async def _update(self, command: Update) -> None:
        changes = settings_events(self._view, command.params, command.by)
        rows = self._remember(command, lambda seq: MutationResult(seq=seq))
        seq = self._log.head
        if changes or rows:
            seq = await self._journal.commit(self._log, *changes, rows=rows)
        command.finish(MutationResult(seq=seq))

    async def _clear_queue(self, command: ClearQueue) -> None:
        removed = [
            events.PromptRemoved(prompt_id=prompt_id, reason="cleared", by=command.by)
            for prompt_id in self._view.queue
        ]
        if removed:
            await self._journal.commit(self._log, *removed)
        command.finish(None)

    async def _close(self, command: Close) -> None:
        if command.if_idle and self._slot.busy:
            raise Busy("The session has a run.", resource="session")
        await self._end_run(command.by)
        rows = self._remember(command, lambda seq: MutationResult(seq=seq))
        seq = await self._journal.commit(self._log, rows=rows) if rows else self._log.head
        command.finish(MutationResult(seq=seq))

    async def _delete(self, command: Delete) -> None:
        await self._end_run(command.by)
        await self._journal.commit(self._log, events.SessionEnded(reason="deleted"))
        command.finish(None)

    async def _end_run(self, by: str) -> None:
        self._slot.cancel(by=by, run_id=None, tool_call_id=None)
        await self._slot.freed()
