"""What a step of the offline model is made of: actions, each with the bounds of its numbers.

Scripts (`offline_script`) and plain requests (`offline_requests`) become these; `offline_playback` plays
them. Field names are the keys of the script format (docs/offline.md).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from holdfast_protocol.events import Json, StopReason

CHARS_MAX: Final = 64 * 1024
"""The longest text of one action, and of one delta."""

STREAMED_CHARS_MAX: Final = 64 * 1024 * 1024
"""The most characters one action may stream through `repeat`."""

_Text = Annotated[str, Meta(max_length=CHARS_MAX)]
_DeltaChars = Annotated[int, Meta(ge=1, le=CHARS_MAX)]
_DelayMs = Annotated[int, Meta(ge=0, le=600_000)]
_Tokens = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class BadScript(Exception):
    """A script is not what docs/offline.md describes; the message names the line."""


class _Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Text(_Action, frozen=True, kw_only=True):
    """A text block.

    Attributes:
        value: the text.
        delta_chars: characters per delta; None: the whole value in one.
        delay_ms: pause between deltas.
        repeat: how often the value is streamed, one after the other.
        end: False leaves the block open; an error, `hang` or `garbage` must follow.
    """

    value: _Text
    delta_chars: _DeltaChars | None = None
    delay_ms: _DelayMs = 0
    repeat: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    end: bool = True

    def __post_init__(self) -> None:
        if len(self.value) * self.repeat > STREAMED_CHARS_MAX:
            raise ValueError(f"over {STREAMED_CHARS_MAX} characters in all")


class Thinking(Text, frozen=True, kw_only=True):
    """A thinking block; its `signature` is what a provider would want back verbatim."""

    signature: _Text | None = None


class Call(_Action, frozen=True, kw_only=True):
    """A tool call.

    Attributes:
        tool: its name.
        input: its input.
        raw: the input as text instead, to send what is not JSON.
        delta_chars: as in `Text`.
        delay_ms: as in `Text`.
        end: as in `Text`.
    """

    tool: Annotated[str, Meta(min_length=1, max_length=128)]
    input: dict[str, Json] | None = None
    raw: _Text | None = None
    delta_chars: _DeltaChars | None = None
    delay_ms: _DelayMs = 0
    end: bool = True

    def __post_init__(self) -> None:
        if self.input is not None and self.raw is not None:
            raise ValueError("has both `input` and `raw`")


class Interleave(_Action, frozen=True, kw_only=True):
    """Text blocks open at once; each delta goes to the next, so that no two in a row can be merged.

    Attributes:
        blocks: how many.
        count: deltas in all.
        per_second: deltas per second, in bursts; None: as fast as they are taken.
        text: each delta.
    """

    blocks: Annotated[int, Meta(ge=2, le=64)] = 2
    count: Annotated[int, Meta(ge=1, le=10_000_000)]
    per_second: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=4096)] = "."


class SetUsage(_Action, frozen=True, kw_only=True):
    """The step's usage, in place of the estimate."""

    input: _Tokens = 0
    cache_read: _Tokens = 0
    cache_write_5m: _Tokens = 0
    cache_write_1h: _Tokens = 0
    output: _Tokens = 0
    reasoning: _Tokens = 0


class SetCost(_Action, frozen=True, kw_only=True):
    """The step's cost, in place of 0."""

    amount: Annotated[float, Meta(ge=0, le=1_000_000)]
    currency: Annotated[str, Meta(min_length=3, max_length=3)] = "USD"


class Stop(_Action, frozen=True, kw_only=True):
    """The step's stop reason, in place of `tool_use` or `end_turn`."""

    reason: StopReason


class Fail(_Action, frozen=True, kw_only=True):
    """The response breaks off with an error."""

    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    message: _Text
    retryable: bool = False
    retry_after_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | None = None
    status: Annotated[int, Meta(ge=100, le=599)] | None = None


class Hang(_Action, frozen=True, kw_only=True):
    """Nothing more comes, until the run is cancelled."""

    forever: bool = True

    def __post_init__(self) -> None:
        if not self.forever:
            raise ValueError("takes only `true`")


class Garbage(_Action, frozen=True, kw_only=True):
    """The provider sent what no decoder takes."""

    message: _Text


class Words(_Action, frozen=True, kw_only=True):
    """A text block, one delta per word. Not in scripts."""

    value: str


class Count(_Action, frozen=True, kw_only=True):
    """A text block with the numbers from 1 `to` so many, a delta each. Not in scripts."""

    to: int


Action = (
    Text | Thinking | Call | Interleave | SetUsage | SetCost | Stop | Fail | Hang | Garbage | Words | Count
)

Step = tuple[Action, ...]
"""One model response: its actions in order."""

BREAKS: Final = (Fail, Hang, Garbage)
"""Actions after which nothing of the step comes."""
