"""All events, as one closed union (PROTOCOL.md, "Events").

`decode` is tolerant: an event of a newer daemon becomes an `UnknownEvent`, so that an older client folds
what it knows and keeps its cursor.
"""

import msgspec

from holdfast_protocol.events.agents import (
    AgentCompleted,
    AgentFailed,
    AgentRequested,
    AgentResultRemoved,
    AgentStarted,
    Custom,
    EstimateUpdated,
    InputAdded,
    InputRemoved,
    ReportUpdated,
)
from holdfast_protocol.events.base import (
    BlockKind,
    Budget,
    Cost,
    ErrorInfo,
    EventBase,
    Identifier,
    Json,
    Mode,
    StopReason,
    Thinking,
    ToolKind,
    Unattended,
    Usage,
    WireStruct,
)
from holdfast_protocol.events.output import (
    ContentBlockEnd,
    ContentBlockStart,
    MessageCompleted,
    PlanEntry,
    PlanGenerated,
    PlanUpdated,
    TokenDelta,
)
from holdfast_protocol.events.people import RequestOpened, RequestOption, RequestResolved
from holdfast_protocol.events.prompt import (
    Delivery,
    PromptReceived,
    PromptRemoved,
    PromptStatus,
    PromptUpdated,
)
from holdfast_protocol.events.run import (
    Error,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunInterrupted,
    RunPaused,
    RunResumed,
    RunStarted,
)
from holdfast_protocol.events.session import (
    Instructions,
    ModelSwitched,
    Origin,
    SandboxInfo,
    SessionEnded,
    SessionStarted,
    SessionUpdated,
)
from holdfast_protocol.events.tools import (
    Diff,
    HookDenied,
    HookExecuted,
    Location,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    ToolOutput,
)
from holdfast_protocol.events.upkeep import Compacted, Notice, OwnerChanged, UsageUpdated

Event = (
    SessionStarted
    | SessionUpdated
    | ModelSwitched
    | SessionEnded
    | PromptReceived
    | PromptUpdated
    | PromptRemoved
    | RunStarted
    | RunPaused
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunInterrupted
    | Error
    | PlanGenerated
    | ContentBlockStart
    | TokenDelta
    | ContentBlockEnd
    | MessageCompleted
    | PlanUpdated
    | ToolCallStarted
    | ToolOutput
    | ToolCallCompleted
    | ToolCallFailed
    | HookExecuted
    | HookDenied
    | RequestOpened
    | RequestResolved
    | AgentRequested
    | AgentStarted
    | AgentCompleted
    | AgentFailed
    | AgentResultRemoved
    | InputAdded
    | InputRemoved
    | ReportUpdated
    | EstimateUpdated
    | Custom
    | UsageUpdated
    | Compacted
    | Notice
    | OwnerChanged
)

EVENT_TYPES: tuple[type[EventBase], ...] = Event.__args__
"""Every event type, in the order of the union."""


def type_of(event: EventBase) -> str:
    """Give an event's tag, as `token_delta`."""
    return event.__struct_config__.tag  # pyright: ignore[reportReturnType]


TAGS: dict[str, type[EventBase]] = {str(kind.__struct_config__.tag): kind for kind in EVENT_TYPES}

Delta = TokenDelta | ToolOutput
"""Events that carry a piece of something that its end repeats whole."""

DELTA_TAGS = frozenset({"token_delta", "tool_output"})

Terminal = RunCompleted | RunFailed | RunCancelled | RunInterrupted

TERMINAL_TAGS = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})


class UnknownEvent(WireStruct, frozen=True, kw_only=True):
    """An event of a type this build does not know. It has a place in the log, and that is all."""

    type: str
    seq: int
    at: int
    run_id: str | None = None


_decoder = msgspec.json.Decoder(Event)
_unknown_decoder = msgspec.json.Decoder(UnknownEvent)


def decode(body: bytes) -> "Event | UnknownEvent":
    """Decode one stored or received event.

    Raises:
        msgspec.ValidationError: a known type with a wrong shape.
    """
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        unknown = _unknown_decoder.decode(body)
        if unknown.type in TAGS:
            raise
        return unknown


def convert(value: Json) -> "Event | UnknownEvent":
    """As `decode`, for an event that is already plain JSON values."""
    try:
        return msgspec.convert(value, Event)
    except msgspec.ValidationError:
        unknown = msgspec.convert(value, UnknownEvent)
        if unknown.type in TAGS:
            raise
        return unknown


__all__ = [
    "DELTA_TAGS",
    "EVENT_TYPES",
    "TAGS",
    "TERMINAL_TAGS",
    "AgentCompleted",
    "AgentFailed",
    "AgentRequested",
    "AgentResultRemoved",
    "AgentStarted",
    "BlockKind",
    "Budget",
    "Compacted",
    "ContentBlockEnd",
    "ContentBlockStart",
    "Cost",
    "Custom",
    "Delivery",
    "Delta",
    "Diff",
    "Error",
    "ErrorInfo",
    "EstimateUpdated",
    "Event",
    "EventBase",
    "HookDenied",
    "HookExecuted",
    "Identifier",
    "InputAdded",
    "InputRemoved",
    "Instructions",
    "Json",
    "Location",
    "MessageCompleted",
    "Mode",
    "ModelSwitched",
    "Notice",
    "Origin",
    "OwnerChanged",
    "PlanEntry",
    "PlanGenerated",
    "PlanUpdated",
    "PromptReceived",
    "PromptRemoved",
    "PromptStatus",
    "PromptUpdated",
    "ReportUpdated",
    "RequestOpened",
    "RequestOption",
    "RequestResolved",
    "RunCancelled",
    "RunCompleted",
    "RunFailed",
    "RunInterrupted",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "SandboxInfo",
    "SessionEnded",
    "SessionStarted",
    "SessionUpdated",
    "StopReason",
    "Terminal",
    "Thinking",
    "TokenDelta",
    "ToolCallCompleted",
    "ToolCallFailed",
    "ToolCallStarted",
    "ToolKind",
    "ToolOutput",
    "Unattended",
    "UnknownEvent",
    "Usage",
    "UsageUpdated",
    "WireStruct",
    "convert",
    "decode",
    "type_of",
]
