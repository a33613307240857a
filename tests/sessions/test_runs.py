"""Runs: whatever ends one, its log is whole, it has one end, and only it is hurt."""

import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from core_world import Core, core_running
from journal_world import limits as journal_limits
from log_builder import check_complete
from scripted import FakeAgent, FakeTool, ScriptedModel, Stage, block, call, done, say

from holdfast_daemon.agents.base import RunContext
from holdfast_daemon.config import Config, ExecutionLimits, SessionLimits
from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, ModelError, StepEvent
from holdfast_daemon.tools.base import ToolContext, ToolFailure
from holdfast_protocol import events
from holdfast_protocol.events import ErrorInfo


async def echo(tool_input: Any, _context: ToolContext) -> str:
    return tool_input.value


ECHO = FakeTool("echo", echo)


async def finished(core: Core, session_id: str = "s") -> list[Any]:
    """Give a session's log; it must be whole."""
    log = await core.log(session_id)
    check_complete(log)
    return log


def of(log: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in log if isinstance(event, kind)]


# The way of a run --------------------------------------------------------------------------------------


async def test_a_run_goes_step_by_step_until_the_model_calls_nothing() -> None:
    model = ScriptedModel(
        [*block("Let me see."), *call("echo", {"value": "hi"}, 1), done("tool_use")], say("done")
    )
    async with core_running(catalogue=model.catalogue(), tools=[ECHO]) as core:
        client = core.client()
        await client.create()
        ended = await client.run("go")
        log = await finished(core)
    assert ended["status"] == "completed"
    assert [event.text for event in of(log, events.ContentBlockEnd)] == [
        "Let me see.",
        '{"value":"hi"}',
        "done",
    ]
    assert [event.result[0].text for event in of(log, events.ToolCallCompleted)] == ["hi"]
    (terminal,) = of(log, events.RunCompleted)
    assert (terminal.steps, terminal.stop_reason) == (2, "end_turn")
    assert (terminal.usage.input, terminal.usage.output) == (20, 10)
    assert terminal.seq == len(log) == ended["seq"]
    assert len(model.asked[1]) == 3


async def test_ids_are_unique_in_the_session_and_say_which_run_they_are_of() -> None:
    step = [*block("a"), *call("echo", index=1), *call("echo", index=2), done("tool_use")]
    model = ScriptedModel(step, say("b"), step, say("c"))
    async with core_running(catalogue=model.catalogue(), tools=[ECHO]) as core:
        client = core.client()
        await client.create()
        for _ in range(2):
            await client.run("go")
        log = await finished(core)
    blocks = [event.block_id for event in of(log, events.ContentBlockStart)]
    calls = [event.tool_call_id for event in of(log, events.ToolCallStarted)]
    assert len(set(blocks + calls)) == len(blocks) + len(calls) == 8 + 4
    assert all(event.block_id.startswith(event.run_id) for event in of(log, events.ContentBlockStart))


async def test_deltas_say_where_they_stand_in_code_points() -> None:
    model = ScriptedModel([*block("h\u00e9llo \U0001f331 w\u00f6rld", pieces=4), done()])
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("go")
        log = await finished(core)
    text = ""
    for event in of(log, events.TokenDelta):
        assert event.offset == len(text)
        text += event.text
    assert text == "h\u00e9llo \U0001f331 w\u00f6rld" == of(log, events.ContentBlockEnd)[0].text


async def test_waiting_prompts_are_carried_one_after_the_other() -> None:
    stage = Stage()
    model = ScriptedModel([*block("1"), stage, done()], say("2"), say("3"))
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        first = await client.prompt("one")
        await stage.reached()
        queued = [await client.prompt(text) for text in ("two", "three")]
        assert [item["position"] for item in queued] == [1, 2]
        assert [item.get("runId") for item in (first, *queued)] == ["r1", None, None]
        stage.go()
        await client.call("session/wait", sessionId="s", promptId=queued[1]["promptId"])
        log = await finished(core)
    carried = [event.prompt_id for event in of(log, events.RunStarted)]
    assert carried == [item["promptId"] for item in (first, *queued)]


# Bugs --------------------------------------------------------------------------------------------------


async def raise_at_once(_context: RunContext) -> AsyncGenerator[StepEvent]:
    raise ZeroDivisionError("secret detail")
    yield  # pyright: ignore[reportUnreachable]


