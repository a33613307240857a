"""The set of live sessions: loading, unloading, deleting, forking, starting again."""

import logging
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
from core_world import Core, core_running
from journal_world import Fault, Gate, TappedStore, limits, notice, open_sqlite
from log_builder import check_complete
from memory_store import MemoryStore
from scripted import FakeTool, ScriptedModel, Stage, block, call, done, say

from holdfast_daemon.config import Config, SessionLimits
from holdfast_daemon.journal.store import Append, NewSession
from holdfast_daemon.tools.base import ToolContext
from holdfast_protocol import events
from holdfast_protocol.errors import Conflict, NotFound, StorageUnavailable
from holdfast_protocol.view import fold


def config(**sessions: Any) -> Config:
    return Config(state_dir="/", journal=limits(), sessions=SessionLimits(**sessions))


async def settled(core: Core) -> None:
    """Let what was started in the background get done."""
    for _ in range(3):
        await anyio.wait_all_tasks_blocked()
        await core.journal.execute(lambda: None)


# Loading and unloading ---------------------------------------------------------------------------------


async def test_a_closed_session_is_loaded_again_as_it_was(tmp_path: Path) -> None:
    model = ScriptedModel(say("one"), say("two"))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create(title="mine", meta={"a": 1}, thinking="high")
        await client.run("first")
        before = await client.call("session/get", sessionId="s")
        await client.call("session/close", sessionId="s")
        assert core.registry.live("s") is None
        after = await client.call("session/get", sessionId="s")
        assert after == before
        assert (await client.run("second"))["runId"] == "r2"
        check_complete(await core.log())
    assert len(model.asked[1]) == 3


async def test_a_session_somebody_follows_is_not_unloaded(tmp_path: Path) -> None:
    async with core_running(open_sqlite(tmp_path)) as core:
        client, watcher = core.client(), core.client("watcher")
        await client.create()
        follower = await watcher.follow()
        await client.call("session/close", sessionId="s")
        assert core.registry.live("s") is not None
        await client.call("session/update", sessionId="s", title="new")
        assert follower.seqs == [1, 2]


async def test_a_session_with_something_on_its_way_to_the_disk_is_not_unloaded() -> None:
    """A stored view is a change of rows alone: it has no bytes, but it is under way."""
    gate = Gate()
    store = TappedStore(MemoryStore())
    async with core_running(store) as core:
        await core.client().create()
        session = core.live()
        assert session.idle
        gate.close()
        store.before = gate
        core.journal.emit_nowait(session.log, rows=lambda _seq: ())
        assert not session.idle
        await gate.reached()
        assert not session.idle
        gate.open()
        await core.journal.flushed(session.log)
        assert session.idle


async def test_the_sessions_longest_unused_make_room(tmp_path: Path) -> None:
    stage = Stage()
    model = ScriptedModel([stage, *say("x")])
    async with core_running(
        open_sqlite(tmp_path), config=config(loaded_max=3), catalogue=model.catalogue()
    ) as core:
        client, watcher = core.client(), core.client("watcher")
        await client.create("running")
        await client.prompt("go", "running")
        await stage.reached()
        await client.create("followed")
        await watcher.follow("followed")
        for name in ("a", "b", "c"):
            await client.create(name)
        loaded = {name for name in ("running", "followed", "a", "b", "c") if core.registry.live(name)}
        assert loaded == {"running", "followed", "c"}
        assert (await client.call("session/get", sessionId="a"))["session"]["head"] == 1
        assert core.registry.live("c") is None
        stage.go()
        await client.wait("r1", "running")


async def test_many_who_ask_for_an_unloaded_session_get_one_and_the_same(tmp_path: Path) -> None:
    async with core_running(open_sqlite(tmp_path)) as core:
        client = core.client()
        await client.create()
        await client.call("session/close", sessionId="s")
        found: list[Any] = []

        async def get() -> None:
            found.append(await core.registry.get("s"))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(get)
        assert len({id(session) for session in found}) == 1


