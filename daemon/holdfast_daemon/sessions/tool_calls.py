"""A step's tool calls: checked and asked about in order, run together, each with one outcome in the log.

    schema check → pre-hooks → gate → (ask) → `tool_call_started` durable → run → post-hooks → outcome

A call that is refused on the way has an outcome and no start: a start means that it was allowed.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec

from holdfast_daemon.execution.executor import Executor, PreparedCall, SessionExecutor, ToolRefusal
from holdfast_daemon.execution.gate import Decision, GateCall, Verdict, decide, takes_always
from holdfast_daemon.execution.hooks import HookEvent, HookReport, Hooks
from holdfast_daemon.journal.redactor import Redactor
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.consent import Consent, Unattended
from holdfast_daemon.sessions.model_output import Call
from holdfast_daemon.sessions.permissions import binding_of, permission_options
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.tools.base import Tool, ToolContext, ToolResult
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.events import ErrorInfo, Json

BAD_INPUTS_MAX: Final = 3
"""A model that writes input that is not JSON is told so; after this many times the run fails."""

_PIECE_CHARACTERS_MAX: Final = 16 * 1024
"""A tool may give its output in one go; in the log it comes in pieces like a model's."""

_CANCELLED: Final = ErrorInfo(kind="cancelled", message="The call was cancelled by the user.")

_PARTIAL_CHARACTERS_MAX: Final = 64 * 1024