async def raise_within_a_block(_context: RunContext) -> AsyncGenerator[StepEvent]:
    yield BlockStarted(index=0, kind="text")
    yield BlockDelta(index=0, text="half a sen")
    raise ZeroDivisionError("secret detail")


async def raise_after_a_tool(context: RunContext) -> AsyncGenerator[StepEvent]:
    for event in (*call("echo"), done("tool_use")):
        yield event  # pyright: ignore[reportReturnType]
    await context.call_tools()
    raise ZeroDivisionError("secret detail")


async def never_start_what_it_continues(_context: RunContext) -> AsyncGenerator[StepEvent]:
    yield BlockDelta(index=7, text="?")


async def start_twice(_context: RunContext) -> AsyncGenerator[StepEvent]:
    yield BlockStarted(index=0, kind="text")
    yield BlockStarted(index=0, kind="text")


async def end_with_open_blocks(_context: RunContext) -> AsyncGenerator[StepEvent]:
    yield BlockStarted(index=0, kind="text")
    yield done()


async def say_what_is_no_text(_context: RunContext) -> AsyncGenerator[StepEvent]:
    yield BlockStarted(index=0, kind="text")
    yield BlockDelta(index=0, text="good")
    yield BlockDelta(index=0, text="\ud800")


@pytest.mark.parametrize(
    ("drive", "kind"),
    [
        (raise_at_once, "internal_error"),
        (raise_within_a_block, "internal_error"),
        (raise_after_a_tool, "internal_error"),
        (say_what_is_no_text, "internal_error"),
        (never_start_what_it_continues, "protocol"),
        (start_twice, "protocol"),
        (end_with_open_blocks, "protocol"),
    ],
)
async def test_a_bug_in_an_agent_ends_its_run_and_nothing_else(
    drive: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    model = ScriptedModel([*block("sound"), stage, done()], say("after"))
    agent = FakeAgent("buggy", drive)
    with caplog.at_level(logging.CRITICAL, "holdfast_daemon"):
        async with core_running(catalogue=model.catalogue(), agents=[agent], tools=[ECHO]) as core:
            client = core.client()
            await client.create("sound")
            running = await client.prompt("go", "sound")
            await stage.reached()
            await client.create("s", agent="buggy")
            ended = await client.run("go")
            assert ended["status"] == "failed"
            (failed,) = of(await finished(core), events.RunFailed)
            assert failed.error.kind == kind
            assert "secret" not in failed.error.message
            assert "Traceback" not in failed.error.message
            stage.go()
            assert (await client.wait(running["runId"], "sound"))["status"] == "completed"
            await client.call("session/update", sessionId="s", agent="chat")
            assert (await client.run("again"))["status"] == "completed"
            await finished(core)
            await finished(core, "sound")


async def test_a_bug_in_a_tool_fails_its_call_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_tool_input: Any, _context: ToolContext) -> str:
        raise RuntimeError("secret detail")

    buggy = FakeTool("buggy", fail)
    model = ScriptedModel(
        [*call("buggy"), *call("echo", {"value": "sound"}, 1), done("tool_use")], say("done")
    )
    with caplog.at_level(logging.CRITICAL, "holdfast_daemon"):
        async with core_running(catalogue=model.catalogue(), tools=[ECHO, buggy]) as core:
            client = core.client()
            await client.create()
            assert (await client.run("go"))["status"] == "completed"
            log = await finished(core)
    (failed,) = of(log, events.ToolCallFailed)
    assert failed.error.kind == "tool_failed"
    assert "secret" not in failed.error.message
    assert [event.result[0].text for event in of(log, events.ToolCallCompleted)] == ["sound"]


async def test_a_failure_a_tool_expects_has_its_own_kind() -> None:
    async def fail(_tool_input: Any, _context: ToolContext) -> str:
        raise ToolFailure("not there", "not_found")

    model = ScriptedModel([*call("absent"), done("tool_use")], say("done"))
    async with core_running(catalogue=model.catalogue(), tools=[FakeTool("absent", fail)]) as core:
        client = core.client()
        await client.create()
        await client.run("go")
        (failed,) = of(await finished(core), events.ToolCallFailed)
    assert (failed.error.kind, failed.error.message) == ("not_found", "not there")