async def test_a_long_log_is_loaded_from_the_stored_view_and_the_rest(tmp_path: Path) -> None:
    model = ScriptedModel([*block("x" * 400, pieces=400), done()], say("short"))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        for number in range(300):
            core.journal.emit_nowait(core.live().log, notice(str(number)))
        await client.run("long")
        await client.run("short")
        await core.journal.flushed(core.live().log)
        row = await core.journal.query(core.journal.store.find_session, "s")
        assert row is not None
        assert 300 < row.view_seq < row.head
        before = await client.call("session/get", sessionId="s")
        await client.call("session/close", sessionId="s")
        assert core.registry.live("s") is None
        assert await client.call("session/get", sessionId="s") == before
        assert core.live().snapshot() == fold(None, await core.log())


async def test_an_unknown_session_is_not_found_by_any_call() -> None:
    async with core_running() as core:
        client = core.client()
        for method, params in (
            ("session/get", {}),
            ("session/prompt", {"content": [{"type": "text", "text": "x"}]}),
            ("session/cancel", {}),
            ("session/wait", {"runId": "r1"}),
            ("session/subscribe", {}),
            ("session/read", {}),
            ("session/update", {"title": "x"}),
            ("session/close", {}),
            ("session/delete", {}),
            ("session/fork", {}),
            ("session/export", {}),
            ("session/continue", {}),
        ):
            with pytest.raises(NotFound) as caught:
                await client.call(method, sessionId="absent", **params)
            assert caught.value.data.resource == "session"


# Deleting ----------------------------------------------------------------------------------------------


async def test_a_deleted_session_is_gone_for_good_and_its_id_taken(tmp_path: Path) -> None:
    async with core_running(open_sqlite(tmp_path)) as core:
        client, watcher = core.client(), core.client("watcher")
        await client.create()
        follower = await watcher.follow(after="head")
        await client.call("session/delete", sessionId="s")
        assert follower.events[-1]["type"] == "session_ended"
        with pytest.raises(NotFound):
            await client.call("session/get", sessionId="s")
        assert (await client.call("session/list"))["sessions"] == []
        with pytest.raises(Conflict):
            await client.create(title="another")
        await settled(core)
        assert await core.journal.query(core.journal.store.leftovers) == []
    async with core_running(open_sqlite(tmp_path)) as core:
        with pytest.raises(NotFound):
            await core.client().call("session/get", sessionId="s")


async def test_deleting_ends_the_run_first() -> None:
    stage = Stage()
    async with core_running(catalogue=ScriptedModel([*block("x"), stage]).catalogue()) as core:
        client, watcher = core.client("me"), core.client("watcher")
        await client.create()
        follower = await watcher.follow()
        await client.prompt("go")
        await stage.reached()
        await client.call("session/delete", sessionId="s")
    kinds = [event["type"] for event in follower.events]
    assert kinds[-2:] == ["run_cancelled", "session_ended"]
    assert stage.cancelled


@pytest.mark.parametrize("later", ["session/get", "session/delete", "session/subscribe"])
async def test_a_deletion_the_disk_cuts_short_is_finished_by_the_next_call(
    later: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = TappedStore(MemoryStore())
    real, fault = store.inner.mark_deleted, Fault(times=1)

    def refuse(session: int, changes: Any) -> None:
        fault([])
        real(session, changes)

    store.inner.mark_deleted = refuse
    with caplog.at_level(logging.CRITICAL, "holdfast_daemon"):
        async with core_running(store) as core:
            client = core.client()
            await client.create()
            with pytest.raises(StorageUnavailable):
                await client.call("session/delete", sessionId="s")
            for method in (later, "session/get"):
                with pytest.raises(NotFound):
                    await client.call(method, sessionId="s")
            assert (await client.call("session/list"))["sessions"] == []
            await settled(core)
            assert store.leftovers() == []


async def test_whoever_asks_while_a_session_is_being_deleted_hears_that_it_is_gone() -> None:
    gate = Gate()
    store = TappedStore(MemoryStore())
    real = store.inner.mark_deleted

    def wait_and_mark(session: int, changes: Any) -> None:
        gate()
        real(session, changes)

    store.inner.mark_deleted = wait_and_mark
    outcomes: list[str] = []
    async with core_running(store) as core:
        client = core.client()
        await client.create()
        gate.close()

        async def ask(method: str, **params: Any) -> None:
            try:
                await core.client().call(method, sessionId="s", **params)
            except NotFound:
                outcomes.append(method)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.call("session/delete", sessionId="s"))
            await gate.reached()
            tasks.start_soon(ask, "session/get")
            tasks.start_soon(lambda: ask("session/prompt", content=[{"type": "text", "text": "x"}]))
            tasks.start_soon(ask, "session/subscribe")
            await anyio.wait_all_tasks_blocked()
            assert outcomes == []
            gate.open()
        await settled(core)
        assert store.leftovers() == []
    assert sorted(outcomes) == ["session/get", "session/prompt", "session/subscribe"]


