"""Prompts of this editor that are not answered yet, and what their runs' events make of them. No I/O.

A turn is known from the moment its request was read, so that a cancel that comes right behind it finds it.
"""

from typing import Final, Literal

import anyio

from holdfast_client.bridges.acp.refusals import INTERNAL_ERROR, Refusal, failed_run
from holdfast_protocol import events
from holdfast_protocol.foreign.acp.sessions import PromptEnded, StopReason, TurnUsage

_STOP_REASONS: Final[dict[events.StopReason, StopReason]] = {
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_use": "end_turn",
    "pause_turn": "end_turn",
    "max_tokens": "max_tokens",
    "max_steps": "max_turn_requests",
    "budget": "max_turn_requests",
    "refusal": "refusal",
}

CONTINUED_MAX: Final = 3
"""How often a run is taken up again that a daemon's orderly end interrupted."""

Verdict = Literal["continue", "ended"]


class Turn:
    """One prompt, from its being read to its answer.

    Attributes:
        prompt_id: ours.
        run_id: of its run, once there is one.
        is_cancelled: the editor does not want it any more.
        outcome: what it is answered; None until then.
    """

    def __init__(self, prompt_id: str) -> None:
        self.prompt_id = prompt_id
        self.run_id: str | None = None
        self.is_cancelled = False
        self.outcome: PromptEnded | Refusal | None = None
        self._ended = anyio.Event()
        self._crashes = 0
        self._continued = 0

    async def ended(self) -> PromptEnded:
        """Wait for the answer.

        Raises:
            Refusal: the run failed, and was not cancelled.
        """
        await self._ended.wait()
        if isinstance(self.outcome, Refusal):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def end(self, outcome: PromptEnded | Refusal) -> None:
        """Answer it. What was cancelled is answered so, whatever became of it; the first answer counts."""
        if self.outcome is None:
            self.outcome = PromptEnded(stop_reason="cancelled") if self.is_cancelled else outcome
            self._ended.set()

    def started(self, event: events.RunStarted) -> bool:
        """Take a run's start; tell whether it is ours."""
        ours = event.prompt_id == self.prompt_id or (
            event.continues is not None and event.continues == self.run_id
        )
        if ours:
            self.run_id = event.run_id
        return ours

    def removed(self) -> None:
        """The prompt waited, and will not run."""
        self.end(PromptEnded(stop_reason="cancelled"))

    def terminal(self, event: events.Terminal, unknown_calls: list[str]) -> Verdict:
        """Take the end of our run: answer, or say that it is to be taken up again.

        Args:
            event: the end.
            unknown_calls: tools of the run of which nobody knows whether they took effect.
        """
        match event:
            case events.RunCompleted():
                self.end(
                    PromptEnded(
                        stop_reason=_STOP_REASONS.get(event.stop_reason, "end_turn"),
                        usage=_usage(event.usage),
                    )
                )
            case events.RunCancelled():
                self.end(PromptEnded(stop_reason="cancelled"))
            case events.RunFailed():
                self.end(failed_run(event.error))
            case events.RunInterrupted():
                return self._interrupted(event.cause, unknown_calls)
        return "ended"

    def _interrupted(self, cause: str, unknown_calls: list[str]) -> Verdict:
        why = self._why_not_continued(cause, unknown_calls)
        if why is None and not self.is_cancelled:
            return "continue"
        self.end(interrupted(cause, why or "It was cancelled."))
        return "ended"

    def _why_not_continued(self, cause: str, unknown_calls: list[str]) -> str | None:
        if cause not in ("daemon_restarted", "shutdown"):
            return "The session has what came before."
        if unknown_calls:
            names = ", ".join(unknown_calls)
            return f"Nobody knows whether this took effect: {names}. Look, then say how to go on."
        self._crashes += cause == "daemon_restarted"
        self._continued += 1
        if self._crashes > 1 or self._continued > CONTINUED_MAX:
            return "It was interrupted before; to try again, say so."
        return None


def interrupted(cause: str, why: str) -> Refusal:
    """Give what a prompt is answered whose run the daemon's end cut."""
    data = {"kind": "interrupted", "cause": cause, "retryable": True}
    return Refusal(INTERNAL_ERROR, f"The run was interrupted ({cause}). {why}", data)


def _usage(usage: events.Usage) -> TurnUsage:
    written = usage.cache_write_5m + usage.cache_write_1h
    return TurnUsage(
        total_tokens=usage.input + usage.cache_read + written + usage.output,
        input_tokens=usage.input,
        output_tokens=usage.output,
        thought_tokens=usage.reasoning or None,
        cached_read_tokens=usage.cache_read or None,
        cached_write_tokens=written or None,
    )
