"""Two sessions share nothing: no bytes, no directory, no environment, no order, no limit of their own."""

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from core_world import core_running
from log_builder import check_complete
from scripted import FakeTool, ScriptedModel, Stage, block, call, done, say

from holdfast_daemon.config import Config, ExecutionLimits
from holdfast_daemon.tools.base import ToolContext
from holdfast_protocol.errors import NotFound


async def echo(tool_input: Any, _context: ToolContext) -> str:
    return tool_input.value


async def test_a_tool_sees_its_own_sessions_directory_roots_and_environment(tmp_path: Path) -> None:
    for name in ("a", "b", "extra"):
        (tmp_path / name).mkdir()
    tool = FakeTool("look", echo)
    step = [*call("look"), done("tool_use")]
    model = ScriptedModel(step, say("done"), step, say("done"))
    async with core_running(catalogue=model.catalogue(), tools=[tool]) as core:
        client = core.client()
        await client.create("a", str(tmp_path / "a"), env={"PATH": "/of/a", "SECRET": "s"})
        await client.create("b", str(tmp_path / "b"), env={"HOME": "/of/b"}, roots=[str(tmp_path / "extra")])
        await client.run("go", "a")
        await client.run("go", "b")
    first, second = tool.contexts
    assert (first.cwd, first.roots) == (str(tmp_path / "a"), (str(tmp_path / "a"),))
    assert (second.cwd, second.roots) == (
        str(tmp_path / "b"),
        (str(tmp_path / "b"), str(tmp_path / "extra")),
    )
    assert (first.env["PATH"], "HOME" in first.env, "SECRET" in first.env) == ("/of/a", False, False)
    assert (second.env["HOME"], second.env["PATH"] == "/of/a") == ("/of/b", False)
    assert first.env is not second.env


async def test_the_environment_outlives_the_daemon_that_was_told_it(tmp_path: Path) -> None:
    from journal_world import open_sqlite

    tool = FakeTool("look", echo)
    step = [*call("look"), done("tool_use")]
    model = ScriptedModel(step, say("done"))
    async with core_running(open_sqlite(tmp_path)) as core:
        await core.client().create(env={"HOME": "/of/s"}, model="offline/rehearsal")
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue(), tools=[tool]) as core:
        client = core.client()
        await client.call("session/update", sessionId="s", model=model.info.name)
        await client.run("go")
    assert tool.contexts[0].env["HOME"] == "/of/s"


async def test_sessions_have_the_same_ids_and_different_logs() -> None:
    model = ScriptedModel(say("of a"), say("of b"))
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        for name in "ab":
            await client.create(name)
            await client.run("go", name)
        first, second = await core.log("a"), await core.log("b")
        page = {name: await client.call("session/read", sessionId=name, after=0) for name in "ab"}
    check_complete(first)
    check_complete(second)
    assert [event.run_id for event in first] == [event.run_id for event in second]
    assert page["a"]["epoch"] != page["b"]["epoch"]
    assert "of b" not in msgspec.json.encode(page["a"]).decode()
    assert "of a" not in msgspec.json.encode(page["b"]).decode()


async def test_a_model_is_shown_its_own_sessions_conversation() -> None:
    model = ScriptedModel(say("one"), say("two"), say("three"))
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        for name in "ab":
            await client.create(name)
        await client.run("first of a", "a")
        await client.run("first of b", "b")
        await client.run("second of a", "a")
    shown = [msgspec.json.encode(messages).decode() for messages in model.asked]
    assert "of a" not in shown[1]
    assert "of b" not in shown[2]
    assert "first of a" in shown[2]
    assert "one" in shown[2]


async def test_a_hung_session_holds_up_no_other() -> None:
    stage = Stage()

    async def hang(_tool_input: Any, _context: ToolContext) -> str:
        await stage()
        return "never"

    steps = [[*call("hang"), done("tool_use")], *(say(str(number)) for number in range(10))]
    model = ScriptedModel(*steps)
    async with core_running(catalogue=model.catalogue(), tools=[FakeTool("hang", hang)]) as core:
        client = core.client()
        await client.create("hung")
        await client.prompt("go", "hung")
        await stage.reached()
        for number in range(10):
            await client.create(f"s{number}")
            assert (await client.run("go", f"s{number}"))["status"] == "completed"
        assert (await client.call("session/get", sessionId="hung"))["session"]["status"] == "running"
        await client.call("session/cancel", sessionId="hung")
        await client.wait("r1", "hung")


async def test_one_sessions_calls_do_not_take_all_of_anothers_room() -> None:
    stage = Stage()

    async def hang(_tool_input: Any, _context: ToolContext) -> str:
        await stage()
        return "never"

    many = [part for index in range(8) for part in call("hang", None, index)]
    model = ScriptedModel([*many, done("tool_use")], [*call("echo"), done("tool_use")], say("done"))
    config = Config(state_dir="/", execution=ExecutionLimits(calls_max=3, calls_per_session_max=2))
    tools = [FakeTool("hang", hang), FakeTool("echo", echo)]
    async with core_running(config=config, catalogue=model.catalogue(), tools=tools) as core:
        client = core.client()
        await client.create("greedy")
        await client.create("modest")
        await client.prompt("go", "greedy")
        await stage.reached()
        assert (await client.run("go", "modest"))["status"] == "completed"
        await client.call("session/cancel", sessionId="greedy")
        await client.wait("r1", "greedy")
        check_complete(await core.log("greedy"))
    assert len(tools[0].contexts) == 2


async def test_a_cancel_reaches_the_named_session_only() -> None:
    stages = [Stage(), Stage()]
    model = ScriptedModel([stages[0], *say("a")], [stages[1], *say("b")])
    async with core_running(catalogue=model.catalogue()) as core:
        client = core.client()
        for name, stage in zip("ab", stages, strict=True):
            await client.create(name)
            await client.prompt("go", name)
            await stage.reached()
        await client.call("session/cancel", sessionId="a")
        assert (await client.wait("r1", "a"))["status"] == "cancelled"
        assert not stages[1].cancelled
        stages[1].go()
        assert (await client.wait("r1", "b"))["status"] == "completed"


async def test_deleting_a_session_touches_no_other(tmp_path: Path) -> None:
    from journal_world import open_sqlite

    large = "x" * 100_000
    model = ScriptedModel([*block(large), done()], [*block(large), done()])
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        for name in "ab":
            await client.create(name)
            await client.run("go", name)
        before = await core.log("b")
        await client.call("session/delete", sessionId="a")
        with pytest.raises(NotFound):
            await client.call("session/get", sessionId="a")
        with anyio.fail_after(10):
            while await core.journal.query(core.journal.store.leftovers):
                await core.journal.execute(lambda: None)
        assert await core.log("b") == before
        assert (await client.call("session/list"))["sessions"][0]["sessionId"] == "b"


async def test_subscribers_of_one_session_hear_nothing_of_another() -> None:
    model = ScriptedModel(say("of a"), say("of b"))
    async with core_running(catalogue=model.catalogue()) as core:
        writer, reader = core.client("writer"), core.client("reader")
        for name in "ab":
            await writer.create(name)
        await reader.follow("a")
        for name in "ab":
            await writer.run("go", name)
        told = {
            told.params.get("sessionId") for told in reader.outlet.told if told.method.startswith("session/")
        }
        assert told == {"a"}
        assert b"of b" not in b"".join(reader.outlet.frames)
