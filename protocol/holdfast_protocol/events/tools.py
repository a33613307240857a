"""Events of tool calls: one start, then exactly one of completed and failed."""

from typing import Literal

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events.base import ErrorInfo, EventBase, Json, ToolKind, WireStruct


class Location(WireStruct, frozen=True, kw_only=True):
    """A place in a file, absolute; lines count from 1."""

    path: str
    line: int | None = None


class Diff(WireStruct, frozen=True, kw_only=True):
    """A change to one file; `old_text` is None for a new file."""

    path: str
    new_text: str
    old_text: str | None = None


class ToolCallStarted(EventBase, frozen=True, kw_only=True, tag="tool_call_started"):
    """Durable before the tool runs: a start without an outcome means the outcome is unknown."""

    tool_call_id: str
    step: int
    tool: str
    kind: ToolKind
    input: Json
    title: str
    locations: tuple[Location, ...] = ()


class ToolOutput(EventBase, frozen=True, kw_only=True, tag="tool_output"):
    """Output of a running tool; `offset` counts the call's code points before it."""

    tool_call_id: str
    offset: int
    text: str


class ToolCallCompleted(EventBase, frozen=True, kw_only=True, tag="tool_call_completed"):
    """The tool's result as the model sees it.

    Attributes:
        truncated: the result was cut; it says so itself, and how to read the rest.
    """

    tool_call_id: str
    result: tuple[ContentBlock, ...]
    duration_ms: int
    diff: tuple[Diff, ...] = ()
    truncated: bool = False


class ToolCallFailed(EventBase, frozen=True, kw_only=True, tag="tool_call_failed"):
    """The call has no result: failed, refused, cancelled, or (kind `unknown`) cut by a crash.

    Attributes:
        partial: the output so far, if there was any.
    """

    tool_call_id: str
    error: ErrorInfo
    duration_ms: int | None = None
    partial: str | None = None


class HookExecuted(EventBase, frozen=True, kw_only=True, tag="hook_executed"):
    """A hook ran and let the call go on, perhaps changed."""

    hook: str
    event: str
    decision: Literal["allow", "modify"]
    duration_ms: int
    tool_call_id: str | None = None
    reason: str | None = None


class HookDenied(EventBase, frozen=True, kw_only=True, tag="hook_denied"):
    """A hook refused the call, or failed and so refused it."""

    hook: str
    event: str
    reason: str
    duration_ms: int | None = None
    tool_call_id: str | None = None
