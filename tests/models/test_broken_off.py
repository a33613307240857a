"""What a response used that broke off is not lost: as its provider said until then, or an estimate."""

import json
from typing import Any

import pytest
from vendor_models import WIRES, completed, model_of, prompt, step

from fakes.vendors.script import Cut, Reply, Say, Vendor
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.base import ModelError, ModelOptions, RetryScheduled
from holdfast_daemon.models.catalogue import Catalogue
from holdfast_daemon.models.providers import provider_entries
from holdfast_daemon.models.retry import RetryPolicy
from holdfast_daemon.models.sdk import Sdks
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.wire import Provider, Target
from holdfast_protocol.events import Usage

USED = {"input": 1000, "cached": 500, "written_1h": 200, "output": 90}
ANSWER = (Say(pieces=("Half of ", "an answer", ".")),)
REPORTED = Usage(input=1000, cache_read=500, cache_write_1h=200, output=1)
"""What Anthropic says at the start of a message."""


async def _broken(vendor: Vendor, reply: Reply) -> ModelError:
    async with model_of(vendor, reply) as (model, _server):
        with pytest.raises(ModelError) as raised:
            await step(model)
    return raised.value


async def test_what_anthropic_said_at_the_start_is_kept() -> None:
    error = await _broken("messages", Reply(answer=ANSWER, usage=USED, cut=Cut(events=5)))
    assert (error.info.kind, error.usage, error.cost) == ("transport", REPORTED, None)


@pytest.mark.parametrize("vendor", ["responses", "chat"])
async def test_where_usage_comes_last_the_output_is_estimated_and_says_so(vendor: Vendor) -> None:
    events = 6 if vendor == "responses" else 3
    error = await _broken(vendor, Reply(answer=ANSWER, usage=USED, cut=Cut(events=events)))
    assert error.usage == Usage(output=len("Half of an answer") // 4 + 1, estimated=True)


@pytest.mark.parametrize("vendor", WIRES)
async def test_where_nothing_was_used_nothing_is_said(vendor: Vendor) -> None:
    refused = await _broken(vendor, Reply(status=401, body='{"error": {"message": "No."}}'))
    empty = await _broken(vendor, Reply(cut=Cut(events=0)))
    assert (refused.usage, refused.cost, empty.usage) == (None, None, None)


async def test_an_error_in_the_stream_keeps_it_too() -> None:
    busy = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}\n\n'
    error = await _broken("messages", Reply(usage=USED, cut=Cut(events=4), after=busy))
    assert (error.info.kind, error.usage) == ("overloaded", REPORTED)


async def test_each_failed_try_says_what_it_used() -> None:
    nothing_yet = Reply(usage=USED, cut=Cut(events=2))  # The message began, no block did.
    retries = RetryPolicy(base_s=0.001)
    async with model_of("messages", nothing_yet, Reply(usage=USED), retries=retries) as (model, _server):
        first, *_, last = await step(model)
    assert isinstance(first, RetryScheduled)
    assert first.usage == REPORTED
    assert completed([last]).usage.input == 1000  # Of the last try alone.


async def test_it_has_its_price() -> None:
    sdks = Sdks()
    reply = Reply(answer=ANSWER, usage=USED, cut=Cut(events=5))
    async with VendorServer((reply,)).running() as server:
        entries = provider_entries(sdks, {"ANTHROPIC_API_KEY": "sk-of-the-test"}, {"anthropic": server.url})
        model = Catalogue(entries=entries, default="anthropic/claude-opus-5-5").get(
            "anthropic/claude-opus-5-5"
        )
        assert model is not None
        with pytest.raises(ModelError) as raised:
            async for _ in model.stream((prompt("x"),), (), "", ModelOptions()):
                pass
        await sdks.aclose()
    cost = raised.value.cost
    assert cost is not None
    assert cost.amount == pytest.approx((1000 * 4 + 500 * 0.2 + 200 * 8 + 20) / 1e6)


def test_running_totals_of_a_stream_are_not_added_up() -> None:
    reader = WIRES["messages"].reader(Target(provider=Provider(name="p", base_url="https://p"), id="m"))

    def said(kind: str, **members: Any) -> None:
        list(reader.feed(SseEvent(kind.encode(), json.dumps({"type": kind, **members}).encode())))

    said("message_start", message={"usage": {"input_tokens": 100, "output_tokens": 1}})
    for output in (20, 50, 90):
        said("message_delta", delta={}, usage={"input_tokens": 100, "output_tokens": output})
        assert reader.usage == Usage(input=100, output=output)
