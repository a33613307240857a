"""The conversation as a model is shown it: a fold of the log."""

from typing import Any, Final, NamedTuple

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock, TextBlock

CONTINUE: Final = "The last run was interrupted. Go on where it stopped."


class _Result(NamedTuple):
    """A call's outcome."""

    content: tuple[ContentBlock, ...]
    is_error: bool


_NO_RESULT: Final = _Result((TextBlock(text="The call has no result."),), is_error=True)


class _Response:
    """One model response, as its blocks end."""

    __slots__ = ("message_id", "parts")

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.parts: list[TextPart | ThinkingPart | ToolCallPart] = []


class History:
    """The running fold. Deltas are not needed: block ends have the whole.

    Attributes:
        position: the last seq folded in.
        instruction_files: what the project tells agents, as the log has it.
    """

    def __init__(self) -> None:
        self.position = 0
        self.instruction_files: tuple[events.Instructions, ...] = ()
        self._entries: list[UserMessage | _Response] = []
        self._prompts: dict[str, tuple[ContentBlock, ...]] = {}  # Received, not yet carried by a run.
        self._results: dict[str, _Result] = {}

    def apply(self, event: events.Event | events.UnknownEvent) -> None:
        """Fold one event in; events come in order, deltas may be left out."""
        self.position = event.seq
        if isinstance(event, (events.SessionStarted, events.SessionUpdated)):
            self._instruct(event)
            return
        match event:
            case events.PromptReceived():
                self._prompts[event.prompt_id] = event.content
            case events.PromptUpdated(content=content) if content is not None:
                self._prompts[event.prompt_id] = content
            case events.PromptRemoved():
                self._prompts.pop(event.prompt_id, None)
            case events.RunStarted():
                self._run_started(event)
            case events.PromptUpdated(status="delivered"):
                self._delivered(event.prompt_id)
            case events.ContentBlockEnd():
                self._block_ended(event)
            case events.ToolCallCompleted():
                self._result(event.tool_call_id, event.result, is_error=False)
            case events.ToolCallFailed():
                self._result(event.tool_call_id, _failure(event), is_error=True)
            case _:
                pass

    def _instruct(self, event: events.SessionStarted | events.SessionUpdated) -> None:
        if event.instructions is not None:
            self.instruction_files = event.instructions

    @property
    def instructions(self) -> str:
        """What the project tells agents, as text; empty if nothing."""
        return "\n\n".join(
            f"From {file.path}:\n\n{file.text}" for file in self.instruction_files if file.text
        )

    def messages(self) -> tuple[Message, ...]:
        """Give the conversation: each response with calls is followed by all their results, in its order."""
        messages: list[Message] = []
        for entry in self._entries:
            if isinstance(entry, UserMessage):
                messages.append(entry)
                continue
            messages.append(AssistantMessage(parts=tuple(entry.parts)))
            calls = [part for part in entry.parts if isinstance(part, ToolCallPart)]
            if calls:
                messages.append(ToolResultsMessage(results=tuple(self._result_of(call) for call in calls)))
        return tuple(messages)

    def _run_started(self, event: events.RunStarted) -> None:
        content = self._prompts.pop(event.prompt_id, None)
        if content is None and event.continues is not None and isinstance(self._last(), _Response):
            content = (TextBlock(text=CONTINUE),)
        if content is not None:
            self._entries.append(UserMessage(content=content))

    def _delivered(self, prompt_id: str) -> None:
        """A steering prompt entered the run."""
        content = self._prompts.pop(prompt_id, None)
        if content is not None:
            self._entries.append(UserMessage(content=content))

    def last_text(self) -> str:
        """Give the texts of the last response."""
        last = self._last()
        parts = last.parts if isinstance(last, _Response) else []
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))

    def unanswered(self) -> list[ToolCallPart]:
        """Give the calls of the last response that have no outcome, in its order."""
        last = self._last()
        parts = last.parts if isinstance(last, _Response) else []
        return [
            part
            for part in parts
            if isinstance(part, ToolCallPart) and part.tool_call_id not in self._results
        ]

    def _block_ended(self, event: events.ContentBlockEnd) -> None:
        part = _part(event)
        if part is None:
            return
        last = self._last()
        if not isinstance(last, _Response) or last.message_id != event.message_id:
            last = _Response(event.message_id)
            self._entries.append(last)
        last.parts.append(part)

    def _result(self, tool_call_id: str, content: tuple[ContentBlock, ...], *, is_error: bool) -> None:
        self._results[tool_call_id] = _Result(content, is_error)

    def _result_of(self, call: ToolCallPart) -> ToolResultPart:
        result = self._results.get(call.tool_call_id, _NO_RESULT)
        return ToolResultPart(
            tool_call_id=call.tool_call_id,
            tool=call.tool,
            content=result.content,
            is_error=result.is_error,
        )

    def _last(self) -> UserMessage | _Response | None:
        return self._entries[-1] if self._entries else None


def _part(event: events.ContentBlockEnd) -> TextPart | ThinkingPart | ToolCallPart | None:
    """Give what a model is shown of a block. Cut thinking lacks its signature, a cut call is no call."""
    if event.kind == "text":
        part = TextPart(text=event.text, provider=event.provider, opaque=event.opaque)
        return part if event.text else None
    if event.partial:
        return None
    if event.kind == "thinking":
        return ThinkingPart(text=event.text, provider=event.provider, opaque=event.opaque)
    return ToolCallPart(
        tool_call_id=event.tool_call_id or "",
        tool=event.tool or "",
        input_json=event.text,
        provider=event.provider,
        opaque=event.opaque,
    )


def _failure(event: events.ToolCallFailed) -> tuple[ContentBlock, ...]:
    text = f"{event.error.kind}: {event.error.message}"
    if event.partial:
        text += f"\nOutput until then:\n{event.partial}"
    return (TextBlock(text=text),)


def input_value(input_json: str) -> Any:
    """Give a tool call's input as JSON for an event; text that is not JSON stays text."""
    try:
        return msgspec.json.decode(input_json or "{}")
    except msgspec.DecodeError:
        return input_json
