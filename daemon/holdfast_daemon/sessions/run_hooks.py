"""What the hooks of a session's plugins see of a run beside its tool calls: its prompt, and its end."""

from typing import Any

from holdfast_daemon.execution.hooks import HookReport
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.extension_slot import SlotHooks
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo


class RunHooks:
    """One run's.

    Args:
        session_id: the session's.
        log: the run's; has their reports.
        hooks: the session's.
    """

    def __init__(self, session_id: str, log: RunLog, hooks: SlotHooks) -> None:
        self._session_id = session_id
        self._log = log
        self._hooks = hooks

    async def prompted(self, history: History, prompt_id: str) -> None:
        """Let hooks see the run's prompt; what they make of its text is what the model is shown.

        Raises:
            ModelError: one refused.
        """
        content = history.prompt_of_run()
        if content is None or not self._hooks.wanted("prompt_received", None):
            return
        text = "\n".join(block.text for block in content if isinstance(block, TextBlock))
        reports = await self._run("prompt_received", prompt=text)
        if reports and reports[-1].decision == "deny":
            message = reports[-1].reason or "A hook refused the prompt."
            raise ModelError(ErrorInfo(kind="hook_denied", message=message))
        changed = [report.value for report in reports if report.decision == "modify"]
        if not all(isinstance(value, str) for value in changed):
            raise ModelError(ErrorInfo(kind="hook_denied", message="A hook's prompt is no text."))
        if changed:
            others = tuple(block for block in content if not isinstance(block, TextBlock))
            told = (TextBlock(text=changed[-1]), *others)
            await self._log.commit(
                events.PromptUpdated(run_id=self._log.run_id, prompt_id=prompt_id, content=told)
            )

    async def completed(self, terminal: events.Event) -> None:
        """Tell hooks that the run completed; it does so whatever they say."""
        if isinstance(terminal, events.RunCompleted) and self._hooks.wanted("run_completed", None):
            await self._run(
                "run_completed",
                stopReason=terminal.stop_reason,
                steps=terminal.steps,
                durationMs=terminal.duration_ms,
            )

    async def _run(self, event: str, **values: Any) -> list[HookReport]:
        seen = {"sessionId": self._session_id, "runId": self._log.run_id, **values}
        reports = await self._hooks.run(event, seen)
        for report in reports:
            await self._report(report)
        return reports

    async def _report(self, report: HookReport) -> None:
        common = {"hook": report.hook, "event": report.event, "duration_ms": report.duration_ms}
        if report.decision == "deny":
            await self._log.emit(events.HookDenied, reason=report.reason or "", **common)
        else:
            await self._log.emit(
                events.HookExecuted, decision=report.decision, reason=report.reason, **common
            )
