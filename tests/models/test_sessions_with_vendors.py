"""Whole runs with each vendor: the same events of the log, faults as typed events, a session that goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from core_world import Core, core_running
from log_builder import check_complete
from vendor_models import KEY, model_of

from fakes.vendors.script import FOLDER, VENDORS, Call, Cut, Reply, Say, Think, Vendor, load
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.catalogue import Catalogue, CatalogueEntry
from holdfast_daemon.models.exchange import Limits
from holdfast_daemon.models.retry import RetryPolicy
from holdfast_protocol import events

PLAN = Reply(
    answer=(
        Think(pieces=("First ", "a plan.")),
        Say(pieces=("I ", "plan.")),
        Call(tool="todo", pieces=('{"entries": [{"con', 'tent": "Test"}]}')),
    )
)
DONE = Reply(answer=(Say(pieces=("Do", "ne.")),))
BROKEN = Reply(cut=Cut(events=5))
BUSY = Reply(status=503, body="{}")
WAIT_S = 10


@asynccontextmanager
async def core_with(
    vendor: Vendor, *replies: Reply, tries_max: int = 2, window: int | None = None, **how: Any
) -> AsyncIterator[tuple[Core, VendorServer]]:
    """Run a core whose default model is the vendor's."""
    retries = RetryPolicy(tries_max=tries_max, base_s=0.001)
    async with model_of(vendor, *replies, retries=retries, **how) as (model, server):
        model._info = msgspec.structs.replace(model.info, context_tokens=window)
        entry = CatalogueEntry(info=model.info, make=lambda: model)
        async with core_running(catalogue=Catalogue(model.info.name, (entry,))) as core:
            with anyio.fail_after(WAIT_S):
                yield core, server


async def _types(vendor: Vendor) -> list[str]:
    """Give the types of a run's events; deltas are merged by the clock, so they count once a block."""
    async with core_with(vendor, PLAN, DONE) as (core, _server):
        client = core.client()
        await client.create()
        await client.run("Plan it.")
        types = await core.types()
    return [name for name in types if name != "token_delta"]


async def test_a_run_with_tools_leaves_the_same_types_of_events_whichever_vendor_answers() -> None:
    first, *others = [await _types(vendor) for vendor in VENDORS]
    assert "tool_call_completed" in first
    assert first[-1] == "run_completed"
    assert others == [first, first]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_the_log_keeps_makes_the_next_request(vendor: Vendor) -> None:
    async with core_with(vendor, PLAN, DONE) as (core, server):
        client = core.client()
        await client.create()
        await client.run("Plan it.")
    second = server.requests[1].raw_body.decode()
    kept = {
        "messages": '"signature":"c2lnbmF0dXJl+/=="',
        "responses": '"encrypted_content":"c2lnbmF0dXJl+/=="',
    }
    assert kept.get(vendor, "Plan it.") in second
    assert ("toolu_00002" if vendor == "messages" else "call_0") in second
    assert vendor != "responses" or '"phase":"commentary"' in second


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_stream_that_breaks_off_is_a_typed_event_and_the_session_goes_on(vendor: Vendor) -> None:
    async with core_with(vendor, BROKEN, DONE) as (core, _server):
        client = core.client()
        await client.create()
        await client.run("One.")
        await client.run("Two.")
        log = await core.log()
    [failed] = [event for event in log if isinstance(event, events.RunFailed)]
    assert (failed.error.kind, failed.error.retryable) == ("transport", True)
    assert isinstance(log[-1], events.RunCompleted)
    assert KEY not in msgspec.json.encode(log).decode()


def _faults() -> list[Any]:
    """Give each fault with one vendor, in turn; `test_faults` has them with all."""
    cases = []
    for number, path in enumerate(sorted(FOLDER.glob("*.yaml"))):
        vendors = load(path).vendors
        vendor = vendors[number % len(vendors)]
        cases.append(pytest.param(path, vendor, id=f"{path.stem}-{vendor}"))
    return cases


@pytest.mark.parametrize(("path", "vendor"), _faults())
async def test_every_fault_leaves_a_session_that_answers_the_next_prompt(path: Path, vendor: Vendor) -> None:
    script = load(path)
    expected = script.expect
    faulty = [*script.replies, *[script.replies[-1]] * expected.requests][: expected.requests]
    limits = Limits(**script.limits)
    async with core_with(vendor, *faulty, DONE, tries_max=script.tries_max, limits=limits) as (core, server):
        client = core.client()
        await client.create()
        first = await client.run("One.")
        assert len(server.requests) >= expected.requests
        assert (await client.run("Two."))["status"] == "completed"
        log = await core.log()
    check_complete(log)
    failed = [event.error.kind for event in log if isinstance(event, events.RunFailed)]
    assert failed == ([] if first["status"] == "completed" else [failed[0]])
    assert expected.kind is None or failed == [expected.kind]
    assert KEY[:8] not in msgspec.json.encode(log).decode()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_conversation_with_calls_in_it_is_summed_up(vendor: Vendor) -> None:
    full = Reply(answer=PLAN.answer, usage={"input": 900, "output": 10})
    summary = Reply(answer=(Say(pieces=("The ", "summary.")),))
    async with core_with(vendor, full, summary, DONE, window=1000) as (core, server):
        client = core.client()
        await client.create()
        assert (await client.run("Plan it."))["status"] == "completed"
        log = await core.log()
    [compacted] = [event for event in log if isinstance(event, events.Compacted)]
    assert compacted.summary == "The summary."
    step, asked, last = [request.body for request in server.requests]
    none = {"type": "none"} if vendor == "messages" else "none"
    assert ("tool_choice" in step, asked["tool_choice"], "tool_choice" in last) == (False, none, False)
    assert asked["tools"] == step["tools"] == last["tools"]
    assert asked.get("system") == step.get("system")
    assert asked.get("instructions") == step.get("instructions")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_retry_is_a_notice_in_the_log(vendor: Vendor) -> None:
    async with core_with(vendor, BUSY, DONE) as (core, _server):
        client = core.client()
        await client.create()
        await client.run("One.")
        log = await core.log()
    [notice] = [event for event in log if isinstance(event, events.Notice)]
    assert (notice.kind, notice.level) == ("model_retry", "warning")
    assert "overloaded" in notice.message
    assert isinstance(log[-1], events.RunCompleted)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_cancelling_a_run_closes_the_providers_connection(vendor: Vendor) -> None:
    async with core_with(vendor, Reply(cut=Cut(events=5), ends="hang")) as (core, server):
        client = core.client()
        await client.create()
        started = await client.prompt("One.")
        await server.answering.wait()
        await client.call("session/cancel", sessionId="s")
        await server.left.wait()
        await client.wait(started["runId"])
        assert (await core.types())[-1] == "run_cancelled"
