"""A run's hooks: each sees a call before and after it; what it did is in the log. Knows no permissions."""

from typing import Any

import msgspec

from holdfast_daemon.execution.executor import PreparedCall
from holdfast_daemon.execution.hooks import HookEvent, HookReport
from holdfast_daemon.sessions.consent import Consent
from holdfast_daemon.sessions.extension_slot import SlotHooks
from holdfast_daemon.sessions.model_output import Call
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.sessions.workspace import Workspace
from holdfast_daemon.tools.base import ToolResult
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import ErrorInfo


class ToolHooks:
    """The hooks of the daemon and of the session's plugins, for one run.

    Args:
        log: where their reports go.
        hooks: the session's.
        consent: says which mode holds.
        workspace: the session's.
    """

    def __init__(self, log: RunLog, hooks: SlotHooks, consent: Consent, workspace: Workspace) -> None:
        self._log = log
        self._hooks = hooks
        self._consent = consent
        self._workspace = workspace

    async def before(self, call: Call, prepared: PreparedCall) -> str | ErrorInfo | None:
        """Let the pre-hooks see a call; give the input as JSON if they changed it, or why they refuse."""
        if not self._hooks.wanted("pre_tool_use", call.tool):
            return None
        reports = await self._run("pre_tool_use", call, input=prepared.raw_input)
        if (refusal := _refusal(reports)) is not None:
            return refusal
        changed = [report.value for report in reports if report.decision == "modify"]
        return msgspec.json.encode(changed[-1]).decode() if changed else None

    async def after(self, call: Call, prepared: PreparedCall, result: ToolResult) -> ToolResult | ErrorInfo:
        """Let the post-hooks see a result; one that refuses or talks nonsense withholds it."""
        if not self._hooks.wanted("post_tool_use", call.tool):
            return result
        shown = msgspec.to_builtins(result.content)
        reports = await self._run("post_tool_use", call, input=prepared.raw_input, result=shown)
        if (refusal := _refusal(reports)) is not None:
            return refusal
        changed = [report.value for report in reports if report.decision == "modify"]
        if not changed:
            return result
        try:
            content = msgspec.convert(changed[-1], tuple[ContentBlock, ...])
        except msgspec.ValidationError as error:
            return ErrorInfo(kind="hook_denied", message=f"A hook's result is no content: {error}")
        return msgspec.structs.replace(result, content=content)

    async def _run(self, event: HookEvent, call: Call, **values: Any) -> list[HookReport]:
        seen: dict[str, Any] = {
            "sessionId": self._workspace.session_id,
            "runId": self._log.run_id,
            "toolCallId": call.tool_call_id,
            "tool": call.tool,
            "cwd": self._workspace.cwd,
            "mode": self._consent.mode,
            **values,
        }
        reports = await self._hooks.run(event, seen)
        for report in reports:
            await self._report(call, report)
        return reports

    async def _report(self, call: Call, report: HookReport) -> None:
        common = {
            "hook": report.hook,
            "event": report.event,
            "duration_ms": report.duration_ms,
            "tool_call_id": call.tool_call_id,
        }
        if report.decision == "deny":
            await self._log.emit(events.HookDenied, reason=report.reason or "", **common)
        else:
            await self._log.emit(
                events.HookExecuted, decision=report.decision, reason=report.reason, **common
            )


def _refusal(reports: list[HookReport]) -> ErrorInfo | None:
    """Give the refusal, if there is one: no hook sees a call behind it."""
    last = reports[-1]
    if last.decision != "deny":
        return None
    return ErrorInfo(kind="hook_denied", message=last.reason or "A hook refused.")
