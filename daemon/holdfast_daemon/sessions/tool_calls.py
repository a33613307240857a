"""A step's tool calls: admitted in order, run together, each with one outcome in the log.

    admission → `tool_call_started` durable → run → post-hooks → outcome

A call that is refused on the way has an outcome and no start: a start means that it was allowed.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from holdfast_daemon.execution.executor import PreparedCall, SessionExecutor, ToolRefusal
from holdfast_daemon.journal.redactor import Redactor
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.consent import Unattended
from holdfast_daemon.sessions.model_output import Call
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.sessions.tool_admission import Asked, ToolAdmission
from holdfast_daemon.sessions.tool_hooks import ToolHooks
from holdfast_daemon.sessions.workspace import Workspace
from holdfast_daemon.tools.base import Delegate, ToolContext, ToolResult
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.events import ErrorInfo

BAD_INPUTS_MAX: Final = 3
"""A model that writes input that is not JSON is told so; after this many times the run fails."""

_PIECE_CHARACTERS_MAX: Final = 16 * 1024
"""A tool may give its output in one go; in the log it comes in pieces like a model's."""

_CANCELLED: Final = ErrorInfo(kind="cancelled", message="The call was cancelled.")

_PARTIAL_CHARACTERS_MAX: Final = 64 * 1024


class _OpenCall:
    """A call without an outcome.

    Attributes:
        scope: cancels this call alone.
        parts: its output so far.
        asked: the question it waits on, if it does.
        writing: held while output is put into the log: pieces of one call follow each other.
        over: its outcome is queued; what it still says is for nobody.
        withheld: a hook refused its result: what it said before is not repeated to the model.
    """

    __slots__ = ("asked", "call", "length", "over", "parts", "scope", "withheld", "writing")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.scope = anyio.CancelScope()
        self.parts: list[str] = []
        self.length = 0
        self.asked: Asked | None = None
        self.writing = anyio.Lock()
        self.over = False
        self.withheld = False