async def test_output_in_one_large_piece_is_stored_in_pieces_of_a_block() -> None:
    text = "0123456789" * 90_000

    async def shout(_tool_input: Any, context: ToolContext) -> str:
        await context.output(text)
        return "said"

    model = ScriptedModel([*call("shout"), done("tool_use")], say("done"))
    async with core_running(catalogue=model.catalogue(), tools=[FakeTool("shout", shout)]) as core:
        client = core.client()
        await client.create()
        assert (await client.run("go"))["status"] == "completed"
        log = await finished(core)
    assert [event.result[0].text for event in of(log, events.ToolCallCompleted)] == ["said"]
    pieces = of(log, events.ToolOutput)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.offset for piece in pieces] == [
        sum(len(before.text) for before in pieces[:place]) for place in range(len(pieces))
    ]
    assert max(len(piece.text) for piece in pieces) <= 64 * 1024


async def test_a_model_that_fails_says_why_and_keeps_what_it_said() -> None:
    error = ModelError(ErrorInfo(kind="overloaded", message="busy", retryable=True, status=529))
    model = ScriptedModel([BlockStarted(index=0, kind="text"), BlockDelta(index=0, text="half"), error])
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        assert (await client.run("go"))["status"] == "failed"
        log = await finished(core)
    (end,) = of(log, events.ContentBlockEnd)
    assert (end.text, end.partial) == ("half", True)
    assert of(log, events.RunFailed)[0].error == error.info


# Stopping ----------------------------------------------------------------------------------------------


def long_step(stage: Stage, at: int) -> list[Any]:
    """Give a step that waits at its `at`-th place."""
    parts: list[Any] = [
        BlockStarted(index=0, kind="thinking"),
        BlockDelta(index=0, text="hm"),
        BlockStarted(index=1, kind="text"),
        BlockDelta(index=1, text="text"),
        BlockEnded(index=0),
        BlockDelta(index=1, text=" more"),
        *call("echo", index=2),
        BlockEnded(index=1),
        done("tool_use"),
    ]
    return [*parts[:at], stage, *parts[at:]]


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("how", ["cancel", "interrupt"])
async def test_a_run_stopped_at_any_place_of_a_response_leaves_a_whole_log(at: int, how: str) -> None:
    stage = Stage()
    model = ScriptedModel(long_step(stage, at), say("done"))
    async with core_running(catalogue=model.catalogue(), tools=[ECHO]) as core:
        client = core.client("me")
        await client.create()
        admitted = await client.prompt("go")
        await stage.reached()
        if how == "cancel":
            answer = await client.call("session/cancel", sessionId="s")
            assert answer == {"cancelled": True, "runId": "r1"}
            assert await client.call("session/cancel", sessionId="s") in (answer, {"cancelled": False})
        else:
            await core.stop("shutdown")
        ended = await client.wait(admitted["runId"])
        log = await finished(core)
    assert stage.cancelled
    assert ended["status"] == ("cancelled" if how == "cancel" else "interrupted")
    if how == "cancel":
        assert [event.by for event in of(log, events.RunCancelled)] == ["me"]
    else:
        assert [event.cause for event in of(log, events.RunInterrupted)] == ["shutdown"]


@pytest.mark.parametrize("delivery", ["before", "with"])
async def test_a_cancel_of_a_prompt_that_is_on_its_way_ends_its_run(delivery: str) -> None:
    model = ScriptedModel(say("never said"))
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.prompt, "go")
            while not core.live().running:
                if delivery == "before" and len(core.live()._inbox):
                    break
                await anyio.lowlevel.checkpoint()
            assert (await client.call("session/cancel", sessionId="s"))["cancelled"]
        ended = await client.wait("r1")
        await finished(core)
    assert ended["status"] == "cancelled"
    assert model.asked == []


async def test_a_cancel_after_the_end_changes_nothing() -> None:
    async with core_running(catalogue=ScriptedModel(say("done")).catalogue()) as core:
        client = core.client()
        await client.create()
        ended = await client.run("go")
        for params in ({}, {"runId": "r1"}, {"runId": "r1", "toolCallId": "r1-t1"}):
            assert await client.call("session/cancel", sessionId="s", **params) == {"cancelled": False}
        assert (await client.wait("r1")) == ended
        await finished(core)


async def test_a_cancel_of_another_run_leaves_this_one_alone() -> None:
    stage = Stage()
    model = ScriptedModel(say("first"), [stage, *say("second")])
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        await client.prompt("two")
        await stage.reached()
        assert await client.call("session/cancel", sessionId="s", runId="r1") == {"cancelled": False}
        stage.go()
        assert (await client.wait("r2"))["status"] == "completed"


