"""What one run came to: a fold of its session's events. No I/O.

Others may prompt the same session; a run is told apart by the prompt it began with, then by its id.
"""

from typing import Final, Literal, Self

import msgspec

from holdfast_client.core.tail import AnyEvent
from holdfast_client.errors import RunNotCompleted
from holdfast_protocol import events
from holdfast_protocol.events import Cost, ErrorInfo, StopReason, Usage

Status = Literal["completed", "failed", "cancelled", "interrupted", "removed"]

_STATUS_OF: Final[dict[type, Status]] = {
    events.RunCompleted: "completed",
    events.RunFailed: "failed",
    events.RunCancelled: "cancelled",
    events.RunInterrupted: "interrupted",
}

_PROMPT_EVENTS: Final = (events.PromptReceived, events.PromptUpdated, events.PromptRemoved)


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    Attributes:
        status: `removed`: the prompt was taken out of the queue, or its session deleted, before it ran.
        text: the text of the last message that had any.
        stop_reason: why the model stopped, if completed.
        usage: tokens of the whole run; None where it never began or its end does not say.
        cost: None where it is not known.
        error: why it failed, if it did.
        events: the prompt's and the run's, oldest first, without deltas: the end of a block has all of it.
    """

    session_id: str
    prompt_id: str
    status: Status
    text: str
    events: tuple[AnyEvent, ...]
    run_id: str | None = None
    stop_reason: StopReason | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    error: ErrorInfo | None = None

    @property
    def ok(self) -> bool:
        """Whether the run completed."""
        return self.status == "completed"

    def check(self) -> Self:
        """Give the result itself if the run completed.

        Raises:
            RunNotCompleted: it ended otherwise.
        """
        if self.ok:
            return self
        why = f": {self.error.message}" if self.error else "."
        kind = self.error.kind if self.error else None
        raise RunNotCompleted(f"The run was not completed but {self.status}{why}", self.status, kind)


class RunFold:
    """One run, as far as it has come.

    Attributes:
        run_id: None until the prompt started a run, or was steered into one.
        status: None until it ended.
    """

    def __init__(self, session_id: str, prompt_id: str) -> None:
        self._session_id = session_id
        self._prompt_id = prompt_id
        self.run_id: str | None = None
        self.status: Status | None = None
        self._terminal: AnyEvent | None = None
        self._message_id: str | None = None
        self._text: list[str] = []  # Text blocks of one message, the last that had any.
        self._events: list[AnyEvent] = []

    def apply(self, event: AnyEvent) -> bool:
        """Fold an event in; tell whether it is of our prompt or its run."""
        is_ours = self._place(event)
        if is_ours and not isinstance(event, events.TokenDelta | events.ToolOutput):
            self._events.append(event)
        if is_ours and event.run_id is not None:
            self._fold_run(event)
        return is_ours

    def result(self) -> RunResult:
        """Give the result of a run that ended."""
        assert self.status is not None
        end = self._terminal
        return RunResult(
            session_id=self._session_id,
            prompt_id=self._prompt_id,
            run_id=self.run_id,
            status=self.status,
            text="\n".join(self._text),
            stop_reason=getattr(end, "stop_reason", None),
            usage=getattr(end, "usage", None),
            cost=getattr(end, "cost", None),
            error=getattr(end, "error", None),
            events=tuple(self._events),
        )

    def _place(self, event: AnyEvent) -> bool:
        """Tell whether an event is ours, noting how it is."""
        if isinstance(event, events.SessionEnded):
            self.status = "removed"
            return True
        if isinstance(event, _PROMPT_EVENTS):
            return self._fold_prompt(event)
        if isinstance(event, events.RunStarted) and event.prompt_id == self._prompt_id:
            self.run_id = event.run_id
        return self.run_id is not None and event.run_id == self.run_id

    def _fold_prompt(
        self, event: events.PromptReceived | events.PromptUpdated | events.PromptRemoved
    ) -> bool:
        if event.prompt_id != self._prompt_id:
            return False
        if isinstance(event, events.PromptRemoved):
            self.status = "removed"
        if isinstance(event, events.PromptUpdated) and event.status == "delivered":
            self.run_id = event.run_id
        return True

    def _fold_run(self, event: AnyEvent) -> None:
        match event:
            case events.ContentBlockEnd(kind="text") if event.text:
                if event.message_id != self._message_id:
                    self._message_id = event.message_id
                    self._text = []
                self._text.append(event.text)
            case events.RunCompleted() | events.RunFailed() | events.RunCancelled() | events.RunInterrupted():
                self.status = _STATUS_OF[type(event)]
                self._terminal = event
            case _:
                pass
