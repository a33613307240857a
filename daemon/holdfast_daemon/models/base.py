"""What every model adapter gives: one response as a stream of typed step events.

An adapter knows its vendor's wire and nothing of sessions, events or tools' execution. The driver of a run
turns step events into events of the log; the agent decides what to do with a finished step.
"""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import BlockKind, Cost, ErrorInfo, Json, StopReason, Thinking, Usage
from holdfast_protocol.methods.catalogue import ModelInfo


class BlockStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A block opened. `index` names it while it is open; several may be open at once.

    Attributes:
        tool: of a `tool_input` block, the tool that is called.
    """

    index: int
    kind: BlockKind
    tool: str | None = None


class BlockDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More text of an open block."""

    index: int
    text: str


class BlockEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A block is whole. `opaque` is what the provider wants back verbatim with it."""

    index: int
    provider: str | None = None
    opaque: Json = None


class StepCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """The response is whole; the last event of a step. `cost` is None where the price is unknown.

    Attributes:
        detail: what the provider says of the stop, for a person: why it refused, for example.
    """

    stop_reason: StopReason
    usage: Usage
    cost: Cost | None = None
    detail: str | None = None


class RetryScheduled(msgspec.Struct, frozen=True, kw_only=True):
    """A try failed before anything of the response came; there will be another. Comes before all others.

    Attributes:
        attempt: the try that failed, from 1.
        delay_ms: until the next.
        error: why it failed.
        usage: what the provider said the failed try used; None where it said nothing.
        cost: of that; None where it is not known.
    """

    attempt: int
    delay_ms: int
    error: ErrorInfo
    usage: Usage | None = None
    cost: Cost | None = None


StepEvent = BlockStarted | BlockDelta | BlockEnded | StepCompleted | RetryScheduled


class ModelError(Exception):
    """The model gave no response, or broke off. Every failure of a provider ends here.

    Attributes:
        usage: of a response that broke off, what its provider had said until then, or an estimate of what had
            come; None where nothing was used that is known of.
        cost: of that; None where it is not known.
    """

    def __init__(self, info: ErrorInfo, usage: Usage | None = None, cost: Cost | None = None) -> None:
        super().__init__(info.message)
        self.info = info
        self.usage = usage
        self.cost = cost


class TextPart(msgspec.Struct, frozen=True, kw_only=True):
    """Text the model wrote, with what its provider wants back verbatim."""

    text: str
    provider: str | None = None
    opaque: Json = None


class ThinkingPart(msgspec.Struct, frozen=True, kw_only=True):
    """Thinking, with what its provider wants back verbatim; never sent to another provider."""

    text: str
    provider: str | None = None
    opaque: Json = None


class ToolCallPart(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call the model made. `input_json` is the JSON as it wrote it, perhaps invalid."""

    tool_call_id: str
    tool: str
    input_json: str
    provider: str | None = None
    opaque: Json = None


class UserMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt."""

    content: tuple[ContentBlock, ...]


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One response, its parts in the model's order."""

    parts: tuple[TextPart | ThinkingPart | ToolCallPart, ...]


class ToolResultPart(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one call; every call of a response has exactly one."""

    tool_call_id: str
    tool: str
    content: tuple[ContentBlock, ...]
    is_error: bool = False


class ToolResultsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of a response's calls, in the model's order."""

    results: tuple[ToolResultPart, ...]


Message = UserMessage | AssistantMessage | ToolResultsMessage


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a model is told of it. `input_schema` is JSON Schema of an object."""

    name: str
    description: str
    input_schema: dict[str, Json]


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a session asks of a model.

    Attributes:
        cache_key: names the conversation to providers that route by it to find a cached prefix; tells nothing
            of who is talking.
        tool_choice: `none` wants text alone. The tools are told all the same: a conversation with calls in it
            is refused without them. Where a provider does not understand it, the model may call one.
    """

    thinking: Thinking = "off"
    cache_key: str | None = None
    tool_choice: Literal["auto", "none"] = "auto"


class Model(Protocol):
    """One model of one provider. Holds no state of any session."""

    @property
    def info(self) -> ModelInfo:
        """How the catalogue lists it."""
        ...

    def stream(
        self,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> AsyncGenerator[StepEvent]:
        """Stream one response.

        Blocks start, get deltas and end; `StepCompleted` comes last, unless the stream raises. Cancelling
        the task that iterates, or closing the generator, closes the provider's connection at once.

        Args:
            messages: the conversation, oldest first; the last is a prompt or tool results.
            tools: what the model may call, in a stable order.
            system: the system prompt.
            options: the session's wishes.

        Raises:
            ModelError: no response, or it broke off; blocks that are open stay open.
        """
        ...
