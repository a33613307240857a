"""A conversation of several steps with each vendor, through the real SDKs; what the next request holds."""

import json
from typing import Any

import pytest
from vendor_models import assistant, completed, kinds, model_of, prompt, step

from fakes.vendors.script import VENDORS, Call, Redacted, Reply, Say, Think, Vendor
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelOptions,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.models.catalogue import Catalogue
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.providers import PROVIDERS, provider_entries
from holdfast_daemon.models.sdk import Sdks
from holdfast_protocol.content import ImageBlock, ResourceBlock, TextBlock

SIGNATURE = "EqQBCkYIBxgCKkD/+=="
ANSWER = (
    Think(pieces=("I should ", "look at  both.\n"), signature=SIGNATURE),
    Redacted(data="cmVkYWN0ZWQ="),
    Say(pieces=("Let me", " see.")),
    Call(tool="read", pieces=('{"path"', ': "a.txt"}')),
    Call(tool="read", pieces=('{"path":"b ü.txt"}',)),
)
CALLS = Reply(answer=ANSWER, usage={"input": 10, "cached": 80, "written": 20, "output": 7, "reasoning": 3})
DONE = Reply(answer=(Say(pieces=("Both are ", "empty.")),))
BACK = {"reasoning_back": "tool_calls"}


def results(asked: AssistantMessage, *texts: str) -> ToolResultsMessage:
    calls = [part for part in asked.parts if isinstance(part, ToolCallPart)]
    return ToolResultsMessage(
        results=tuple(
            ToolResultPart(
                tool_call_id=call.tool_call_id,
                tool=call.tool,
                content=(TextBlock(text=text),),
                is_error=text == "no",
            )
            for call, text in zip(calls, texts, strict=True)
        )
    )


async def two_steps(vendor: Vendor, **how: Any) -> tuple[list[list[str]], list[Any], tuple[Message, ...]]:
    """Ask, answer the calls, hear the end: the kinds of the events, the bodies, and the conversation."""
    async with model_of(vendor, CALLS, DONE, **how) as (model, server):
        first = await step(model, prompt("Read both."), options=ModelOptions(thinking="high"))
        asked = assistant(first)
        conversation = (prompt("Read both."), asked, results(asked, "", "no"))
        second = await step(model, *conversation, options=ModelOptions(thinking="high"))
        return [kinds(first), kinds(second)], [request.body for request in server.requests], conversation


async def test_all_vendors_give_the_same_types_of_events_for_the_same_conversation() -> None:
    seen = {vendor: (await two_steps(vendor))[0] for vendor in VENDORS}
    thinking, rest = ["BlockStarted thinking", "BlockDelta", "BlockEnded"], ["StepCompleted"]
    call = ["BlockStarted tool_input", "BlockDelta", "BlockEnded"]
    text = ["BlockStarted text", "BlockDelta", "BlockEnded"]
    assert seen["responses"] == seen["chat"] == [[*thinking, *text, *call, *call, *rest], [*text, *rest]]
    redacted = ["BlockStarted thinking", "BlockEnded"]  # Only Anthropic has thinking that is not shown.
    assert seen["messages"] == [[*thinking, *redacted, *text, *call, *call, *rest], [*text, *rest]]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_was_said_comes_out_whole_with_its_usage_by_class(vendor: Vendor) -> None:
    async with model_of(vendor, CALLS) as (model, _server):
        events = await step(model)
    parts = [part for part in assistant(events).parts if not isinstance(part, ThinkingPart) or part.text]
    assert [type(part) for part in parts] == [ThinkingPart, TextPart, ToolCallPart, ToolCallPart]
    thought, said, *calls = parts
    assert isinstance(thought, ThinkingPart)
    assert thought.text == "I should look at  both.\n"
    assert isinstance(said, TextPart)
    assert said.text == "Let me see."
    inputs = [json.loads(call.input_json) for call in calls if isinstance(call, ToolCallPart)]
    assert inputs == [{"path": "a.txt"}, {"path": "b ü.txt"}]
    last = completed(events)
    assert last.stop_reason == "tool_use"
    usage = last.usage
    assert (usage.input, usage.cache_read, usage.cache_write_5m, usage.output) == (10, 80, 20, 7)
    assert (usage.reasoning, usage.estimated, last.cost) == (3, False, None)


