"""`usage/get` (PROTOCOL.md): what was used, by source of figures and by model, and what it cost."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_world import Client, Core, core_running
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_world import open_sqlite
from memory_store import MemoryStore
from scripted import NAME, FakeTool, ScriptedModel, Stage, block, call, done
from spending import QUARTER_MS

from holdfast_daemon.journal import sqlite
from holdfast_daemon.journal.store import Store, UsageRow
from holdfast_daemon.methods.usage import result_of
from holdfast_daemon.tools.base import ToolContext
from holdfast_protocol import events
from holdfast_protocol.errors import InvalidParams, NotFound
from holdfast_protocol.events import Cost, Usage
from holdfast_protocol.methods.usage import USAGE_MODELS_MAX

STORES = pytest.mark.parametrize("kind", ["memory", "sqlite"])

NOTHING = {"steps": 0, "usage": {}, "costs": []}

NO_ESTIMATE = {"steps": 0, "usage": {"estimated": True}, "costs": []}


def store_of(kind: str, directory: Path) -> Store:
    return MemoryStore() if kind == "memory" else open_sqlite(directory)


def step(usage: Usage, cost: Cost | None, *before: Any) -> list[Any]:
    stop = "tool_use" if before else "end_turn"
    return [*(before or block("so")), msgspec.structs.replace(done(stop), usage=usage, cost=cost)]


async def work(_input: Any, _context: ToolContext) -> str:
    return "done"


TOOL = FakeTool("work", work)


async def usage_of(client: Client, **params: Any) -> Any:
    """Ask; one model, so that its figures are those of the total."""
    answer = await client.call("usage/get", **params)
    assert [
        {name: value for name, value in item.items() if name != "model"} for item in answer["models"]
    ] in (
        [answer["total"]],
        [],
    )
    return answer["total"]


async def amount(client: Client, session_id: str | None = None) -> Any:
    params = {"sessionId": session_id} if session_id else {}
    costs = (await client.call("usage/get", **params))["total"]["reported"]["costs"]
    assert len(costs) <= 1
    return costs[0]["amount"] if costs else None


async def flushed(core: Core, session_id: str = "s") -> None:
    await core.journal.flushed(core.live(session_id).log)


@STORES
async def test_classes_sources_and_unknown_prices_are_kept_apart(tmp_path: Path, kind: str) -> None:
    classes = Usage(input=1, cache_read=2, cache_write_5m=3, cache_write_1h=4, output=6, reasoning=5)
    model = ScriptedModel(
        step(classes, Cost(amount=0.25), *call("work")),
        step(Usage(input=10, output=20, estimated=True), Cost(amount=0.5), *call("work")),
        step(Usage(input=100), None),
        step(classes, Cost(amount=1.5)),
    )
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        await client.run("two")
        answer = await client.call("usage/get", sessionId="s")
        assert answer == await client.call("usage/get")
    total = {
        "runs": 2,
        "reported": {
            "steps": 3,
            "usage": {
                "input": 102,
                "cacheRead": 4,
                "cacheWrite5m": 6,
                "cacheWrite1h": 8,
                "output": 12,
                "reasoning": 10,
            },
            "costs": [{"amount": 1.75}],
            "unpriced": 1,
        },
        "estimated": {
            "steps": 1,
            "usage": {"input": 10, "output": 20, "estimated": True},
            "costs": [{"amount": 0.5}],
        },
    }
    assert answer == {"total": total, "models": [{"model": NAME, **total}]}


@STORES
async def test_an_unknown_price_is_no_cost_and_a_price_of_nothing_is_one(tmp_path: Path, kind: str) -> None:
    model = ScriptedModel(step(Usage(input=1), None), step(Usage(input=1), Cost(amount=0.0)))
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        unpriced = {"steps": 1, "usage": {"input": 1}, "costs": [], "unpriced": 1}
        assert (await usage_of(client))["reported"] == unpriced
        await client.run("two")
        both = {"steps": 2, "usage": {"input": 2}, "costs": [{"amount": 0.0}], "unpriced": 1}
        assert (await usage_of(client))["reported"] == both


async def test_where_nothing_was_used_there_are_no_models() -> None:
    async with core_running(MemoryStore()) as core:
        client = core.client()
        await client.create()
        nothing = {"runs": 0, "reported": NOTHING, "estimated": NO_ESTIMATE}
        for params in ({}, {"sessionId": "s"}):
            assert await client.call("usage/get", **params) == {"total": nothing, "models": []}


@STORES
async def test_since_begins_with_the_quarter_of_an_hour_it_lies_in(tmp_path: Path, kind: str) -> None:
    model = ScriptedModel(*(step(Usage(input=10**power), None) for power in range(3)))
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        for number, at in enumerate((4 * QUARTER_MS, 5 * QUARTER_MS - 1, 5 * QUARTER_MS)):
            core.journal._clock = lambda at=at: at / 1000
            await client.create(f"s{number}")
            await client.run("go", f"s{number}")
        inputs = {
            since: (await usage_of(client, since=since))["reported"]["usage"].get("input", 0)
            for since in (0, 4 * QUARTER_MS, 5 * QUARTER_MS - 1, 5 * QUARTER_MS, 6 * QUARTER_MS, 8 * 10**15)
        }
        assert list(inputs.values()) == [111, 111, 111, 100, 0, 0]
        assert (await usage_of(client, sessionId="s1", since=5 * QUARTER_MS))["runs"] == 0
        assert (await usage_of(client, sessionId="s1", since=5 * QUARTER_MS - 1))["runs"] == 1
        answer = await client.call("usage/get", since=5 * QUARTER_MS - 1)
        assert answer["since"] == 4 * QUARTER_MS


async def test_a_time_that_is_none_is_refused() -> None:
    async with core_running(MemoryStore()) as core:
        client = core.client()
        for since in (-1, 2**63, 1.5, "now"):
            with pytest.raises(InvalidParams) as caught:
                await client.call("usage/get", since=since)
            assert caught.value.data.path == "$.since"


@STORES
async def test_an_unknown_session_is_not_found(tmp_path: Path, kind: str) -> None:
    async with core_running(store_of(kind, tmp_path)) as core:
        with pytest.raises(NotFound):
            await core.client().call("usage/get", sessionId="nobody")


async def test_an_observer_may_look() -> None:
    async with core_running(MemoryStore()) as core:
        await core.client().create()
        watcher = core.client("watcher", role="observer")
        assert (await watcher.call("usage/get", sessionId="s"))["models"] == []


@STORES
async def test_a_fork_has_not_used_what_its_source_did(tmp_path: Path, kind: str) -> None:
    model = ScriptedModel(*(step(Usage(input=1), Cost(amount=float(2**power))) for power in range(4)))
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        await client.run("two")
        await client.call("session/fork", sessionId="s", newSessionId="fork")
        assert (await amount(client, "s"), await amount(client, "fork"), await amount(client)) == (3, None, 3)
        assert (await usage_of(client, sessionId="fork"))["runs"] == 0
        await client.run("three", "fork")
        await client.call("session/fork", sessionId="fork", newSessionId="second")
        await client.run("four", "second")
        found = [await amount(client, name) for name in ("s", "fork", "second", None)]
        assert found == [3, 4, 8, 15]
        snapshot = (await client.call("session/get", sessionId="second"))["snapshot"]
        assert snapshot["usage"] == {"input": 4}  # A fold of the log has what was copied.


@STORES
async def test_a_run_that_was_open_in_the_source_is_not_the_forks(tmp_path: Path, kind: str) -> None:
    stage = Stage()
    model = ScriptedModel(step(Usage(input=1), Cost(amount=1.0), *call("work")), [*block("cut"), stage])
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await flushed(core)
        await client.call("session/fork", sessionId="s", newSessionId="fork")
        assert (await usage_of(client, sessionId="fork"))["runs"] == 0
        assert (await usage_of(client))["runs"] == 1
        assert await amount(client) == 1.0


@STORES
async def test_what_a_deleted_session_used_stays_in_the_total(tmp_path: Path, kind: str) -> None:
    model = ScriptedModel(*(step(Usage(input=1), Cost(amount=1.0)) for _ in range(3)))
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        await client.call("session/fork", sessionId="s", newSessionId="fork")
        await client.run("two", "fork")
        key = core.live().log.key
        await client.call("session/delete", sessionId="s")
        with pytest.raises(NotFound):
            await client.call("usage/get", sessionId="s")
        assert (await amount(client, "fork"), await amount(client)) == (1.0, 2.0)
        await core.registry._purge(key)  # To its end, if the daemon's own is still under way.
        assert await core.journal.query(core.journal.store.usage, key, 0) == []
        assert await amount(client) == 2.0


async def test_usage_outlives_the_daemon_and_is_counted_on(tmp_path: Path) -> None:
    model = ScriptedModel(*(step(Usage(input=1), Cost(amount=1.0)) for _ in range(2)))
    for number in (1, 2):
        async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
            client = core.client()
            if number == 1:
                await client.create()
            await client.run("go")
            for params in ({}, {"sessionId": "s"}):
                found = await usage_of(client, **params)
                assert (found["runs"], found["reported"]["costs"]) == (number, [{"amount": number}])


@STORES
async def test_a_run_that_fails_has_used_the_steps_that_came_to_their_end(tmp_path: Path, kind: str) -> None:
    stage = Stage()
    model = ScriptedModel(step(Usage(input=1), Cost(amount=1.0), *call("work")), [*block("half"), stage])
    async with core_running(store_of(kind, tmp_path), catalogue=model.catalogue(), tools=[TOOL]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await client.call("session/cancel", sessionId="s")
        await client.wait("r1")
        found = await usage_of(client, sessionId="s")
        assert (found["runs"], found["reported"]["steps"]) == (1, 1)
        log = await core.log()
    used = [event for event in log if isinstance(event, events.UsageUpdated)]
    assert len(used) == 1


async def test_figures_beyond_all_reason_do_no_harm(tmp_path: Path) -> None:
    model = ScriptedModel(step(Usage(input=2**63, output=-7), None), step(Usage(input=1), None))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        for name in ("one", "two"):
            assert (await client.run(name))["status"] == "completed"
        assert (await usage_of(client))["reported"]["usage"] == {"input": 2**40 + 1}


async def test_the_log_is_not_read_for_it(tmp_path: Path) -> None:
    model = ScriptedModel(step(Usage(input=1), Cost(amount=1.0)))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("go")
        store: Any = core.journal.store
        (plan, *_) = await core.journal.query(store._select, f"EXPLAIN QUERY PLAN {sqlite._USAGE}", (1, 0))
        assert plan[3] == "SEARCH usage USING PRIMARY KEY (session=? AND period>?)"
        await core.journal.execute(store._writer.execute, "DELETE FROM events WHERE type = 'usage_updated'")
        assert await amount(client) == 1.0


# The answer as a function of rows ----------------------------------------------------------------------


def test_models_are_in_the_order_of_their_tokens_and_then_of_their_names() -> None:
    rows = [
        UsageRow("b", estimated=False, currency="", steps=1, input=3),
        UsageRow("a", estimated=False, currency="", steps=1, cache_read=3),
        UsageRow("much", estimated=True, currency="", steps=1, output=4, reasoning=4),
        UsageRow("none", estimated=False, currency="", runs=1),
    ]
    assert [item.model for item in result_of(rows, None).models] == ["much", "a", "b", "none"]


@pytest.mark.parametrize("left_out", [0, 1, 44])
def test_the_models_least_used_are_left_out_of_a_long_list_and_not_of_the_total(left_out: int) -> None:
    rows = [
        UsageRow(f"m{number}", estimated=False, currency="", steps=1, input=number)
        for number in range(1, USAGE_MODELS_MAX + left_out + 1)
    ]
    found = result_of(rows, None)
    assert len(found.models) == USAGE_MODELS_MAX
    assert found.models_left_out == left_out
    assert found.models[-1].model == f"m{left_out + 1}"
    assert found.total.reported.steps == USAGE_MODELS_MAX + left_out


def test_currencies_are_never_added_to_each_other() -> None:
    rows = [
        UsageRow("m", estimated=False, currency="USD", steps=1, amount=1.0),
        UsageRow("m", estimated=False, currency="EUR", steps=1, amount=2.0),
        UsageRow("other", estimated=False, currency="EUR", steps=1, amount=4.0),
    ]
    found = result_of(rows, None)
    assert found.total.reported.costs == (Cost(amount=6.0, currency="EUR"), Cost(amount=1.0, currency="USD"))


_ROWS = st.builds(
    UsageRow,
    st.sampled_from(["a", "b", "c"]),
    st.booleans(),
    st.sampled_from(["", "USD", "EUR"]),
    *[st.integers(0, 1000) for _ in range(9)],
    st.integers(0, 1000).map(lambda amount: amount / 8),
)


@settings(suppress_health_check=[HealthCheck.differing_executors])
@given(st.lists(_ROWS, max_size=12, unique_by=lambda row: row[:3]))
def test_the_total_is_the_sum_of_the_models(rows: list[UsageRow]) -> None:
    found = result_of(rows, None)
    assert found.total.runs == sum(item.runs for item in found.models)
    for source in ("reported", "estimated"):
        total, parts = getattr(found.total, source), [getattr(item, source) for item in found.models]
        assert total.steps == sum(part.steps for part in parts)
        assert total.unpriced == sum(part.unpriced for part in parts)
        assert total.usage == sum((part.usage for part in parts), Usage(estimated=source == "estimated"))
        costs = [cost for part in parts for cost in part.costs]
        for cost in total.costs:
            assert cost.amount == sum(part.amount for part in costs if part.currency == cost.currency)
        assert {cost.currency for cost in total.costs} == {cost.currency for cost in costs}
