"""Models that speak to a fake vendor through the real SDKs, and what is made of their step events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from fakes.vendors.script import Reply, Vendor
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.anthropic import Messages
from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Message,
    ModelOptions,
    StepCompleted,
    StepEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.exchange import Limits
from holdfast_daemon.models.openai_chat import ChatCompletions
from holdfast_daemon.models.openai_responses import Responses
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.retry import RetryPolicy
from holdfast_daemon.models.sdk import Sdks
from holdfast_daemon.models.wire import Provider, Target
from holdfast_protocol.content import TextBlock
from holdfast_protocol.methods.catalogue import ModelInfo

KEY = "sk-planted-0123456789abcdef"
WIRES = {"messages": Messages(), "responses": Responses(), "chat": ChatCompletions()}

READ = ToolSpec(
    name="read",
    description="Reads a file.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)

NO_WAITS = RetryPolicy(tries_max=1)


def prompt(text: str) -> UserMessage:
    return UserMessage(content=(TextBlock(text=text),))


def provider(vendor: Vendor, url: str, **quirks: Any) -> Provider:
    """Give the vendor, as if it were on this machine."""
    suffix = "" if vendor == "messages" else "/v1"
    return Provider(name=f"fake-{vendor}", base_url=f"{url}{suffix}", key_variable="FAKE_API_KEY", **quirks)


@asynccontextmanager
async def model_of(
    vendor: Vendor,
    *replies: Reply,
    limits: Limits | None = None,
    retries: RetryPolicy = NO_WAITS,
    quirks: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
    key: str | None = KEY,
    url: str | None = None,
    sdks: Sdks | None = None,
) -> AsyncIterator[tuple[ProviderModel, VendorServer]]:
    """Give a model, and the server that answers it."""
    sdks = sdks or Sdks()
    async with VendorServer(replies).running() as server:
        at = provider(vendor, url or server.url, **(quirks or {}))
        try:
            yield (
                ProviderModel(
                    ModelInfo(name=f"{at.name}/test", provider=at.name, description="A test's."),
                    Target(provider=at, id="test-model", **(target or {})),
                    WIRES[vendor],
                    sdks,
                    key_of={"FAKE_API_KEY": key}.get,
                    limits=limits,
                    retries=retries,
                ),
                server,
            )
        finally:
            await sdks.aclose()


async def step(
    model: ProviderModel,
    *messages: Message,
    tools: tuple[ToolSpec, ...] = (READ,),
    options: ModelOptions | None = None,
) -> list[StepEvent]:
    """Stream one response to its end."""
    found = model.stream(messages or (prompt("hello"),), tools, "You are a test.", options or ModelOptions())
    return [event async for event in found]


def assistant(events: list[StepEvent], message_id: str = "r1-m1") -> AssistantMessage:
    """Make of step events what the log makes of them: block by block, with the daemon's own ids of calls."""
    texts: dict[int, list[str]] = {}
    started: dict[int, BlockStarted] = {}
    parts: list[TextPart | ThinkingPart | ToolCallPart] = []
    calls = 0
    ids: dict[int, str] = {}
    for event in events:
        match event:
            case BlockStarted():
                assert event.index not in started
                started[event.index] = event
                texts[event.index] = []
                if event.kind == "tool_input":
                    calls += 1
                    ids[event.index] = f"{message_id}-t{calls}"
            case BlockDelta():
                texts[event.index].append(event.text)
            case BlockEnded():
                begun = started.pop(event.index)
                text = "".join(texts.pop(event.index))
                opaque = msgspec.json.decode(msgspec.json.encode(event.opaque))  # As the log keeps it.
                kept: dict[str, Any] = {"provider": event.provider, "opaque": opaque}
                if begun.kind == "text":
                    parts.append(TextPart(text=text, **kept))
                elif begun.kind == "thinking":
                    parts.append(ThinkingPart(text=text, **kept))
                else:
                    call_id = ids[event.index]
                    parts.append(
                        ToolCallPart(tool_call_id=call_id, tool=begun.tool or "", input_json=text, **kept)
                    )
            case _:
                pass
    assert not started
    return AssistantMessage(parts=tuple(parts))


def completed(events: list[StepEvent]) -> StepCompleted:
    last = events[-1]
    assert isinstance(last, StepCompleted)
    return last


def kinds(events: list[StepEvent]) -> list[str]:
    """Give the types of the events; neighbouring deltas of one block as one."""
    names: list[str] = []
    for event in events:
        name = type(event).__name__
        if isinstance(event, BlockStarted):
            name += f" {event.kind}"
        if not (name == "BlockDelta" and names[-1] == "BlockDelta"):
            names.append(name)
    return names
