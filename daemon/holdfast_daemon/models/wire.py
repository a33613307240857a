"""What an API of a vendor is to `ProviderModel`: how a request is written, and how its stream is read.

Both are pure. Sending, time-outs, errors and retries are the same for all (`exchange`, `provider_model`).
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, Protocol, cast

import msgspec

from holdfast_daemon.models.base import (
    Message,
    ModelOptions,
    StepEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolSpec,
)
from holdfast_daemon.models.sse import SseEvent
from holdfast_protocol.events import Json, Usage

Sdk = Literal["anthropic", "openai"]

OUTPUT_TOKENS_MAX: Final = 32_000
"""Of one response, where the API wants a number: room for thinking and a long file."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Where models are had, and what is peculiar there.

    Attributes:
        name: as in `deepseek/…`; also what opaque parts are marked with.
        base_url: https, or http to this machine; the SDK's paths are put behind it.
        key_variable: the environment variable with the key, read at each use; None: no key is wanted.
        headers: sent with each request; never secrets.
        local: runs on this machine or in this house: costs nothing.
        reasoning_back: of Chat Completions, which assistant messages carry their `reasoning_content` back.
        images: whether images are understood; otherwise they are named in the text.
        output_limit: of Chat Completions, the member that bounds a response; None: the server's own bound.
        thinking_switch: of Chat Completions, `thinking: {type: enabled | disabled}` is understood.
        tool_choice: of Chat Completions, `tool_choice: none` is understood.
        usage_on_request: of Chat Completions, `stream_options.include_usage` is understood.
    """

    name: str
    base_url: str
    key_variable: str | None = None
    headers: Mapping[str, str] = {}
    local: bool = False
    reasoning_back: Literal["never", "tool_calls"] = "never"
    images: bool = True
    output_limit: Literal["max_tokens", "max_completion_tokens"] | None = None
    thinking_switch: bool = False
    tool_choice: bool = True
    usage_on_request: bool = True


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a provider.

    Attributes:
        id: what the provider calls it.
        output_tokens_max: what a response may have at most, thinking included.
        thinking: how thinking is asked for: by effort, by a budget of tokens, always on, or not at all.
        efforts: of Chat Completions, `reasoning_effort` for low, medium and high; None: not sent.
        own_prices: in US dollars for a million tokens: input, output, cached reads, cache writes; goes before
            the table. None of the last two: as input.
    """

    provider: Provider
    id: str
    output_tokens_max: int = OUTPUT_TOKENS_MAX
    thinking: Literal["effort", "budget", "always", "none"] = "effort"
    efforts: tuple[str, str, str] | None = None
    own_prices: tuple[float, float, float | None, float | None] | None = None


def kept(part: TextPart | ThinkingPart | ToolCallPart, provider: str) -> dict[str, Json] | None:
    """Give what a provider wants back with a part it wrote; None if another wrote it, or nothing is kept."""
    if part.provider != provider or not isinstance(part.opaque, dict):
        return None
    return cast("dict[str, Json]", part.opaque)


class Reader(Protocol):
    """Reads the stream of one response.

    Attributes:
        done: the response is whole; what follows is not looked at.
        usage: as far as it is known.
    """

    done: bool

    @property
    def usage(self) -> Usage:
        """What the response has used so far, by the provider's figures."""
        ...

    def feed(self, event: SseEvent) -> Iterable[StepEvent]:
        """Give the step events of one SSE event; `StepCompleted`, without a cost, is the last of all.

        Raises:
            Fault: the event is an error, or not of this API, or does not fit the ones before.
        """
        ...

    def finish(self) -> Iterable[StepEvent]:
        """The stream has ended without `done`: give what makes the response whole, if it is.

        Raises:
            Fault: `truncated`.
        """
        ...

    def continued(self, body: bytes) -> bytes | None:
        """After `pause_turn`: give the body that lets the response go on; None if there is none.

        Args:
            body: of the request this response answers.
        """
        ...


class Wire(Protocol):
    """An API.

    Attributes:
        sdk: which SDK sends its requests.
        path: behind the base URL.
    """

    sdk: Sdk
    path: str

    def request(
        self,
        target: Target,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> bytes:
        """Write the body, in one pass; the same conversation and more of it begins with the same bytes."""
        ...

    def reader(self, target: Target) -> Reader:
        """Give a reader for one response."""
        ...
