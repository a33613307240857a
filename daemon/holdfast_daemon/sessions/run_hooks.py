"""What the hooks of a session's plugins see of a run beside its tool calls: its prompt, and its end."""

from collections.abc import Iterable
from typing import Any

from holdfast_daemon.execution.hooks import HookReport
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.sessions.extension_slot import SlotHooks
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock, TextBlock
from holdfast_protocol.events import ErrorInfo
from holdfast_protocol.snapshot import QueuedPrompt


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
        refusal = None if content is None else await self._see(prompt_id, content)
        if refusal is not None:
            await self._update(prompt_id, status="refused")
            raise ModelError(ErrorInfo(kind="hook_denied", message=refusal))

    async def steered(self, prompts: Iterable[QueuedPrompt]) -> frozenset[str]:
        """Let hooks see prompts that are about to enter the run; give those none refused, by id.

        What is refused is taken out of the queue, as if it had not been sent.
        """
        refusals = {prompt.prompt_id: await self._see(prompt.prompt_id, prompt.content) for prompt in prompts}
        refused = [name for name, refusal in refusals.items() if refusal is not None]
        if refused:
            removed = (events.PromptRemoved(prompt_id=name, reason="hook_denied") for name in refused)
            await self._log.commit(*removed)
        return frozenset(refusals) - frozenset(refused)

    async def _see(self, prompt_id: str, content: tuple[ContentBlock, ...]) -> str | None:
        """Let hooks see a prompt: the log has what they made of it, and no model sees what they refuse."""
        if not self._hooks.wanted("prompt_received", None):
            return None
        text = "\n".join(block.text for block in content if isinstance(block, TextBlock))
        reports = await self._run("prompt_received", prompt=text)
        changed = [report.value for report in reports if report.decision == "modify"]
        refusal: str | None = None
        if reports and reports[-1].decision == "deny":
            refusal = reports[-1].reason or "A hook refused the prompt."
        elif not all(isinstance(value, str) for value in changed):
            refusal = "A hook's prompt is no text."
        if refusal is None and changed:
            others = tuple(block for block in content if not isinstance(block, TextBlock))
            await self._update(prompt_id, content=(TextBlock(text=changed[-1]), *others))
        return refusal

    async def _update(self, prompt_id: str, **changed: Any) -> None:
        await self._log.commit(events.PromptUpdated(run_id=self._log.run_id, prompt_id=prompt_id, **changed))

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