# Forking -----------------------------------------------------------------------------------------------


async def test_a_fork_has_the_beginning_byte_for_byte_and_a_life_of_its_own(tmp_path: Path) -> None:
    model = ScriptedModel(say("one"), say("two"), say("of fork"))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create(title="source")
        first = await client.run("one")
        await client.run("two")
        forked = await client.call("session/fork", sessionId="s", newSessionId="f", at=first["seq"])
        assert forked["epoch"] != (await client.call("session/get", sessionId="s"))["session"]["epoch"]
        source = [row.body for row in await _rows(core, "s")]
        copied = [row.body for row in await _rows(core, "f")]
        assert copied[: first["seq"]] == source[: first["seq"]]
        assert len(copied) == first["seq"] + 1
        before = await core.log("s")
        await client.run("of fork", "f")
        assert await core.log("s") == before
        check_complete(await core.log("f"))
    assert len(model.asked[2]) == 3


async def test_a_fork_of_a_running_session_is_whole_and_leaves_the_source_running() -> None:
    stage = Stage()

    async def hang(_tool_input: Any, _context: ToolContext) -> str:
        await stage()
        return "done"

    model = ScriptedModel([*block("half"), *call("hang", None, 1), done("tool_use")], say("end"))
    async with core_running(catalogue=model.catalogue(), tools=[FakeTool("hang", hang)]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await client.call("session/fork", sessionId="s", newSessionId="f")
        forked = await core.log("f")
        check_complete(forked)
        (end,) = [event for event in forked if isinstance(event, events.RunInterrupted)]
        assert end.cause == "forked"
        stage.go()
        assert (await client.wait("r1"))["status"] == "completed"
        check_complete(await core.log())


async def _rows(core: Core, session_id: str) -> list[Any]:
    key = core.live(session_id).log.key
    page = await core.journal.query(core.journal.store.read, key, 0, 2**31, limit=2**31, bytes_max=2**31)
    return page.rows


# Starting again ----------------------------------------------------------------------------------------


async def crash_within(tmp_path: Path, model: ScriptedModel, tools: Any, stage: Stage, *later: str) -> Path:
    """Kill a daemon at a stage of its run; give what is left on the disk."""
    (tmp_path / "first").mkdir()
    copy = tmp_path / "copy"
    async with core_running(
        open_sqlite(tmp_path / "first"), catalogue=model.catalogue(), tools=tools
    ) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        for text in later:
            await client.prompt(text)
        await core.journal.flushed(core.live().log)
        await core.journal.execute(lambda: shutil.copytree(tmp_path / "first", copy))
    return copy


async def test_after_a_crash_text_is_kept_and_the_run_ends_as_interrupted(tmp_path: Path) -> None:
    stage = Stage()
    model = ScriptedModel([*block("whole"), *block("half", 1)[:-1], stage])
    copy = await crash_within(tmp_path, model, (), stage)
    async with core_running(open_sqlite(copy), catalogue=ScriptedModel(say("on")).catalogue()) as core:
        log = await core.log()
        check_complete(log)
        texts = [(event.text, event.partial) for event in log if isinstance(event, events.ContentBlockEnd)]
        assert texts == [("whole", False), ("half", True)]
        (end,) = [event for event in log if isinstance(event, events.RunInterrupted)]
        assert end.cause == "daemon_restarted"
        client = core.client()
        await client.call("session/continue", sessionId="s")
        assert (await client.wait("r2"))["status"] == "completed"


async def test_after_a_crash_a_tool_that_may_have_run_is_unknown_and_not_run_again(tmp_path: Path) -> None:
    stage = Stage()

    async def hang(_tool_input: Any, context: ToolContext) -> str:
        await context.output("so far")
        await stage()
        return "never"

    tool = FakeTool("hang", hang)
    copy = await crash_within(tmp_path, ScriptedModel([*call("hang"), done("tool_use")]), [tool], stage)
    again = FakeTool("hang", hang)
    async with core_running(open_sqlite(copy), catalogue=ScriptedModel().catalogue(), tools=[again]) as core:
        log = await core.log()
        check_complete(log)
        (failed,) = [event for event in log if isinstance(event, events.ToolCallFailed)]
        assert (failed.error.kind, failed.partial) == ("unknown", "so far")
        await settled(core)
        assert len(await core.log()) == len(log)
    assert again.contexts == []


async def test_after_a_crash_waiting_prompts_are_held_until_continued(tmp_path: Path) -> None:
    stage = Stage()
    copy = await crash_within(tmp_path, ScriptedModel([stage]), (), stage, "second", "third")
    model = ScriptedModel(say("1"), say("2"), say("3"))
    async with core_running(open_sqlite(copy), catalogue=model.catalogue()) as core:
        client = core.client()
        await settled(core)
        found = await client.call("session/get", sessionId="s")
        assert found["snapshot"]["held"]
        assert len(found["snapshot"]["queue"]) == 2
        assert model.asked == []
        last = found["snapshot"]["queue"][1]["promptId"]
        await client.call("session/continue", sessionId="s")
        await client.call("session/wait", sessionId="s", promptId=last)
        check_complete(await core.log())
    assert len(model.asked) == 3


async def test_a_finished_session_is_left_alone_at_the_next_start(tmp_path: Path) -> None:
    """Nothing of it is run again, and nothing added to its log."""
    model = ScriptedModel(say("one"))
    async with core_running(open_sqlite(tmp_path), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.run("one")
        before = await core.log()
    again = ScriptedModel()
    async with core_running(open_sqlite(tmp_path), catalogue=again.catalogue()) as core:
        await settled(core)
        assert core.registry.live("s") is None
        assert await core.log() == before
    assert again.asked == []


async def test_a_cancelled_run_stays_cancelled_after_a_restart(tmp_path: Path) -> None:
    stage = Stage()
    async with core_running(open_sqlite(tmp_path), catalogue=ScriptedModel([stage]).catalogue()) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await client.call("session/cancel", sessionId="s")
        await client.wait("r1")
        before = await core.log()
    again = ScriptedModel()
    async with core_running(open_sqlite(tmp_path), catalogue=again.catalogue()) as core:
        await settled(core)
        assert await core.log() == before
    assert again.asked == []


async def test_what_was_being_copied_or_removed_at_a_crash_is_cleaned_up_at_the_start() -> None:
    store = MemoryStore()
    async with core_running(store) as core:
        client = core.client()
        for name in ("kept", "deleted", "source"):
            await client.create(name)
        key = core.live("deleted").log.key
        await core.journal.execute(store.mark_deleted, key, ())
        await core.journal.execute(_begin_a_copy, store)
    async with core_running(store) as core:
        assert await core.journal.query(store.leftovers) == []
        await core.client().create("copy")
        assert (await core.client().call("session/get", sessionId="kept"))["session"]["head"] == 1


def _begin_a_copy(store: MemoryStore) -> None:
    new = NewSession("copy", "e", "/", "chat", "m", None, "{}", 1)
    store.create_session(new, Append(0, (), ()), copying=True)
