"""A step's tool calls: checked in order, run together, each with its start and its one outcome in the log."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from holdfast_daemon.execution.executor import Executor, PreparedCall, SessionExecutor, ToolRefusal
from holdfast_daemon.journal.redactor import Redactor
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.model_output import Call
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.tools.base import ToolContext, ToolResult
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.events import ErrorInfo

BAD_INPUTS_MAX: Final = 3
"""A model that writes input that is not JSON is told so; after this many times the run fails."""

_PIECE_CHARACTERS_MAX: Final = 16 * 1024
"""A tool may give its output in one go; in the log it comes in pieces like a model's."""

_CANCELLED: Final = ErrorInfo(kind="cancelled", message="The call was cancelled by the user.")


class _RunningCall:
    """A call that has started and has no outcome."""

    __slots__ = ("length", "parts", "scope", "tool_call_id")

    def __init__(self, tool_call_id: str) -> None:
        self.tool_call_id = tool_call_id
        self.scope = anyio.CancelScope()
        self.parts: list[str] = []
        self.length = 0


class ToolCalls:
    """One run's tool calls.

    Args:
        log: where the events go.
        executor: checks calls.
        session_executor: runs them.
        redactor: what all text passes.
        cwd: the session's directory.
        roots: the directories tools may touch.
        env: the session's environment.
    """

    def __init__(
        self,
        log: RunLog,
        executor: Executor,
        session_executor: SessionExecutor,
        redactor: Redactor,
        *,
        cwd: str,
        roots: tuple[str, ...],
        env: Mapping[str, str],
    ) -> None:
        self._log = log
        self._executor = executor
        self._session_executor = session_executor
        self._redactor = redactor
        self._cwd = cwd
        self._roots = roots
        self._env = env
        self._running: dict[str, _RunningCall] = {}
        self._bad_inputs = 0

    async def run(self, calls: Sequence[Call]) -> None:
        """Run calls; returns when each has its outcome in the log.

        Raises:
            ModelError: the model wrote input that is no JSON, once too often.
            StorageUnavailable: an outcome could not be stored.
        """
        unavailable: StorageUnavailable | None = None
        try:
            await self._run_together(calls)
        except* StorageUnavailable as group:
            unavailable = StorageUnavailable(str(group.exceptions[0]))
        if unavailable is not None:
            raise unavailable
        if self._bad_inputs >= BAD_INPUTS_MAX:
            raise ModelError(
                ErrorInfo(
                    kind="bad_tool_input", message="The model keeps writing tool input that is no JSON."
                )
            )

    async def _run_together(self, calls: Sequence[Call]) -> None:
        async with anyio.create_task_group() as tasks:
            for call in calls:
                prepared = self._executor.prepare(call.tool, call.input_json, self._cwd)
                if isinstance(prepared, ToolRefusal):
                    await self._refuse(call, prepared)
                else:
                    await self._start(call, prepared)
                    tasks.start_soon(self._run_one, call, prepared)

    def cancel(self, tool_call_id: str) -> bool:
        """Cancel one call; False if it is not running."""
        call = self._running.get(tool_call_id)
        if call is None:
            return False
        call.scope.cancel()
        return True

    def closing_events(self) -> tuple[events.Event, ...]:
        """Give the ends of calls that have started and were cut with the run."""
        ends = tuple(
            events.ToolCallFailed(
                run_id=self._log.run_id,
                tool_call_id=call.tool_call_id,
                error=_CANCELLED,
                partial=_tail(call.parts),
            )
            for call in self._running.values()
        )
        self._running.clear()
        return ends

    async def _refuse(self, call: Call, refusal: ToolRefusal) -> None:
        if refusal.error.kind == "invalid_input" and isinstance(refusal.raw_input, str):
            self._bad_inputs += 1
        await self._log.commit(
            events.ToolCallStarted(
                run_id=self._log.run_id,
                tool_call_id=call.tool_call_id,
                step=call.step,
                tool=call.tool,
                kind="other",
                input=refusal.raw_input,
                title=call.tool,
            ),
            events.ToolCallFailed(
                run_id=self._log.run_id, tool_call_id=call.tool_call_id, error=refusal.error
            ),
        )

    async def _start(self, call: Call, prepared: PreparedCall) -> None:
        """Put the start on disk: after a crash it is known that the tool may have run."""
        # Registered first: the start is queued before the commit waits, and must then get its end.
        self._running[call.tool_call_id] = _RunningCall(call.tool_call_id)
        await self._log.commit(
            events.ToolCallStarted(
                run_id=self._log.run_id,
                tool_call_id=call.tool_call_id,
                step=call.step,
                tool=call.tool,
                kind=prepared.kind,
                input=prepared.raw_input,
                title=prepared.title,
                locations=prepared.locations,
            )
        )

    async def _run_one(self, call: Call, prepared: PreparedCall) -> None:
        running = self._running[call.tool_call_id]
        context = ToolContext(
            cwd=self._cwd,
            roots=self._roots,
            env=self._env,
            output=lambda text: self._output(running, text),
        )
        started = time.monotonic()
        outcome: ToolResult | ErrorInfo = _CANCELLED
        with running.scope:
            outcome = await self._session_executor.run(prepared, context)
        duration_ms = int((time.monotonic() - started) * 1000)
        self._running.pop(call.tool_call_id, None)  # From here on the outcome is queued.
        await self._log.commit(self._outcome_event(running, outcome, duration_ms))

    async def _output(self, running: _RunningCall, text: str) -> None:
        text = self._redactor.feed(running.tool_call_id, text)
        for start in range(0, len(text), _PIECE_CHARACTERS_MAX):
            piece = text[start : start + _PIECE_CHARACTERS_MAX]
            await self._log.emit(
                events.ToolOutput, tool_call_id=running.tool_call_id, offset=running.length, text=piece
            )
            running.parts.append(piece)
            running.length += len(piece)

    def _outcome_event(
        self, running: _RunningCall, outcome: ToolResult | ErrorInfo, duration_ms: int
    ) -> events.Event:
        if isinstance(outcome, ErrorInfo):
            return events.ToolCallFailed(
                run_id=self._log.run_id,
                tool_call_id=running.tool_call_id,
                error=outcome,
                duration_ms=duration_ms,
                partial=_tail(running.parts),
            )
        return events.ToolCallCompleted(
            run_id=self._log.run_id,
            tool_call_id=running.tool_call_id,
            result=outcome.content,
            duration_ms=duration_ms,
            diff=outcome.diff,
            truncated=outcome.truncated,
        )


_PARTIAL_CHARACTERS_MAX: Final = 64 * 1024


def _tail(parts: list[str]) -> str | None:
    """Give the end of a failed call's output: the whole of it is in the log already."""
    text = "".join(parts)
    return text[-_PARTIAL_CHARACTERS_MAX:] or None
