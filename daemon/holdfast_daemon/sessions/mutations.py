"""What a session's commands do: each decides on the view, commits events, and answers.

Carried out by the session's task, one after the other, so that the view is never behind a decision.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, assert_never

import msgspec
from anyio.abc import TaskGroup

from holdfast_daemon.config import SessionLimits
from holdfast_daemon.execution.executor import SessionExecutor
from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_daemon.journal.pending import Rows
from holdfast_daemon.journal.store import Change, InsertKey
from holdfast_daemon.sessions import prompts
from holdfast_daemon.sessions.commands import (
    ClearQueue,
    Close,
    Command,
    Continue,
    Delete,
    Inbound,
    Prompt,
    Recover,
    RunEnded,
    Update,
)
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.prompts import Admission
from holdfast_daemon.sessions.recovery import closing_events
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.sessions.run_slot import RunSlot
from holdfast_daemon.sessions.settings import settings_events
from holdfast_protocol import events
from holdfast_protocol.errors import Busy, IdempotencyConflict
from holdfast_protocol.methods.prompt import SessionContinueResult, SessionPromptResult
from holdfast_protocol.methods.session import MutationResult
from holdfast_protocol.view import View

C = TypeVar("C", bound=Command[Any])


class Mutations:
    """Carries out one session's commands.

    Args:
        view: the session's; changes as events are committed.
        log: the session's.
        journal: the daemon's.
        slot: the session's.
        runs: makes drivers.
        executor: the session's share.
        env: the session's environment.
        limits: of sessions.
        load_history: gives the session's conversation.
    """

    def __init__(
        self,
        view: View,
        log: SessionLog,
        journal: Journal,
        slot: RunSlot,
        runs: RunFactory,
        executor: SessionExecutor,
        env: dict[str, str],
        limits: SessionLimits,
        load_history: Callable[[], Awaitable[History]],
    ) -> None:
        self._view = view
        self._log = log
        self._journal = journal
        self._slot = slot
        self._runs = runs
        self._executor = executor
        self._env = env
        self._limits = limits
        self._load_history = load_history

    async def carry_out(self, item: Inbound, tasks: TaskGroup) -> None:
        """Carry out one command and answer it.

        Args:
            item: what to do.
            tasks: where a run that is started belongs.

        Raises:
            RpcError: it is refused, and nothing was done.
        """
        match item:
            case Prompt():
                await self._once(item, SessionPromptResult, lambda command: self._prompt(command, tasks))
            case Continue():
                await self._once(item, SessionContinueResult, lambda command: self._continue(command, tasks))
            case Update():
                await self._once(item, MutationResult, self._update)
            case Close():
                await self._once(item, MutationResult, self._close)
            case Delete():
                await self._delete(item)
            case ClearQueue():
                await self._clear_queue(item)
            case RunEnded():
                await self._go_on("storage_unavailable", tasks)
            case Recover():
                await self._go_on(item.cause, tasks)
                item.finish(None)
            case _:
                assert_never(item)

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
        admission = prompts.admit(
            self._view,
            command,
            running=self._slot.busy or self._view.run is not None,
            queued_max=self._limits.queued_prompts_max,
        )

        def result(seq: int) -> SessionPromptResult:
            return SessionPromptResult(
                prompt_id=admission.prompt_id,
                status="queued" if admission.started is None else "started",
                seq=seq,
                run_id=admission.started.run_id if admission.started else None,
                position=admission.position,
            )

        rows = self._remember(command, result)
        command.finish(result(await self._admit(admission, rows, tasks, command.number)))

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
        assert self._view.settings is not None
        driver = self._runs.driver(
            admission.started, self._log, self._view.settings, self._env, self._executor
        )
        self._slot.reserve(driver, number)
        try:
            seq = await self._journal.commit(self._log, *admission.group, rows=rows)
        except BaseException:
            self._slot.release()
            raise
        self._slot.start(tasks, self._load_history)
        return seq

    async def _go_on(self, cause: str, tasks: TaskGroup) -> None:
        """Close a run nobody drives any more, then start the first waiting prompt."""
        if self._slot.busy:
            return
        closing = closing_events(self._view, cause)
        if closing:
            await self._journal.commit(self._log, *closing)
        admission = prompts.dequeue(self._view)
        if admission is not None and not self._runs.draining:
            await self._admit(admission, None, tasks)

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
