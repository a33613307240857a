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

SUMMED_UP: Final = "What came before, summed up by you because your window was nearly full:"

_CHARACTERS_A_TOKEN: Final = 4
"""About; what was added since the last step is only estimated."""

CONTINUE: Final = "The last run was interrupted. Go on where it stopped."


class _Result(NamedTuple):
    """A call's outcome."""

    content: tuple[ContentBlock, ...]
    is_error: bool


_NO_RESULT: Final = _Result((TextBlock(text="The call has no result."),), is_error=True)


class _Response:
    """One model response, as its blocks end."""

    __slots__ = ("message_id", "parts", "seq")

    def __init__(self, message_id: str, seq: int) -> None:
        self.message_id = message_id
        self.seq = seq
        self.parts: list[TextPart | ThinkingPart | ToolCallPart] = []


class _Told(NamedTuple):
    """What a user said, and where it entered the conversation."""

    message: UserMessage
    seq: int
    prompt_id: str | None = None


class History:
    """The running fold. Deltas are not needed: block ends have the whole.

    Attributes:
        position: the last seq folded in.
        instruction_files: what the project tells agents, as the log has it.
        tokens: how much of a model's window the conversation takes, as far as is known.
        request_tokens: how much of it the last request of a step took; 0: there was none since a summary.
        run_seq: where the last run started.
    """

    def __init__(self) -> None:
        self.position = 0
        self.instruction_files: tuple[events.Instructions, ...] = ()
        self.tokens = 0
        self.request_tokens = 0
        self.run_seq = 0
        self._entries: list[_Told | _Response] = []
        self._prompts: dict[str, tuple[ContentBlock, ...]] = {}  # Received, not yet carried by a run.
        self._results: dict[str, _Result] = {}

    def apply(self, event: events.Event | events.UnknownEvent) -> None:
        """Fold one event in; events come in order, deltas may be left out."""
        self.position = event.seq
        match event:
            case events.SessionStarted() | events.SessionUpdated():
                self._instruct(event)
            case events.MessageCompleted():  # Not what came to nothing, and not what summing up used.
                self._used(event.usage)
            case events.Compacted():
                self._compacted(event)
            case _:
                self._take(event)

    def _take(self, event: events.Event | events.UnknownEvent) -> None:
        """Fold in what is part of the conversation."""
        match event:
            case events.PromptReceived():
                self._prompts[event.prompt_id] = event.content
            case events.PromptUpdated(content=content) if content is not None:
                self._changed(event.prompt_id, content)
            case events.PromptRemoved() | events.PromptUpdated(status="refused"):
                self._drop(event.prompt_id)
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

    def _used(self, usage: events.Usage) -> None:
        if usage == events.Usage():
            return  # Nobody said, or an agent wrote the step itself.
        cached = usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
        self.request_tokens = usage.input + cached
        self.tokens = self.request_tokens + usage.output

    def _compacted(self, event: events.Compacted) -> None:
        """Let a summary take the place of what came before."""
        kept = [entry for entry in self._entries if entry.seq > event.upto]
        for entry in self._entries[: len(self._entries) - len(kept)]:
            for part in entry.parts if isinstance(entry, _Response) else ():
                if isinstance(part, ToolCallPart):
                    self._results.pop(part.tool_call_id, None)
        summary = UserMessage(content=(TextBlock(text=f"{SUMMED_UP}\n\n{event.summary}"),))
        self._entries = [_Told(summary, event.upto), *kept]
        self.tokens = len(event.summary) // _CHARACTERS_A_TOKEN
        self.request_tokens = 0

    def messages(self, *, upto: int | None = None) -> tuple[Message, ...]:
        """Give the conversation: each response with calls is followed by all their results, in its order.

        Args:
            upto: without what began behind this event.
        """
        messages: list[Message] = []
        for entry in self._entries:
            if upto is not None and entry.seq > upto:
                break
            if isinstance(entry, _Told):
                messages.append(entry.message)
                continue
            messages.append(AssistantMessage(parts=tuple(entry.parts)))
            calls = [part for part in entry.parts if isinstance(part, ToolCallPart)]
            if calls:
                messages.append(ToolResultsMessage(results=tuple(self._result_of(call) for call in calls)))
        return tuple(messages)

    def _run_started(self, event: events.RunStarted) -> None:
        self.run_seq = event.seq
        content = self._prompts.pop(event.prompt_id, None)
        if content is None and event.continues is not None and isinstance(self._last(), _Response):
            content = (TextBlock(text=CONTINUE),)
        self._tell(content, event.prompt_id)

    def _delivered(self, prompt_id: str) -> None:
        """A steering prompt entered the run."""
        self._tell(self._prompts.pop(prompt_id, None), prompt_id)

    def _tell(self, content: tuple[ContentBlock, ...] | None, prompt_id: str) -> None:
        if content is not None:
            self._entries.append(_Told(UserMessage(content=content), self.position, prompt_id))

    def _changed(self, prompt_id: str, content: tuple[ContentBlock, ...]) -> None:
        """A waiting prompt was changed by people, or that of a run that begins by a hook."""
        last = self._last()
        if isinstance(last, _Told) and last.prompt_id == prompt_id:
            self._entries[-1] = last._replace(message=UserMessage(content=content))
        else:
            self._prompts[prompt_id] = content

    def _drop(self, prompt_id: str) -> None:
        """A prompt is taken back, or a hook refuses it: no model sees it."""
        self._prompts.pop(prompt_id, None)
        last = self._last()
        if isinstance(last, _Told) and last.prompt_id == prompt_id:
            self._entries.pop()

    def prompt_of_run(self) -> tuple[ContentBlock, ...] | None:
        """Give what the run that just started was asked; None if it only goes on."""
        last = self._last()
        return last.message.content if isinstance(last, _Told) and last.seq == self.run_seq else None

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
            last = _Response(event.message_id, event.seq)
            self._entries.append(last)
        last.parts.append(part)

    def _result(self, tool_call_id: str, content: tuple[ContentBlock, ...], *, is_error: bool) -> None:
        self.tokens += sum(len(block.text) for block in content if isinstance(block, TextBlock)) // (
            _CHARACTERS_A_TOKEN
        )
        self._results[tool_call_id] = _Result(content, is_error)

    def _result_of(self, call: ToolCallPart) -> ToolResultPart:
        result = self._results.get(call.tool_call_id, _NO_RESULT)
        return ToolResultPart(
            tool_call_id=call.tool_call_id,
            tool=call.tool,
            content=result.content,
            is_error=result.is_error,
        )

    def _last(self) -> _Told | _Response | None:
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