async def test_anthropic_gets_its_thinking_back_as_it_came_and_in_its_place() -> None:
    _, bodies, _ = await two_steps("messages")
    assert bodies[0]["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert bodies[0]["output_config"] == {"effort": "high"}
    asked, answered = bodies[1]["messages"][1:]
    assert asked == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "I should look at  both.\n", "signature": SIGNATURE},
            {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_00003", "name": "read", "input": {"path": "a.txt"}},
            {"type": "tool_use", "id": "toolu_00004", "name": "read", "input": {"path": "b ü.txt"}},
        ],
    }
    assert answered == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_00003"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_00004",
                "content": [{"type": "text", "text": "no"}],
                "is_error": True,
                "cache_control": {"type": "ephemeral"},
            },
        ],
    }


async def test_anthropic_gets_cache_marks_at_the_stable_ends_and_the_same_prefix_otherwise() -> None:
    _, bodies, _ = await two_steps("messages")
    for body in bodies:
        assert body["system"][-1]["cache_control"] == {"type": "ephemeral"}
        assert body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
        assert json.dumps(body).count("cache_control") <= 4
    assert {**bodies[0], "messages": None} == {**bodies[1], "messages": None}
    # The mark of the request before is still there: what it wrote is found.
    assert bodies[1]["messages"][0] == bodies[0]["messages"][0]


async def test_openai_stores_nothing_and_gets_its_reasoning_items_back_encrypted() -> None:
    _, bodies, _ = await two_steps("responses")
    for body in bodies:
        assert body["store"] is False
        assert body["include"] == ["reasoning.encrypted_content"]
        assert body["reasoning"] == {"effort": "high", "summary": "auto"}
        assert body["stream_options"] == {"include_obfuscation": False}
    assert bodies[1]["input"][1:] == [
        {
            "type": "reasoning",
            "id": "rs_0",
            "summary": [{"type": "summary_text", "text": "I should look at  both.\n"}],
            "encrypted_content": SIGNATURE,
        },
        {
            "type": "message",
            "role": "assistant",
            "phase": "commentary",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "call_00002",
            "name": "read",
            "arguments": '{"path": "a.txt"}',
        },
        {
            "type": "function_call",
            "call_id": "call_00003",
            "name": "read",
            "arguments": '{"path":"b ü.txt"}',
        },
        {"type": "function_call_output", "call_id": "call_00002", "output": ""},
        {"type": "function_call_output", "call_id": "call_00003", "output": "Error: no"},
    ]


@pytest.mark.parametrize("quirks", [BACK, {}], ids=["deepseek and moonshot", "the others"])
async def test_chat_completions_gets_reasoning_back_where_the_provider_demands_it(quirks: Any) -> None:
    _, bodies, _ = await two_steps("chat", quirks=quirks)
    asked = bodies[1]["messages"][2]
    assert asked.get("reasoning_content") == ("I should look at  both.\n" if quirks else None)
    assert asked["content"] == "Let me see."
    assert [call["id"] for call in asked["tool_calls"]] == ["call_00000", "call_00001"]
    assert asked["tool_calls"][0]["function"] == {"name": "read", "arguments": '{"path": "a.txt"}'}
    assert bodies[1]["messages"][3:] == [
        {"role": "tool", "tool_call_id": "call_00000", "content": ""},
        {"role": "tool", "tool_call_id": "call_00001", "content": "Error: no"},
    ]
    assert bodies[1]["messages"][:2] == bodies[0]["messages"]  # Only appended to: the cache finds its prefix.


