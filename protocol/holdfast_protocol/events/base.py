"""What all events share (PROTOCOL.md, "Events")."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class EventBase(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", tag_field="type"
):
    """A fact of one session, in the past tense. (session, epoch, seq) is its id.

    Attributes:
        seq: its place in the session, 1, 2, 3 …; 0 until the journal numbers it, and then always on the wire.
        at: when it was numbered, Unix ms. A label, never an order. 0 until then.
        run_id: the run it belongs to, if any.
    """

    seq: int = 0
    at: int = 0
    run_id: str | None = None


class WireStruct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of an event, of params or of a result."""


class ErrorInfo(WireStruct, frozen=True, kw_only=True):
    """Why something failed, as a fact in the log.

    Attributes:
        kind: a stable name: a kind of the error table, or of models (`auth`, `rate_limited`, `overloaded`,
            `context_too_long`, `timeout`, `protocol` …) or tools (`tool_failed`, `unknown_tool`, `unknown`).
        message: one sentence for a person.
        retryable: whether trying again later may help.
        retry_after_ms: when, if known.
        provider: the provider that said so.
        status: its HTTP status.
        request_id: its id for the request.
    """

    kind: str
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None
    provider: str | None = None
    status: int | None = None
    request_id: str | None = None


class Usage(WireStruct, frozen=True, kw_only=True):
    """Tokens by class. The input classes are disjoint; `reasoning` is a part of `output`.

    Attributes:
        estimated: the provider gave no figures; these are ours.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = msgspec.field(default=0, name="cacheWrite5m")
    cache_write_1h: int = msgspec.field(default=0, name="cacheWrite1h")
    output: int = 0
    reasoning: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            cache_read=self.cache_read + other.cache_read,
            cache_write_5m=self.cache_write_5m + other.cache_write_5m,
            cache_write_1h=self.cache_write_1h + other.cache_write_1h,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
            estimated=self.estimated or other.estimated,
        )


class Cost(WireStruct, frozen=True, kw_only=True):
    """Money. Absent where the price is unknown: unknown is not 0."""

    amount: float
    currency: str = "USD"


class Budget(WireStruct, frozen=True, kw_only=True):
    """What one run may use before it pauses and asks whether to go on; what is absent is not bounded.

    Looked at between steps: a step that has begun is finished. An answer to go on gives as much again.

    Attributes:
        steps: model responses.
        tokens: input and output, cached ones too.
        cost: in USD; where the price is unknown, the run asks before its second step.
        wall_ms: time, without that spent waiting for people.
    """

    steps: Annotated[int, Meta(ge=1)] | None = None
    tokens: Annotated[int, Meta(ge=1)] | None = None
    cost: Annotated[float, Meta(gt=0)] | None = None
    wall_ms: Annotated[int, Meta(ge=1)] | None = None


Thinking = Literal["off", "low", "medium", "high"]

Mode = Literal["ask", "plan", "accept_edits", "auto"]
"""What tools may do without asking (PROTOCOL.md, "Permissions")."""

Unattended = Literal["wait", "deny", "fail"]
"""What becomes of a request when nobody is here to answer it."""

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "max_steps", "budget", "pause_turn"
]

BlockKind = Literal["text", "thinking", "tool_input"]

ToolKind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]

Identifier = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$(?!\n)")
]
"""An id a client may choose: letters, digits, `_.:-`, at most 128.

A bare `$` would let a final newline through in Python, and `\\Z` is not known to JSON Schema.
"""

Json = Any
"""JSON of a shape only its owner knows: tool arguments, plugin data, a client's `meta`."""