async def test_one_tool_call_is_cancelled_and_the_run_goes_on() -> None:
    stage = Stage()

    async def hang(_tool_input: Any, context: ToolContext) -> str:
        await context.output("so far")
        await stage()
        return "never"

    model = ScriptedModel([*call("hang"), *call("echo", {"value": "x"}, 1), done("tool_use")], say("done"))
    async with core_running(catalogue=model.catalogue(), tools=[ECHO, FakeTool("hang", hang)]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        answer = await client.call("session/cancel", sessionId="s", toolCallId="r1-m1-t1")
        assert answer == {"cancelled": True, "runId": "r1"}
        assert (await client.wait("r1"))["status"] == "completed"
        log = await finished(core)
    (failed,) = of(log, events.ToolCallFailed)
    assert (failed.tool_call_id, failed.error.kind, failed.partial) == ("r1-m1-t1", "cancelled", "so far")
    assert [event.tool_call_id for event in of(log, events.ToolCallCompleted)] == ["r1-m1-t2"]


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
async def test_a_run_stopped_while_tools_run_gives_each_call_its_outcome(how: str) -> None:
    stages = {"a": Stage(), "b": Stage()}

    async def hang(tool_input: Any, _context: ToolContext) -> str:
        await stages[tool_input.value]()
        return "never"

    step = [*call("hang", {"value": "a"}), *call("hang", {"value": "b"}, 1), done("tool_use")]
    model = ScriptedModel(step)
    async with core_running(catalogue=model.catalogue(), tools=[FakeTool("hang", hang)]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        for stage in stages.values():
            await stage.reached()
        if how == "cancel":
            await client.call("session/cancel", sessionId="s")
        else:
            await core.stop()
        await client.wait("r1")
        log = await finished(core)
    assert all(stage.cancelled for stage in stages.values())
    assert [event.error.kind for event in of(log, events.ToolCallFailed)] == ["cancelled", "cancelled"]


# Limits ------------------------------------------------------------------------------------------------


def config(**limits: Any) -> Config:
    return Config(
        state_dir="/", journal=journal_limits(), sessions=SessionLimits(**limits), execution=ExecutionLimits()
    )


@pytest.mark.parametrize(("steps", "stop_reason"), [(2, "end_turn"), (3, "max_steps")])
async def test_a_run_takes_so_many_steps_and_no_more(steps: int, stop_reason: str) -> None:
    step = [*call("echo"), done("tool_use")]
    model = ScriptedModel(*([step] * steps), say("done"))
    async with core_running(
        catalogue=model.catalogue(), tools=[ECHO], config=config(steps_per_run_max=3)
    ) as core:
        client = core.client()
        await client.create()
        await client.run("go")
        (terminal,) = of(await finished(core), events.RunCompleted)
    assert (terminal.steps, terminal.stop_reason) == (3, stop_reason)


@pytest.mark.parametrize(("calls", "status"), [(3, "completed"), (4, "failed")])
async def test_a_step_makes_so_many_calls_and_no_more(calls: int, status: str) -> None:
    parts = [part for index in range(calls) for part in call("echo", {"value": str(index)}, index)]
    model = ScriptedModel([*parts, done("tool_use")], say("done"))
    async with core_running(
        catalogue=model.catalogue(), tools=[ECHO], config=config(tool_calls_per_step_max=3)
    ) as core:
        client = core.client()
        await client.create()
        assert (await client.run("go"))["status"] == status
        log = await finished(core)
    if status == "failed":
        (failed,) = of(log, events.RunFailed)
        assert failed.error.kind == "protocol"
        assert "tool_calls_per_step_max" in failed.error.message
        assert of(log, events.ToolCallStarted) == []


@pytest.mark.parametrize(("over", "status"), [(0, "completed"), (1, "failed")])
async def test_a_block_grows_to_its_limit_and_no_further(over: int, status: str) -> None:
    room = 4096 // 4
    model = ScriptedModel([*block("x" * (room + over), pieces=7), done()])
    async with core_running(catalogue=model.catalogue(), config=config(block_bytes_max=4096)) as core:
        client = core.client()
        await client.create()
        assert (await client.run("go"))["status"] == status
        log = await finished(core)
    (end,) = of(log, events.ContentBlockEnd)
    assert len(end.text) <= room
    assert end.partial is (status == "failed")
    if status == "failed":
        assert of(log, events.RunFailed)[0].error.kind == "too_large"