class _OpenCall:
    """A call without an outcome.

    Attributes:
        scope: cancels this call alone.
        parts: its output so far.
        request_id: the question it waits on, if it does.
    """

    __slots__ = ("call", "length", "parts", "request_id", "scope")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.scope = anyio.CancelScope()
        self.parts: list[str] = []
        self.length = 0
        self.request_id: str | None = None


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session's tools work.

    Attributes:
        session_id: the session's.
        cwd: its directory, absolute.
        roots: the directories tools may touch; the first is `cwd`.
        env: its environment.
        hosted: tools that clients run for it; changes as they come and go.
        sandboxed: whether commands are confined.
    """

    session_id: str
    cwd: str
    roots: tuple[str, ...]
    env: Mapping[str, str]
    hosted: Mapping[str, Tool]
    sandboxed: bool


class ToolCalls:
    """One run's tool calls.

    Args:
        log: where the events go.
        executor: checks calls.
        session_executor: runs them.
        hooks: the daemon's.
        consent: the session's modes, rules and people.
        redactor: what all text passes.
        workspace: where they work.
    """

    def __init__(
        self,
        log: RunLog,
        executor: Executor,
        session_executor: SessionExecutor,
        hooks: Hooks,
        consent: Consent,
        redactor: Redactor,
        workspace: Workspace,
    ) -> None:
        self._log = log
        self._executor = executor
        self._session_executor = session_executor
        self._hooks = hooks
        self._consent = consent
        self._redactor = redactor
        self._workspace = workspace
        self._open: dict[str, _OpenCall] = {}
        self._bad_inputs = 0

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
        if call is None:
            return False
        call.scope.cancel()
        return True

    def closing_events(self) -> tuple[events.Event, ...]:
        """Give the ends of calls that were cut with the run."""
        ends = tuple(self._failed(call, _CANCELLED) for call in self._open.values())
        self._open.clear()
        return ends

    async def _run_together(self, calls: Sequence[_OpenCall], *, resumed: bool) -> None:
        async with anyio.create_task_group() as tasks:
            for call in calls:
                if resumed and await self._consent.asked_before(_request_id(call)):
                    call.request_id = _request_id(call)
                    tasks.start_soon(self._run_one, call, None)
                elif (prepared := await self._check(call)) is not None:
                    tasks.start_soon(self._run_one, call, prepared)

    # Before the start ----------------------------------------------------------------------------------

    async def _check(self, call: _OpenCall) -> PreparedCall | None:
        """Bring a call to where it may start, or must wait for an answer; None if it was refused."""
        prepared = self._prepare(call, call.call.input_json)
        if isinstance(prepared, PreparedCall):
            prepared = await self._before(call, prepared)
        if isinstance(prepared, ToolRefusal):
            await self._refuse(call, prepared)
            return None
        return await self._pass_gate(call, prepared)

    def _prepare(self, call: _OpenCall, input_json: str) -> PreparedCall | ToolRefusal:
        return self._executor.prepare(call.call.tool, input_json, self._workspace.cwd, self._workspace.hosted)

    async def _before(self, call: _OpenCall, prepared: PreparedCall) -> PreparedCall | ToolRefusal:
        """Let the pre-hooks see the call; what they make of it is checked again."""
        if not self._hooks.wanted("pre_tool_use", call.call.tool):
            return prepared
        reports = await self._hook(call, "pre_tool_use", input=prepared.raw_input)
        last = reports[-1]
        if last.decision == "deny":
            error = ErrorInfo(kind="hook_denied", message=last.reason or "A hook refused.")
            return ToolRefusal(tool=call.call.tool, raw_input=prepared.raw_input, error=error)
        changed = [report.value for report in reports if report.decision == "modify"]
        if not changed:
            return prepared
        return self._prepare(call, msgspec.json.encode(changed[-1]).decode())

    async def _pass_gate(self, call: _OpenCall, prepared: PreparedCall) -> PreparedCall | None:
        seen = self._seen(call, prepared)
        verdict = self._verdict(seen)
        if verdict.decision is Decision.DENY:
            await self._end(call, self._failed(call, ErrorInfo(kind="denied", message=verdict.reason)))
            return None
        if verdict.decision is Decision.ASK:
            await self._ask(call, prepared, seen)
        return prepared

    def _seen(self, call: _OpenCall, prepared: PreparedCall) -> GateCall:
        hosted = call.call.tool in self._workspace.hosted
        return GateCall(call.call.tool, prepared.kind, _match(prepared), hosted=hosted)

    def _verdict(self, seen: GateCall) -> Verdict:
        rules = self._consent.standing_rules()
        return decide(seen, self._consent.mode, rules, sandboxed=self._workspace.sandboxed)

    async def _ask(self, call: _OpenCall, prepared: PreparedCall, seen: GateCall) -> None:
        workspace = self._workspace
        request = events.RequestOpened(
            run_id=self._log.run_id,
            request_id=_request_id(call),
            kind="permission",
            title=prepared.title,
            detail={
                "tool": call.call.tool,
                "kind": prepared.kind,
                "input": prepared.raw_input,
                "locations": prepared.locations,
                "match": seen.match,
                "binding": self._binding(call, prepared.raw_input),
                "roots": workspace.roots,
            },
            options=permission_options(always=takes_always(seen, sandboxed=workspace.sandboxed)),
            tool_call_id=call.call.tool_call_id,
        )
        call.request_id = request.request_id
        await self._consent.open(request)

    def _binding(self, call: _OpenCall, tool_input: Json) -> str:
        return binding_of(self._workspace.session_id, self._log.run_id, call.call.tool, tool_input)

    async def _refuse(self, call: _OpenCall, refusal: ToolRefusal) -> None:
        if refusal.error.kind == "invalid_input" and isinstance(refusal.raw_input, str):
            self._bad_inputs += 1
        await self._end(call, self._failed(call, refusal.error))

    # From the start to the outcome ---------------------------------------------------------------------

    async def _run_one(self, call: _OpenCall, prepared: PreparedCall | None) -> None:
        started: float | None = None
        outcome: ToolResult | ErrorInfo = _CANCELLED
        with call.scope:
            allowed = await self._permission(call, prepared)
            if isinstance(allowed, PreparedCall):
                await self._start(call, allowed)
                started = time.monotonic()
                outcome = await self._session_executor.run(allowed, self._context(call))
                outcome = await self._after(call, allowed, outcome)
            else:
                outcome = allowed
        if call.scope.cancelled_caught and call.request_id is not None:
            await self._consent.withdraw(call.request_id)
        duration_ms = None if started is None else int((time.monotonic() - started) * 1000)
        if isinstance(outcome, ErrorInfo):
            await self._end(call, self._failed(call, outcome, duration_ms))
        else:
            await self._end(call, *self._completed(call, outcome, duration_ms or 0))

    async def _permission(self, call: _OpenCall, prepared: PreparedCall | None) -> PreparedCall | ErrorInfo:
        """Wait for the answer, if one was asked for; give what may start, or why nothing may."""
        if call.request_id is None:
            assert prepared is not None
            return prepared
        request, answer = await self._consent.answer(call.request_id)
        call.request_id = None
        if answer.outcome == "allow":
            return self._look_again(call, request)
        reason = f" {answer.by} says: {answer.message}" if answer.message else ""
        return ErrorInfo(kind="denied", message=f"The call was not allowed.{reason}")

    def _look_again(self, call: _OpenCall, request: events.RequestOpened) -> PreparedCall | ErrorInfo:
        """Give what was asked about as it can run now: its tool may be gone, a new mode may refuse it."""
        prepared = self._prepare(call, msgspec.json.encode(request.detail["input"]).decode())
        if isinstance(prepared, ToolRefusal):
            return prepared.error
        if request.detail["binding"] != self._binding(call, prepared.raw_input):
            return ErrorInfo(kind="denied", message="The answer was about another input.")
        verdict = self._verdict(self._seen(call, prepared))
        if verdict.decision is Decision.DENY:
            return ErrorInfo(kind="denied", message=verdict.reason)
        return prepared

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
            env=self._workspace.env,
            output=lambda text: self._output(call, text),
        )

    async def _after(
        self, call: _OpenCall, prepared: PreparedCall, outcome: ToolResult | ErrorInfo
    ) -> ToolResult | ErrorInfo:
        """Let the post-hooks see a result; one that refuses or talks nonsense withholds it."""
        if isinstance(outcome, ErrorInfo) or not self._hooks.wanted("post_tool_use", call.call.tool):
            return outcome
        reports = await self._hook(
            call, "post_tool_use", input=prepared.raw_input, result=msgspec.to_builtins(outcome.content)
        )
        if reports[-1].decision == "deny":
            return ErrorInfo(kind="hook_denied", message=reports[-1].reason or "A hook refused.")
        changed = [report.value for report in reports if report.decision == "modify"]
        if not changed:
            return outcome
        try:
            content = msgspec.convert(changed[-1], tuple[ContentBlock, ...])
        except msgspec.ValidationError as error:
            return ErrorInfo(kind="hook_denied", message=f"A hook's result is no content: {error}")
        return msgspec.structs.replace(outcome, content=content)

    async def _hook(self, call: _OpenCall, event: HookEvent, **values: Any) -> list[HookReport]:
        seen: dict[str, Any] = {
            "sessionId": self._workspace.session_id,
            "runId": self._log.run_id,
            "toolCallId": call.call.tool_call_id,
            "tool": call.call.tool,
            "cwd": self._workspace.cwd,
            "mode": self._consent.mode,
            **values,
        }
        reports = await self._hooks.run(event, seen)
        for report in reports:
            await self._report(call, report)
        return reports

    async def _report(self, call: _OpenCall, report: HookReport) -> None:
        common = {
            "hook": report.hook,
            "event": report.event,
            "duration_ms": report.duration_ms,
            "tool_call_id": call.call.tool_call_id,
        }
        if report.decision == "deny":
            await self._log.emit(events.HookDenied, reason=report.reason or "", **common)
        else:
            await self._log.emit(
                events.HookExecuted, decision=report.decision, reason=report.reason, **common
            )

    async def _output(self, call: _OpenCall, text: str) -> None:
        text = self._redactor.feed(call.call.tool_call_id, text)
        for start in range(0, len(text), _PIECE_CHARACTERS_MAX):
            piece = text[start : start + _PIECE_CHARACTERS_MAX]
            await self._log.emit(
                events.ToolOutput, tool_call_id=call.call.tool_call_id, offset=call.length, text=piece
            )
            call.parts.append(piece)
            call.length += len(piece)

    async def _end(self, call: _OpenCall, *outcome: events.Event) -> None:
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
            partial=_tail(call.parts),
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


def _request_id(call: _OpenCall) -> str:
    return f"{call.call.tool_call_id}-q"


def _match(prepared: PreparedCall) -> str | None:
    """Give what a rule about this call names: the exact command; other tools are covered whole."""
    if prepared.kind != "execute":
        return None
    raw = prepared.raw_input
    command = raw.get("command") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return command if isinstance(command, str) else msgspec.json.encode(raw).decode()


def _tail(parts: list[str]) -> str | None:
    """Give the end of a failed call's output: the whole of it is in the log already."""
    text = "".join(parts)
    return text[-_PARTIAL_CHARACTERS_MAX:] or None
