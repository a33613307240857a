"""What is the same with all vendors: retries, cancelling, keys, connections."""

import gc
import logging
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio
import msgspec
import pytest
from vendor_models import KEY, completed, kinds, model_of, prompt, step

from fakes.vendors.script import HELLO, VENDORS, Cut, Reply, Vendor
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.base import ModelError, ModelOptions, RetryScheduled, StepEvent
from holdfast_daemon.models.errors import Fault, ModelErrorKind
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.retry import RetryPolicy, with_retries
from holdfast_protocol.events import ErrorInfo

BUSY = Reply(status=529, body='{"error": {"type": "overloaded_error", "message": "Busy"}}')
BROKEN = Reply(cut=Cut(part=0.7), answer=HELLO)
QUICK = RetryPolicy(base_s=0.001)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_retry_is_said_before_the_response_and_the_response_is_whole(vendor: Vendor) -> None:
    async with model_of(vendor, BUSY, BUSY, Reply(), retries=QUICK) as (model, server):
        with anyio.fail_after(10):
            events = await step(model)
    first, second, *rest = events
    assert isinstance(first, RetryScheduled)
    assert isinstance(second, RetryScheduled)
    assert (first.attempt, second.attempt, first.error.kind) == (1, 2, "overloaded")
    assert kinds(rest) == ["BlockStarted text", "BlockDelta", "BlockEnded", "StepCompleted"]
    assert len(server.requests) == 3
    assert len({request.raw_body for request in server.requests}) == 1


async def _collect(model: ProviderModel, seen: list[StepEvent]) -> None:
    """Keep what comes before the stream breaks off, too."""
    async for event in model.stream((prompt("x"),), (), "", ModelOptions()):
        seen.append(event)  # noqa: PERF401 - a comprehension would lose it


@pytest.mark.parametrize("vendor", VENDORS)
async def test_there_is_no_retry_once_anything_of_the_response_came(vendor: Vendor) -> None:
    async with model_of(vendor, BROKEN, Reply(), retries=QUICK) as (model, server):
        seen: list[StepEvent] = []
        with anyio.fail_after(10), pytest.raises(ModelError) as raised:
            await _collect(model, seen)
    assert raised.value.info.kind == "transport"
    assert kinds(seen)[0] == "BlockStarted text"
    assert len(server.requests) == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_cancelling_closes_the_connection_and_the_provider_sees_it(vendor: Vendor) -> None:
    async with model_of(vendor, Reply(cut=Cut(events=5), ends="hang")) as (model, server):
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(step, model)
                await server.answering.wait()
                group.cancel_scope.cancel()
            await server.left.wait()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_cancelling_before_the_head_came_closes_the_connection_too(vendor: Vendor) -> None:
    async with model_of(vendor, Reply(delay_s=60)) as (model, server):
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(step, model)
                while not server.requests:  # noqa: ASYNC110 - the fake has no event for it
                    await anyio.sleep(0.01)  # To spin would starve the thread that imports the SDK.
                group.cancel_scope.cancel()
            await server.left.wait()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_letting_go_of_the_stream_closes_the_connection(vendor: Vendor) -> None:
    async with model_of(vendor, Reply(cut=Cut(events=5), ends="pings")) as (model, server):
        with anyio.fail_after(10):
            async with aclosing(model.stream((prompt("x"),), (), "", ModelOptions())) as stream:
                await anext(stream)
            await server.left.wait()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_answer_that_is_no_stream_is_not_waited_for(vendor: Vendor) -> None:
    page = Reply(headers={"content-type": "text/html"}, body="<html>", ends="hang")
    async with model_of(vendor, page) as (model, server):
        with anyio.fail_after(10):
            with pytest.raises(ModelError) as raised:
                await step(model)
            await server.left.wait()
    assert raised.value.info.kind == "garbage"


