"""The fake vendors speak the real wire: the SDKs' own helpers read what was meant out of it."""

from typing import Any

import pytest
from anthropic import AsyncAnthropic, BadRequestError
from openai import AsyncOpenAI

from fakes.vendors.script import Call, Redacted, Reply, Say, Think
from fakes.vendors.server import VendorServer

REPLY = Reply(
    answer=(
        Think(pieces=("Let me ", "think."), signature="c2ln"),
        Redacted(data="cmVk"),
        Say(pieces=("Hel", "lo 🙂.")),
        Call(tool="read", pieces=('{"path":', ' "ä"}')),
    ),
    usage={"input": 10, "cached": 80, "written": 20, "output": 7, "reasoning": 3},
    split_bytes=5,
)
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


async def test_calls_and_results_without_tools_are_refused_as_messages() -> None:
    used = {"type": "tool_use", "id": "t", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t"}
    conversation: list[Any] = [
        *HELLO,
        {"role": "assistant", "content": [used]},
        {"role": "user", "content": [result]},
    ]
    tool: Any = {"name": "read", "input_schema": {"type": "object"}}
    async with (
        VendorServer((Reply(),)).running() as server,
        AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as client,
    ):
        with pytest.raises(BadRequestError, match="must define tools"):
            async with client.messages.stream(model="m", max_tokens=9, messages=conversation):
                pass
        async with client.messages.stream(model="m", max_tokens=9, messages=conversation, tools=[tool]):
            pass


async def test_the_sdk_reads_messages() -> None:
    async with (
        VendorServer((REPLY,)).running() as server,
        AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream,
    ):
        message = await stream.get_final_message()
    thinking, redacted, text, call = message.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, thinking.signature) == ("Let me think.", "c2ln")
    assert redacted.type == "redacted_thinking"
    assert redacted.data == "cmVk"
    assert text.type == "text"
    assert text.text == "Hello 🙂."
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("read", {"path": "ä"})
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 7)
    assert message.usage.cache_read_input_tokens == 80


async def test_the_sdk_reads_responses() -> None:
    async with (
        VendorServer((REPLY,)).running() as server,
        AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client,
        client.responses.stream(model="m", input="hello") as stream,
    ):
        response = await stream.get_final_response()
    reasoning, message, call = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.encrypted_content == "c2ln"
    assert message.type == "message"
    assert response.output_text == "Hello 🙂."
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("read", '{"path": "ä"}')
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (110, 80)


@pytest.mark.filterwarnings("default")
async def test_the_sdk_reads_chat_completions() -> None:
    async with (
        VendorServer((REPLY,)).running() as server,
        AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=HELLO, stream_options={"include_usage": True}
        ) as stream,
    ):
        completion = await stream.get_final_completion()
    [choice] = completion.choices
    assert choice.message.content == "Hello 🙂."
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("read", '{"path": "ä"}')
    assert choice.finish_reason == "tool_calls"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 110
