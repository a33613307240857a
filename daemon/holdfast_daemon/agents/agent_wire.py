"""What the daemon and the process of a plugin's agent say to each other: lines of JSON, each one struct.

The process speaks; the daemon answers `Shown` of a step's end, `Next` and `CallTools`, each by its id. While
an answer is due the process says nothing but `Close`. Knows nothing of processes.
"""

from typing import Final, TypeVar

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Message,
    ModelOptions,
    RetryScheduled,
    StepCompleted,
    StepEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import ErrorInfo, Json
from holdfast_protocol.methods.catalogue import ModelInfo

LINE_BYTES_MAX: Final = 8 * 1024 * 1024
"""The longest line of the process; a message with an image has room."""


_T = TypeVar("_T")


class BadLine(Exception):
    """A line is JSON of the right form and makes no sense."""


class WireEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A step event: one of these."""

    started: BlockStarted | None = None
    delta: BlockDelta | None = None
    ended: BlockEnded | None = None
    completed: StepCompleted | None = None
    retry: RetryScheduled | None = None


class WirePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a response: one of these."""

    text: TextPart | None = None
    thinking: ThinkingPart | None = None
    call: ToolCallPart | None = None


class WireMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message: one of these."""

    user: tuple[ContentBlock, ...] | None = None
    response: tuple[WirePart, ...] | None = None
    results: tuple[ToolResultPart, ...] | None = None


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


# The process to the daemon ---------------------------------------------------------------------------------


class Shown(_Line, frozen=True, kw_only=True, tag="shown"):
    """The agent yielded an event. `id` is of a step's end alone: it is answered when that is in the log."""

    event: WireEvent
    id: int = 0


class Open(_Line, frozen=True, kw_only=True, tag="open"):
    """The agent asks the model. A number is a message the daemon told of, a name such a tool."""

    stream: int
    messages: tuple[int | WireMessage, ...]
    tools: tuple[str | ToolSpec, ...]
    system: str
    options: ModelOptions


class Next(_Line, frozen=True, kw_only=True, tag="next"):
    """It wants the next event of a response."""

    id: int
    stream: int


class Close(_Line, frozen=True, kw_only=True, tag="close"):
    """It wants no more of it; a `Next` that waits gets no answer."""

    stream: int


class CallTools(_Line, frozen=True, kw_only=True, tag="call_tools"):
    """It wants the calls of the last step run."""

    id: int


class Ended(_Line, frozen=True, kw_only=True, tag="ended"):
    """The agent is done; with one of these it failed.

    Attributes:
        error: it raised `ModelError`.
        exhausted: it raised `StepsExhausted`.
        bug: it raised something else: what, in words.
    """

    error: ErrorInfo | None = None
    exhausted: bool = False
    bug: str | None = None


FromAgent = Shown | Open | Next | Close | CallTools | Ended


# The daemon to the process ---------------------------------------------------------------------------------


class Begin(_Line, frozen=True, kw_only=True, tag="begin"):
    """Which agent is to run, and the run as far as it does not change."""

    target: str
    context: dict[str, Json]
    model: ModelInfo
    options: ModelOptions
    steps_max: int
    resumed: bool
    instructions: str
    cwd: str


class Told(_Line, frozen=True, kw_only=True, tag="told"):
    """The conversation is the first `keep` messages of what it was, and these. `tools` None: as before."""

    keep: int
    messages: tuple[WireMessage, ...] = ()
    tools: tuple[ToolSpec, ...] | None = None


class Reply(_Line, frozen=True, kw_only=True, tag="reply"):
    """An answer. To `Next`: an event, an error, or neither at the end. To `CallTools`: how many."""

    id: int
    event: WireEvent | None = None
    error: ErrorInfo | None = None
    count: int = 0


ToAgent = Begin | Told | Reply


def wire_event(event: StepEvent) -> WireEvent:
    """Put an event into a line."""
    match event:
        case BlockDelta():
            return WireEvent(delta=event)
        case BlockStarted():
            return WireEvent(started=event)
        case BlockEnded():
            return WireEvent(ended=event)
        case StepCompleted():
            return WireEvent(completed=event)
        case RetryScheduled():
            return WireEvent(retry=event)


def step_event(line: WireEvent) -> StepEvent:
    """Take an event out of a line.

    Raises:
        BadLine: there is none, or more than one.
    """
    return _only(line.delta, line.started, line.ended, line.completed, line.retry)


def wire_message(message: Message) -> WireMessage:
    """Put a message into a line."""
    match message:
        case UserMessage():
            return WireMessage(user=message.content)
        case AssistantMessage():
            return WireMessage(response=tuple(map(_wire_part, message.parts)))
        case ToolResultsMessage():
            return WireMessage(results=message.results)


def message_of(line: WireMessage) -> Message:
    """Take a message out of a line.

    Raises:
        BadLine: there is none, or more than one.
    """
    _only(line.user, line.response, line.results)
    if line.user is not None:
        return UserMessage(content=line.user)
    if line.results is not None:
        return ToolResultsMessage(results=line.results)
    return AssistantMessage(
        parts=tuple(_only(part.text, part.thinking, part.call) for part in line.response or ())
    )


def _wire_part(part: TextPart | ThinkingPart | ToolCallPart) -> WirePart:
    match part:
        case TextPart():
            return WirePart(text=part)
        case ThinkingPart():
            return WirePart(thinking=part)
        case ToolCallPart():
            return WirePart(call=part)


def _only(*values: _T | None) -> _T:
    given = [value for value in values if value is not None]
    if len(given) != 1:
        raise BadLine(f"{len(given)} things where one belongs")
    return given[0]