async def test_reasoning_goes_back_with_each_message_that_called_tools_also_where_there_was_none() -> None:
    call = Reply(answer=(Call(tool="read", pieces=("{}",)),))
    async with model_of("chat", call, quirks=BACK) as (model, server):
        asked = assistant(await step(model))
        said = AssistantMessage(parts=(TextPart(text="Done."),))
        await step(model, prompt("1"), asked, results(asked, "x"), said, prompt("2"))
        messages = server.requests[1].body["messages"]
    assert messages[2]["reasoning_content"] == ""
    assert "reasoning_content" not in messages[4]


@pytest.mark.parametrize("name", ["deepseek/deepseek-v4-pro", "moonshot/kimi-k3"])
async def test_deepseek_and_moonshot_as_listed_get_their_reasoning_back(name: str) -> None:
    provider = PROVIDERS[name.partition("/")[0]]
    sdks = Sdks()
    async with VendorServer((CALLS, DONE)).running() as server:
        environ = {provider.key_variable or "": "sk-of-the-test"}
        entries = provider_entries(sdks, environ, {provider.name: f"{server.url}/v1"})
        model = Catalogue(name, entries).get(name)
        assert isinstance(model, ProviderModel)
        asked = assistant(await step(model))
        last = completed(await step(model, prompt("1"), asked, results(asked, "x", "y")))
        await sdks.aclose()
    first, second = (request.body for request in server.requests)
    assert second["messages"][2]["reasoning_content"] == "I should look at  both.\n"
    assert first["model"] == name.partition("/")[2]
    assert last.cost is not None
    assert last.cost.amount > 0