async def test_cancelling_ends_the_wait_before_a_retry_at_once() -> None:
    slow = RetryPolicy(base_s=1000.0, wait_s_max=1000.0, total_s=10_000.0)
    async with model_of("messages", BUSY, retries=slow) as (model, server):
        with anyio.fail_after(10):
            async with aclosing(model.stream((prompt("x"),), (), "", ModelOptions())) as stream:
                assert isinstance(await anext(stream), RetryScheduled)
                with anyio.move_on_after(0.01) as scope:
                    await anext(stream)
                assert scope.cancelled_caught
    assert len(server.requests) == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_one_connection_serves_one_response_after_the_other(vendor: Vendor) -> None:
    async with model_of(vendor, Reply()) as (model, server):
        for _ in range(3):
            completed(await step(model))
    assert server.connections == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nobody_listening_is_a_failed_connection(vendor: Vendor) -> None:
    async with VendorServer((Reply(),)).running() as gone:
        pass
    async with model_of(vendor, Reply(), url=gone.url) as (model, _server):
        with anyio.fail_after(10), pytest.raises(ModelError) as raised:
            await step(model)
    assert (raised.value.info.kind, raised.value.info.retryable) == ("transport", True)


@pytest.mark.parametrize(
    ("key", "said"), [(None, "not set"), ("  ", "not set"), ("sk-a\nb: c", "characters")]
)
async def test_a_key_that_cannot_be_sent_is_an_error_that_names_its_variable(
    key: str | None, said: str
) -> None:
    async with model_of("messages", Reply(), key=key) as (model, server):
        with pytest.raises(ModelError, match=said) as raised:
            await step(model)
    assert raised.value.info.kind == "auth"
    assert "FAKE_API_KEY" in raised.value.info.message
    assert server.requests == []


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_key_is_sent_and_is_in_no_event_error_log_or_object(
    vendor: Vendor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, f"x-planted: {KEY}-header")
    repeats = Reply(status=401, body='{"error": {"message": "Incorrect API key: ' + KEY + '", "type": "x"}}')
    caplog.set_level(logging.DEBUG)
    async with model_of(vendor, Reply(), repeats) as (model, server):
        seen = [repr(await step(model))]
        with pytest.raises(ModelError) as raised:
            await step(model)
        seen.append("".join(traceback.format_exception(raised.value)))
        seen.append(repr(vars(model)))
    seen.append(caplog.text)
    assert f"Bearer {KEY}" in server.requests[0].headers.values()
    assert "x-planted" not in server.requests[0].headers
    assert all(KEY not in text for text in seen)
    assert KEY not in msgspec.json.encode(raised.value.info).decode()
    gc.collect()
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    assert not [found for found in gc.get_objects() if isinstance(found, AsyncAnthropic | AsyncOpenAI)]


# The retry's arithmetic ---------------------------------------------------------------------------------


def _failing(*infos: ErrorInfo) -> Callable[[], AsyncGenerator[StepEvent]]:
    tries: list[int] = []

    async def attempt() -> AsyncGenerator[StepEvent]:
        tries.append(len(tries))
        raise ModelError(infos[min(len(tries), len(infos)) - 1])
        yield

    return attempt


def _info(kind: ModelErrorKind, retry_after_ms: int | None = None) -> ErrorInfo:
    return Fault(kind, retry_after_ms=retry_after_ms).info("p", None)


async def _delays_ms(policy: RetryPolicy, *infos: ErrorInfo) -> list[int]:
    """Give the waits, each the longest its jitter allows, without waiting for them."""
    delays: list[int] = []
    try:
        async for event in with_retries(_failing(*infos), policy, lambda _low, high: high):
            assert isinstance(event, RetryScheduled)
            delays.append(event.delay_ms)
    except ModelError:
        return delays
    raise AssertionError("nothing failed")


async def test_waits_double_up_to_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast_daemon.models.retry.anyio.sleep", lambda _s: anyio.lowlevel.checkpoint())
    policy = RetryPolicy(tries_max=6, base_s=0.5, wait_s_max=3.0)
    assert await _delays_ms(policy, _info("overloaded")) == [500, 1000, 2000, 3000, 3000]
    assert await _delays_ms(RetryPolicy(total_s=3.4), _info("server")) == [500, 1000]


async def test_what_the_provider_asks_for_is_the_least_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast_daemon.models.retry.anyio.sleep", lambda _s: anyio.lowlevel.checkpoint())
    policy = RetryPolicy(tries_max=2, base_s=0.5)
    assert await _delays_ms(policy, _info("rate_limited", 5000)) == [5500]
    assert await _delays_ms(policy, _info("rate_limited", 61_000)) == []


@pytest.mark.parametrize(
    "kind", ["auth", "billing", "permission", "not_found", "bad_request", "context_too_long", "garbage"]
)
async def test_what_another_try_does_not_help_is_not_tried_again(kind: ModelErrorKind) -> None:
    assert await _delays_ms(RetryPolicy(base_s=0.001), _info(kind)) == []