class ToolCalls:
    """One run's tool calls.

    Args:
        log: where the events go.
        admission: says which may start.
        session_executor: runs them.
        hooks: see results.
        redactor: what all text passes.
        workspace: where they work.
        delegate: has sub-agents do tasks.
    """

    def __init__(
        self,
        log: RunLog,
        admission: ToolAdmission,
        session_executor: SessionExecutor,
        hooks: ToolHooks,
        redactor: Redactor,
        workspace: Workspace,
        delegate: Delegate,
    ) -> None:
        self._log = log
        self._admission = admission
        self._session_executor = session_executor
        self._hooks = hooks
        self._redactor = redactor
        self._workspace = workspace
        self._delegate = delegate
        self._open: dict[str, _OpenCall] = {}
        self._expected: frozenset[str] = frozenset()
        self._cancelled_early: set[str] = set()
        self._bad_inputs = 0

    def limit_to(self, may_use: Callable[[str], bool]) -> None:
        """Say which tools the run's agent may use."""
        self._admission.limit_to(may_use)

    def expect(self, tool_call_ids: Iterable[str]) -> None:
        """Say which calls will go on: the run waited for answers through a restart, and is being taken up."""
        self._expected = frozenset(tool_call_ids)

    async def run(self, calls: Sequence[Call], *, resumed: bool = False) -> None:
        """Run calls; returns when each has its outcome in the log.

        Args:
            calls: of one step, in the model's order.
            resumed: the run waited through a restart: some may have been asked about already.

        Raises:
            ModelError: the model wrote input that is no JSON, once too often; or nobody is here to answer,
                and the session is to fail then.
            StorageUnavailable: an outcome could not be stored.
        """
        self._open = {call.tool_call_id: _OpenCall(call) for call in calls}
        for tool_call_id in self._cancelled_early & self._open.keys():
            self._open[tool_call_id].scope.cancel()
        self._expected = frozenset()
        storage: StorageUnavailable | None = None
        unattended = False
        try:
            await self._run_together(list(self._open.values()), resumed=resumed)
        except* StorageUnavailable as group:
            storage = StorageUnavailable(str(group.exceptions[0]))
        except* Unattended:
            unattended = True
        if storage is not None:
            raise storage
        if unattended:
            message = "A tool needed permission, and nobody was there to give it."
            raise ModelError(ErrorInfo(kind="unattended", message=message))
        if self._bad_inputs >= BAD_INPUTS_MAX:
            message = "The model keeps writing tool input that is no JSON."
            raise ModelError(ErrorInfo(kind="bad_tool_input", message=message))

    def cancel(self, tool_call_id: str) -> bool:
        """Cancel one call; False if it has its outcome, or is not known."""
        call = self._open.get(tool_call_id)
        if call is not None:
            call.scope.cancel()
        elif tool_call_id in self._expected:
            self._cancelled_early.add(tool_call_id)
        return call is not None or tool_call_id in self._expected

    def closing_events(self) -> tuple[events.Event, ...]:
        """Give the ends of calls that were cut with the run."""
        for call in self._open.values():
            call.over = True
        ends = tuple(self._failed(call, _CANCELLED) for call in self._open.values())
        self._open.clear()
        return ends

    async def _run_together(self, calls: Sequence[_OpenCall], *, resumed: bool) -> None:
        async with anyio.create_task_group() as tasks:
            for call in calls:
                checked = await self._admission.asked_before(call.call) if resumed else None
                if checked is None:
                    checked = await self._admission.check(call.call)
                if isinstance(checked, ToolRefusal):
                    await self._refuse(call, checked)
                    continue
                call.asked = checked if isinstance(checked, Asked) else None
                tasks.start_soon(self._run_one, call, checked)

    async def _refuse(self, call: _OpenCall, refusal: ToolRefusal) -> None:
        if refusal.error.kind == "invalid_input" and isinstance(refusal.raw_input, str):
            self._bad_inputs += 1
        await self._end(call, self._failed(call, refusal.error))

    # From the start to the outcome ---------------------------------------------------------------------

    async def _run_one(self, call: _OpenCall, checked: PreparedCall | Asked) -> None:
        started: float | None = None
        outcome: ToolResult | ErrorInfo = _CANCELLED
        with call.scope:
            allowed = checked
            if isinstance(allowed, Asked):
                allowed = await self._admission.answered(call.call, allowed)
                call.asked = None
            if isinstance(allowed, PreparedCall):
                await self._start(call, allowed)
                started = time.monotonic()
                result = await self._session_executor.run(allowed, self._context(call))
                if isinstance(result, ToolResult):  # Until the hooks have seen it, it is nobody's.
                    result = await self._seen(call, allowed, result)
                outcome = result
            else:
                outcome = allowed
        if call.scope.cancelled_caught and call.asked is not None:
            await self._admission.withdraw(call.asked)
        duration_ms = None if started is None else int((time.monotonic() - started) * 1000)
        if isinstance(outcome, ErrorInfo):
            await self._end(call, self._failed(call, outcome, duration_ms))
        else:
            await self._end(call, *self._completed(call, outcome, duration_ms or 0))

    async def _seen(
        self, call: _OpenCall, prepared: PreparedCall, result: ToolResult
    ) -> ToolResult | ErrorInfo:
        """Let the post-hooks see a result; of what they refuse or change the model finds nothing else."""
        seen = await self._hooks.after(call.call, prepared, result)
        if seen is not result:
            await self._session_executor.forget(call.call.tool_call_id)
        if isinstance(seen, ErrorInfo):
            call.withheld = True
        return seen

    async def _start(self, call: _OpenCall, prepared: PreparedCall) -> None:
        """Put the start on disk: after a crash it is known that the tool may have run."""
        await self._log.commit(
            events.ToolCallStarted(
                run_id=self._log.run_id,
                tool_call_id=call.call.tool_call_id,
                step=call.call.step,
                tool=call.call.tool,
                kind=prepared.kind,
                input=prepared.raw_input,
                title=prepared.title,
                locations=prepared.locations,
            )
        )

    def _context(self, call: _OpenCall) -> ToolContext:
        return ToolContext(
            tool_call_id=call.call.tool_call_id,
            cwd=self._workspace.cwd,
            roots=self._workspace.roots,
            hidden=self._workspace.hidden,
            env=self._workspace.env,
            output=lambda text: self._output(call, text),
            delegate=self._delegate,
        )

    async def _output(self, call: _OpenCall, text: str) -> None:
        async with call.writing:
            if not call.over:
                await self._write(call, text)

    async def _write(self, call: _OpenCall, text: str) -> None:
        text = self._redactor.feed(call.call.tool_call_id, text)
        for start in range(0, len(text), _PIECE_CHARACTERS_MAX):
            piece = text[start : start + _PIECE_CHARACTERS_MAX]
            await self._log.room()
            if call.over:  # The run was cut meanwhile; its end may be in the log.
                return
            self._log.emit_nowait(
                events.ToolOutput, tool_call_id=call.call.tool_call_id, offset=call.length, text=piece
            )
            call.parts.append(piece)
            call.length += len(piece)

    async def _end(self, call: _OpenCall, *outcome: events.Event) -> None:
        async with call.writing:
            call.over = True
        self._open.pop(call.call.tool_call_id, None)  # From here on the outcome is queued.
        await self._log.commit(*outcome)

    def _failed(
        self, call: _OpenCall, error: ErrorInfo, duration_ms: int | None = None
    ) -> events.ToolCallFailed:
        return events.ToolCallFailed(
            run_id=self._log.run_id,
            tool_call_id=call.call.tool_call_id,
            error=error,
            duration_ms=duration_ms,
            partial=None if call.withheld else _tail(call.parts),
        )

    def _completed(self, call: _OpenCall, result: ToolResult, duration_ms: int) -> tuple[events.Event, ...]:
        """Give a call's outcome and, stored with it, the plan it leaves."""
        completed = events.ToolCallCompleted(
            run_id=self._log.run_id,
            tool_call_id=call.call.tool_call_id,
            result=result.content,
            duration_ms=duration_ms,
            diff=result.diff,
            truncated=result.truncated,
        )
        if result.plan is None:
            return (completed,)
        return (completed, events.PlanUpdated(run_id=self._log.run_id, entries=result.plan))


def _tail(parts: list[str]) -> str | None:
    """Give the end of a failed call's output: the whole of it is in the log already."""
    text = "".join(parts)
    return text[-_PARTIAL_CHARACTERS_MAX:] or None
