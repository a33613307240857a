"""One conversation, begun with one provider and gone on with another: nothing foreign, nothing missing.

The providers are those of the catalogue, quirks and all, each spoken to through its real SDK.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from vendor_models import assistant, completed, prompt, step

from fakes.vendors.script import Call, Redacted, Reply, Say, Think
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelOptions,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.providers import PROVIDERS, KnownModel, entry
from holdfast_daemon.models.sdk import Sdks
from holdfast_daemon.models.wire import Target
from holdfast_protocol.content import ImageBlock, TextBlock

SOURCES = ("anthropic", "openai", "deepseek", "moonshot", "ollama")
PAIRS = [(source, goal) for source in SOURCES for goal in SOURCES if source != goal]
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
IMAGE = ImageBlock(mime_type="image/png", data="aW1hZ2U=")


def _said(mark: str, *calls: str) -> Reply:
    """Give a response that has everything; what is opaque, and its reasoning, carry the mark."""
    return Reply(
        answer=(
            Think(pieces=(f"{mark} thinks ", "  twice.\n"), signature=f"{mark}-signature+/=="),
            Redacted(data=f"{mark}-redacted+/=="),
            Say(pieces=("I read", " them.")),
            *(Call(tool="read", pieces=('{"path": ', f'"{path}"}}')) for path in calls),
        )
    )


DONE = Reply(answer=(Say(pieces=("Done.",)),))


async def _step(provider: str, reply: Reply, *messages: Message) -> tuple[AssistantMessage, Any]:
    """Let a provider answer a conversation; give what it said, and the body it was asked with."""
    target = Target(provider=PROVIDERS[provider], id="test-model")
    sdks = Sdks()
    async with VendorServer((reply,)).running() as server:
        model = entry(
            KnownModel(target=target, description="A test's."),
            sdks,
            environ={target.provider.key_variable or "": "sk-of-the-test"},
            base_url=server.url if provider == "anthropic" else f"{server.url}/v1",
        ).make()
        assert isinstance(model, ProviderModel)
        events = await step(model, *messages, options=ModelOptions(thinking="high"))
        await sdks.aclose()
    completed(events)
    number = sum(isinstance(message, AssistantMessage) for message in messages) + 1
    return assistant(
        events, f"run:{number}/of a name that is longer than any provider takes it{'!' * 20}-m1"
    ), (server.requests[0].body)


def _answered(asked: AssistantMessage) -> ToolResultsMessage:
    """Answer all calls of a message: the first with an image, the others with an error."""
    calls = [part for part in asked.parts if isinstance(part, ToolCallPart)]
    return ToolResultsMessage(
        results=tuple(
            ToolResultPart(
                tool_call_id=call.tool_call_id,
                tool=call.tool,
                content=(TextBlock(text=f"result {number}"), *(() if number else (IMAGE,))),
                is_error=number > 0,
            )
            for number, call in enumerate(calls)
        )
    )


async def _begun(source: str) -> tuple[Message, ...]:
    """Have a conversation with two steps of calls, the first of them parallel."""
    first = UserMessage(content=(TextBlock(text="Read both."), IMAGE))
    asked, _ = await _step(source, _said(source, "a.txt", "b ü.txt"), first)
    before = (first, asked, _answered(asked))
    again, _ = await _step(source, _said(source, "c.txt"), *before)
    return (*before, again, _answered(again))


# What each wire says of calls and results, in their order ------------------------------------------------


def _calls_and_results(body: Any) -> Iterator[tuple[str, str, str]]:
    """Give `call` or `result`, the id, and the path or text."""
    for item in body.get("input", body.get("messages")):
        yield from _of_responses(item) if "input" in body else _of_messages(item)


def _of_responses(item: Any) -> Iterator[tuple[str, str, str]]:
    if item["type"] == "function_call":
        yield "call", item["call_id"], json.loads(item["arguments"])["path"]
    elif item["type"] == "function_call_output":
        yield "result", item["call_id"], json.dumps(item["output"])


def _of_messages(message: Any) -> Iterator[tuple[str, str, str]]:
    for call in message.get("tool_calls", ()):
        yield "call", call["id"], json.loads(call["function"]["arguments"])["path"]
    if message["role"] == "tool":
        yield "result", message["tool_call_id"], message["content"]
    for block in message["content"] if isinstance(message["content"], list) else ():
        if block["type"] == "tool_use":
            yield "call", block["id"], block["input"]["path"]
        elif block["type"] == "tool_result":
            yield "result", block["tool_use_id"], json.dumps(block["content"])


def _check_calls(body: Any) -> None:
    found = list(_calls_and_results(body))
    kinds = [kind for kind, _, _ in found]
    assert kinds == ["call", "call", "result", "result", "call", "result"]
    ids = [call_id for _, call_id, _ in found]
    assert (ids[0], ids[1], ids[4]) == (ids[2], ids[3], ids[5])  # Each answered, in the model's order.
    assert len(set(ids)) == 3
    assert all(CALL_ID.fullmatch(call_id) for call_id in ids)
    assert [said for kind, _, said in found if kind == "call"] == ["a.txt", "b ü.txt", "c.txt"]
    for number, said in zip((0, 1, 0), [said for kind, _, said in found if kind == "result"], strict=True):
        assert f"result {number}" in said


def _check_shape(goal: str, body: Any) -> None:
    """Check what this provider demands besides."""
    if goal == "anthropic":
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert all(message["content"] for message in body["messages"])
    if goal in {"deepseek", "moonshot"}:
        asked = [message for message in body["messages"] if "tool_calls" in message]
        assert [message["reasoning_content"] for message in asked] == ["", ""]


@pytest.mark.parametrize(("source", "goal"), PAIRS)
async def test_another_provider_takes_a_conversation_up(source: str, goal: str) -> None:
    _, body = await _step(goal, DONE, *await _begun(source), prompt("Go on."))
    raw = json.dumps(body, ensure_ascii=False)
    for foreign in (
        f"{source}-",
        f"{source} thinks",
        "rs_0",
        "toolu_",
        "call_0",
        "phase",
        'encrypted_content"',
    ):
        assert foreign not in raw.replace('"include": ["reasoning.encrypted_content"]', "")
    assert raw.count("I read them.") == 2
    _check_calls(body)
    _check_shape(goal, body)
    images = 3 if PROVIDERS[goal].images else 0  # The prompt's, and one of each step's results.
    assert (raw.count(IMAGE.data), "Go on." in raw, "Read both." in raw) == (images, True, True)
    assert images or raw.count("[image image/png]") == 3


@pytest.mark.parametrize(("source", "goal"), PAIRS)
async def test_the_first_provider_gets_its_own_back_and_nothing_of_the_one_in_between(
    source: str, goal: str
) -> None:
    begun = await _begun(source)
    asked, _ = await _step(goal, _said(goal, "d.txt"), *begun, prompt("Go on."))
    messages = (*begun, prompt("Go on."), asked, _answered(asked), prompt("And back."))
    _, body = await _step(source, DONE, *messages)
    raw = json.dumps(body, ensure_ascii=False)
    assert f"{goal}-" not in raw
    assert f"{goal} thinks" not in raw
    own = {"anthropic": "-signature+/==", "openai": "-signature+/==", "ollama": None}.get(source, " thinks ")
    assert own is None or raw.count(f"{source}{own}") == 2
    assert source != "anthropic" or raw.count("anthropic-redacted+/==") == 2
    ids = [call_id for _, call_id, _ in _calls_and_results(body)]
    assert sorted(ids) == sorted(2 * list(dict.fromkeys(ids)))
    assert len(set(ids)) == _distinct(begun, asked)


def _distinct(begun: tuple[Message, ...], asked: AssistantMessage) -> int:
    """Give how many calls there were."""
    said = [*(message for message in begun if isinstance(message, AssistantMessage)), asked]
    return sum(isinstance(part, ToolCallPart) for message in said for part in message.parts)
