"""A response of Anthropic's that pauses (`pause_turn`) is sent back as it came, and goes on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor_models import WIRES, assistant, completed, kinds, model_of, step

from fakes.vendors.script import Call, Cut, Redacted, Reply, Say, Search, Think
from holdfast_daemon.models.anthropic_request import continued
from holdfast_daemon.models.base import ModelError, TextPart
from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.wire import Provider, Target
from holdfast_protocol.events import Usage

USED = {"input": 10, "output": 5}
PAUSED = Reply(
    answer=(
        Think(pieces=("I look", " it up."), signature="c2ln+/=="),
        Redacted(data="cmVk"),
        Say(pieces=("Let me", " search.  ")),
        Search(query="wörds"),
    ),
    stop="pause",
    usage=USED,
)
DONE = Reply(answer=(Say(pieces=("Fo", "und.")),), usage=USED)
BLOCKS = [
    {"type": "thinking", "thinking": "I look it up.", "signature": "c2ln+/=="},
    {"type": "redacted_thinking", "data": "cmVk"},
    {"type": "text", "text": "Let me search.  "},
    {"type": "server_tool_use", "id": "srvtoolu_3", "name": "web_search", "input": {"query": "wörds"}},
]


async def test_a_paused_response_goes_back_as_it_came_and_the_rest_follows_in_the_same_step() -> None:
    async with model_of("messages", PAUSED, DONE) as (model, server):
        events = await step(model)
    thinking, text = (
        ["BlockStarted thinking", "BlockDelta", "BlockEnded"],
        ["BlockStarted text", "BlockDelta"],
    )
    redacted = ["BlockStarted thinking", "BlockEnded"]
    ended = ["BlockEnded"]
    assert kinds(events) == [*thinking, *redacted, *text, *ended, *text, *ended, "StepCompleted"]
    said = [part.text for part in assistant(events).parts if isinstance(part, TextPart)]
    assert said == ["Let me search.  ", "Found."]
    first, second = (request.body for request in server.requests)
    assert second["messages"] == [*first["messages"], {"role": "assistant", "content": BLOCKS}]
    assert {**second, "messages": None} == {**first, "messages": None}


async def test_usage_is_that_of_all_its_requests() -> None:
    async with model_of("messages", PAUSED, PAUSED, DONE) as (model, server):
        last = completed(await step(model))
    assert (last.stop_reason, last.usage) == ("end_turn", Usage(input=30, output=15))
    assert [len(request.body["messages"]) for request in server.requests] == [1, 2, 2]
    # One message has it all, whatever the number of pauses.
    assert server.requests[2].body["messages"][-1] == {"role": "assistant", "content": [*BLOCKS, *BLOCKS]}


async def test_one_that_pauses_on_and_on_ends_with_that_as_its_reason() -> None:
    async with model_of("messages", PAUSED) as (model, server):
        last = completed(await step(model))
    assert (last.stop_reason, last.usage.input) == ("pause_turn", 90)
    assert len(server.requests) == 9


async def test_one_that_pauses_with_nothing_said_is_not_sent_back() -> None:
    async with model_of("messages", Reply(answer=(), stop="pause")) as (model, server):
        assert completed(await step(model)).stop_reason == "pause_turn"
    assert len(server.requests) == 1


async def test_what_fails_after_a_pause_keeps_what_was_used_before_it() -> None:
    refused = Reply(status=400, body='{"error": {"type": "invalid_request_error", "message": "No."}}')
    broken = Reply(usage=USED, cut=Cut(events=4))
    for after, usage in ((refused, Usage(input=10, output=5)), (broken, Usage(input=20, output=6))):
        async with model_of("messages", PAUSED, after) as (model, _server):
            with pytest.raises(ModelError) as raised:
                await step(model)
        assert raised.value.usage == usage


async def test_a_tool_call_before_a_pause_goes_back_with_its_input() -> None:
    paused = Reply(answer=(Call(tool="read", pieces=('{"pa', 'th": "ä"}')),), stop="pause")
    async with model_of("messages", paused, DONE) as (model, server):
        completed(await step(model))
    call = {"type": "tool_use", "id": "toolu_00000", "name": "read", "input": {"path": "ä"}}
    assert server.requests[1].body["messages"][-1]["content"] == [call]


def test_the_body_of_a_request_that_goes_on_begins_as_the_one_before() -> None:
    body = '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"é"}]}]}'.encode()
    following = continued(body, [{"type": "text", "text": "x"}])
    assert following.startswith(body[:-2])
    assert json.loads(following)["messages"][1]["role"] == "assistant"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    ("text", "thinking", "data", "input", "citations", "content", "partial_json", "citation")
)
_TYPES = st.sampled_from(
    ("text", "tool_use", "thinking", "server_tool_use", "text_delta", "input_json_delta", "citations_delta")
)
_OBJECTS = st.builds(
    lambda kind, members: {**members, "type": kind},
    _TYPES,
    st.dictionaries(_NAMES, _JSON | st.text(), max_size=3),
)


@given(blocks=st.lists(st.tuples(_OBJECTS, st.lists(_OBJECTS, max_size=3)), max_size=4))
def test_whatever_was_sent_goes_back_as_json_or_not_at_all(
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]],
) -> None:
    reader = WIRES["messages"].reader(Target(provider=Provider(name="p", base_url="https://p"), id="m"))
    stream: list[dict[str, Any]] = [{"type": "message_start", "message": {}}]
    for index, (block, deltas) in enumerate(blocks):
        stream.append({"type": "content_block_start", "index": index, "content_block": block})
        stream += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        stream.append({"type": "content_block_stop", "index": index})
    try:
        for data in stream:
            list(reader.feed(SseEvent(b"", json.dumps(data).encode())))
    except Fault:
        return
    following = reader.continued(b'{"messages":[{"role":"user","content":[]}]}')
    assert (following is None) <= (not blocks or any("citations" in block for block, _ in blocks))
    if following is not None:
        [_, answer] = json.loads(following)["messages"]
        assert [block["type"] for block in answer["content"]] == [block["type"] for block, _ in blocks]
