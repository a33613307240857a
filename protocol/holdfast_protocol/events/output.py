"""Events of a model's output. A block: start, deltas by offset, end with the whole."""

from typing import Literal

from holdfast_protocol.events.base import BlockKind, EventBase, Json, StopReason, Usage, WireStruct


class PlanEntry(WireStruct, frozen=True, kw_only=True):
    """One entry of a plan."""

    content: str
    priority: Literal["high", "medium", "low"]
    status: Literal["pending", "in_progress", "completed"]


class PlanGenerated(EventBase, frozen=True, kw_only=True, tag="plan_generated"):
    """The plan a run in plan mode ends with, as Markdown."""

    plan: str


class PlanUpdated(EventBase, frozen=True, kw_only=True, tag="plan_updated"):
    """The whole list of the todo tool, replaced."""

    entries: tuple[PlanEntry, ...]


class ContentBlockStart(EventBase, frozen=True, kw_only=True, tag="content_block_start"):
    """A block opened. `tool_input` blocks say which call and tool their JSON is for."""

    block_id: str
    message_id: str
    step: int
    kind: BlockKind
    tool_call_id: str | None = None
    tool: str | None = None


class TokenDelta(EventBase, frozen=True, kw_only=True, tag="token_delta"):
    """Text of an open block; `offset` counts the block's code points before it."""

    block_id: str
    offset: int
    text: str


class ContentBlockEnd(EventBase, frozen=True, kw_only=True, tag="content_block_end"):
    """A block closed, with its whole text: readable without its start and deltas.

    Attributes:
        text: all of it; a `tool_input` block's is the JSON as the model wrote it.
        partial: the block was cut; the model had more to say.
        provider: whose `opaque` it is.
        opaque: what that provider wants back verbatim with the block, a thinking signature for example.
    """

    block_id: str
    message_id: str
    step: int
    kind: BlockKind
    text: str
    tool_call_id: str | None = None
    tool: str | None = None
    partial: bool = False
    provider: str | None = None
    opaque: Json = None


class MessageCompleted(EventBase, frozen=True, kw_only=True, tag="message_completed"):
    """A model response came to its end."""

    message_id: str
    step: int
    usage: Usage
    stop_reason: StopReason
    detail: str | None = None