@pytest.mark.parametrize(
    ("thinking", "quirks", "target", "expected"),
    [
        ("off", {"thinking_switch": True}, {}, {"thinking": {"type": "disabled"}}),
        (
            "medium",
            {"thinking_switch": True},
            {"efforts": ("low", "high", "max")},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        (
            "high",
            {"thinking_switch": True, "output_limit": "max_completion_tokens"},
            {"thinking": "always", "efforts": ("low", "high", "max")},
            {"reasoning_effort": "max", "max_completion_tokens": 32000},
        ),
        ("high", {}, {}, {}),
    ],
    ids=["deepseek off", "deepseek on", "kimi k3", "a local server"],
)
async def test_thinking_is_asked_for_as_each_compatible_provider_understands_it(
    thinking: Any, quirks: Any, target: Any, expected: dict[str, Any]
) -> None:
    async with model_of("chat", DONE, quirks=quirks, target=target) as (model, server):
        await step(model, options=ModelOptions(thinking=thinking))
    common = {"model", "stream", "stream_options", "tools", "messages"}
    body = server.requests[0].body
    assert {name: value for name, value in body.items() if name not in common} == expected


@pytest.mark.parametrize("source", VENDORS)
@pytest.mark.parametrize("goal", VENDORS)
async def test_another_vendor_gets_text_calls_and_results_but_nothing_opaque(
    source: Vendor, goal: Vendor
) -> None:
    _, _, conversation = await two_steps(source)
    if source == goal:
        return
    async with model_of(goal, DONE, quirks=BACK if goal == "chat" else None) as (model, server):
        await step(model, *conversation)
    raw = server.requests[0].raw_body.decode()
    for own in (SIGNATURE, "cmVkYWN0ZWQ=", "toolu_", "call_0", "I should look", "rs_0", "commentary"):
        assert own not in raw
    for kept in ("Let me see.", "a.txt", "b ü.txt", "r1-m1-t1", "r1-m1-t2", "Read both."):
        assert kept in raw
    assert raw.count("r1-m1-t2") == 2  # The call and its result.


@pytest.mark.parametrize("vendor", VENDORS)
async def test_input_that_is_no_json_goes_back_as_json_and_keeps_the_request_whole(vendor: Vendor) -> None:
    calls = tuple(
        ToolCallPart(tool_call_id=f"r:1/{n}", tool="read", input_json=text)
        for n, text in enumerate(('{"path": ', "", "[1]"))
    )
    asked = AssistantMessage(parts=calls)
    async with model_of(vendor, DONE) as (model, server):
        await step(model, prompt("1"), asked, results(asked, "x", "y", "z"))
    raw = server.requests[0].raw_body.decode()
    assert raw.count("invalid_json") == 2
    assert "r:1/0" not in raw
    assert raw.count("r_1_0_") == 2


async def test_images_and_documents_go_to_anthropic_as_such() -> None:
    content = (
        TextBlock(text="Look."),
        ImageBlock(mime_type="image/png", data="aGk="),
        ImageBlock(mime_type="application/pdf", data="JVBERg=="),
        ResourceBlock(uri="file:///a.md", text="# A"),
    )
    async with model_of("messages", DONE) as (model, server):
        await step(model, UserMessage(content=content))
    _, image, pdf, document = server.requests[0].body["messages"][0]["content"]
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert (pdf["type"], pdf["source"]["media_type"]) == ("document", "application/pdf")
    assert (document["source"]["data"], document["title"]) == ("# A", "file:///a.md")


@pytest.mark.parametrize(("images", "found"), [(True, "image_url"), (False, "[image image/png]")])
async def test_images_of_tools_follow_their_results_where_they_are_understood(
    images: bool, found: str
) -> None:
    asked = AssistantMessage(parts=(ToolCallPart(tool_call_id="c1", tool="read", input_json="{}"),))
    image = ImageBlock(mime_type="image/png", data="aGk=")
    result = ToolResultPart(tool_call_id="c1", tool="read", content=(image,))
    answered = ToolResultsMessage(results=(result,))
    async with model_of("chat", DONE, quirks={"images": images}) as (model, server):
        await step(model, prompt("1"), asked, answered)
    assert found in json.dumps(server.requests[0].body["messages"])
    assert ("aGk=" in server.requests[0].raw_body.decode()) is images


async def test_steering_after_results_is_one_user_message_with_the_results_first() -> None:
    asked = AssistantMessage(parts=(ToolCallPart(tool_call_id="c1", tool="read", input_json="{}"),))
    async with model_of("messages", DONE) as (model, server):
        await step(model, prompt("1"), asked, results(asked, "x"), prompt("And hurry."))
    messages = server.requests[0].body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_conversation_of_several_megabytes_arrives_whole(vendor: Vendor) -> None:
    turns = (prompt("1" * 40_000), AssistantMessage(parts=(TextPart(text="2" * 20_000),))) * 50
    async with model_of(vendor, DONE) as (model, server):
        completed(await step(model, *turns, prompt("3")))
    assert len(server.requests[0].raw_body) > 3_000_000
    body = server.requests[0].body
    assert len(body.get("messages") or body["input"]) in {101, 102}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_model_that_is_to_call_no_tool_is_told_of_them_all_the_same(vendor: Vendor) -> None:
    async with model_of(vendor, DONE) as (model, server):
        await step(model)
        await step(model, options=ModelOptions(tool_choice="none"))
    free, bound = [request.body for request in server.requests]
    assert bound.pop("tool_choice") == ({"type": "none"} if vendor == "messages" else "none")
    assert bound == free


async def test_a_server_that_does_not_understand_the_choice_is_not_sent_it() -> None:
    async with model_of("chat", DONE, quirks={"tool_choice": False}) as (model, server):
        await step(model, options=ModelOptions(tool_choice="none"))
    assert "tool_choice" not in server.requests[0].body
    assert server.requests[0].body["tools"]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_conversation_with_calls_goes_on_where_there_are_no_tools_any_more(vendor: Vendor) -> None:
    _, _, conversation = await two_steps(vendor)
    async with model_of(vendor, DONE) as (model, server):
        await step(model, *conversation, tools=())
    body = server.requests[0].body
    if vendor == "messages":
        assert [tool["name"] for tool in body["tools"]] == ["read"]
        assert body["tool_choice"] == {"type": "none"}
    else:
        assert "tools" not in body
