"""Whole runs with each vendor: the same events of the log, faults as typed events, a session that goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from core_world import Core, core_running
from vendor_models import KEY, model_of

from fakes.vendors.script import VENDORS, Call, Cut, Reply, Say, Think, Vendor
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.catalogue import Catalogue, CatalogueEntry
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
async def core_with(vendor: Vendor, *replies: Reply) -> AsyncIterator[tuple[Core, VendorServer]]:
    """Run a core whose default model is the vendor's."""
    retries = RetryPolicy(tries_max=2, base_s=0.001)
    async with model_of(vendor, *replies, retries=retries) as (model, server):
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
