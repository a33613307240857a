"""A session whose log cannot be written: it stops and says so, others go on, and it comes back whole."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from core_world import Core, core_running
from journal_world import Fault, TappedStore, limits, open_sqlite
from log_builder import check_complete
from memory_store import MemoryStore
from scripted import FakeTool, ScriptedModel, Stage, block, call, done, say

from holdfast_daemon.config import Config
from holdfast_daemon.journal.store import Append
from holdfast_daemon.tools.base import ToolContext
from holdfast_protocol import events
from holdfast_protocol.errors import NotFound, StorageUnavailable

NEVER = Config(state_dir="/", journal=limits(revive_interval_s=3600.0))


async def echo(tool_input: Any, context: ToolContext) -> str:
    await context.output("working")
    return tool_input.value


@pytest.fixture
def store() -> TappedStore:
    return TappedStore(MemoryStore())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What is logged about the faults is not what is tested."""
    with caplog.at_level(logging.CRITICAL, "holdfast_daemon"):
        yield


def check_offsets(log: list[Any]) -> None:
    """Assert that no piece of a text is missing between two that are stored."""
    lengths: dict[str, int] = {}
    for event in log:
        if isinstance(event, events.TokenDelta | events.ToolOutput):
            name = event.block_id if isinstance(event, events.TokenDelta) else event.tool_call_id
            assert event.offset == lengths.get(name, 0), "a piece of text is missing"
            lengths[name] = event.offset + len(event.text)


async def revived(core: Core, session_id: str = "s") -> None:
    """Wait until a session can be written again."""
    log = core.live(session_id).log
    with anyio.fail_after(10):
        while log.halted is not None:
            await core.journal.query(lambda: None)


@pytest.mark.parametrize("at", range(24))
async def test_a_fault_at_any_append_of_a_run_leaves_a_whole_log_and_a_session_that_works(
    store: TappedStore, at: int
) -> None:
    steps = [*block("Let me see.", pieces=3), *call("echo", {"value": "hi"}, 1), done("tool_use")]
    model = ScriptedModel(steps, say("that was it"), say("second"), say("third"), say("last"))
    fault, left = Fault(times=2), at

    def count(appends: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            fault(appends)

    async with core_running(store, catalogue=model.catalogue(), tools=[FakeTool("echo", echo)]) as core:
        client = core.client()
        await client.create()
        follower = await client.follow()
        store.before = count
        statuses = []
        for _ in range(2):
            try:
                statuses.append((await client.run("go"))["status"])
            except StorageUnavailable:
                await revived(core)
                statuses.append((await client.run("go"))["status"])
        await revived(core)
        store.before = lambda _appends: None
        statuses.append((await client.run("last"))["status"])
        log = await core.log()
        check_complete(log)
        check_offsets(log)
        await client.outlet.until(lambda: follower.cursor == len(log))
        assert follower.seqs == list(range(1, len(log) + 1))
    assert statuses[-1] == "completed"
    interrupted = [event.cause for event in log if isinstance(event, events.RunInterrupted)]
    assert interrupted in ([], ["storage_unavailable"])
    assert len(follower.halted) == (1 if fault.refused == 2 else 0)


async def halted_in_a_run(core: Core, store: TappedStore, stage: Stage) -> Fault:
    """Have session `s` halted while it runs."""
    fault = Fault("full", session=core.live().log.key)
    store.before = fault
    store.before_probe = lambda: fault([Append(core.live().log.key, (), ())])
    stage.go()
    with anyio.fail_after(10):
        while core.live().log.halted is None:
            await core.journal.query(lambda: None)
    return fault


async def test_a_halted_session_says_so_to_everybody_and_can_still_be_read(store: TappedStore) -> None:
    stage = Stage()
    model = ScriptedModel([*block("stored"), stage, *block("lost", 1), done()])
    async with core_running(store, config=NEVER, catalogue=model.catalogue()) as core:
        client, watcher = core.client(), core.client("watcher", role="observer")
        await client.create()
        follower = await watcher.follow()
        await client.prompt("go")
        await stage.reached()
        await core.journal.flushed(core.live().log)
        head = core.live().log.head
        fault = await halted_in_a_run(core, store, stage)
        assert follower.halted == ["full"]
        for method, params in (
            ("session/prompt", {"content": [{"type": "text", "text": "more"}]}),
            ("session/update", {"title": "new"}),
            ("session/continue", {}),
            ("session/close", {}),
            ("session/delete", {}),
        ):
            with pytest.raises(StorageUnavailable):
                await client.call(method, sessionId="s", **params)
        read = await client.call("session/read", sessionId="s", after=0, limit=1000)
        assert len(read["events"]) == read["head"] == head
        found = await client.call("session/get", sessionId="s")
        assert found["session"]["head"] == head
        late = core.client("late")
        assert (await late.follow(after="head")).caught_up == [head]
        assert (await client.call("daemon/status"))["journal"]["halted"] == 1
        fault.left = 0


async def test_other_sessions_go_on_while_one_is_halted(store: TappedStore) -> None:
    stage = Stage()
    model = ScriptedModel([stage, *block("lost"), done()], say("sound"), say("sound"))
    async with core_running(store, config=NEVER, catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.create("other")
        await client.prompt("go")
        await stage.reached()
        fault = await halted_in_a_run(core, store, stage)
        for _ in range(2):
            assert (await client.run("go", "other"))["status"] == "completed"
        check_complete(await core.log("other"))
        await client.create("third")
        fault.left = 0


async def test_when_writing_works_again_the_run_gets_its_end_and_all_goes_on(
    store: TappedStore,
) -> None:
    stage = Stage()
    model = ScriptedModel([*block("stored"), stage, *block("lost", 1), done()], say("again"), say("third"))
    async with core_running(store, catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        follower = await client.follow()
        await client.prompt("go")
        await stage.reached()
        queued = await client.prompt("queued")
        fault = await halted_in_a_run(core, store, stage)
        before = core.live().log.head
        fault.left = 0
        ended = await client.wait("r1")
        assert ended["status"] == "interrupted"
        (terminal,) = [event for event in await core.log() if isinstance(event, events.RunInterrupted)]
        assert (terminal.cause, terminal.seq) == ("storage_unavailable", before + 1)
        found = await client.call("session/get", sessionId="s")
        assert found["snapshot"]["held"]
        await client.call("session/continue", sessionId="s")
        await client.wait("r2")
        await client.call("session/wait", sessionId="s", promptId=queued["promptId"])
        log = await core.log()
        check_complete(log)
        await client.outlet.until(lambda: follower.cursor == len(log))
        assert follower.seqs == list(range(1, len(log) + 1))


async def test_a_run_still_cleaning_up_when_writing_works_again_adds_nothing(
    store: TappedStore,
) -> None:
    """What it says now would stand on events that were lost: recovery alone closes the run."""
    started, cleaning = Stage(), Stage()

    async def work(_tool_input: Any, context: ToolContext) -> str:
        await context.output("stored. ")
        try:
            await started()
            await context.output("lost. ")
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await cleaning()
                await context.output("too late.")
        return "never"

    model = ScriptedModel([*call("slow"), done("tool_use")], say("after"))
    async with core_running(store, catalogue=model.catalogue(), tools=[FakeTool("slow", work)]) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await started.reached()
        await core.journal.flushed(core.live().log)
        store.before = Fault(times=2)
        started.go()
        await cleaning.reached()
        await revived(core)
        cleaning.go()
        assert (await client.wait("r1"))["status"] == "interrupted"
        assert (await client.run("again"))["status"] == "completed"
        log = await core.log()
    check_complete(log)
    check_offsets(log)
    outputs = [event.text for event in log if isinstance(event, events.ToolOutput)]
    assert outputs == ["stored. "]
    (failed,) = [event for event in log if isinstance(event, events.ToolCallFailed)]
    assert (failed.error.kind, failed.partial) == ("unknown", "stored. ")


async def test_a_session_that_cannot_be_stored_does_not_exist(store: TappedStore) -> None:
    real = store.inner.create_session

    def refuse(*_args: Any, **_options: Any) -> int:
        Fault()([])
        raise AssertionError

    async with core_running(store) as core:
        client = core.client()
        store.inner.create_session = refuse
        with pytest.raises(StorageUnavailable):
            await client.create()
        with pytest.raises(NotFound):
            await client.call("session/get", sessionId="s")
        store.inner.create_session = real
        await client.create()
        assert (await client.call("session/get", sessionId="s"))["session"]["head"] == 1


async def test_a_daemon_started_on_a_full_disk_serves_reads_and_recovers_later(
    tmp_path: Path,
) -> None:
    stage = Stage()
    model = ScriptedModel([*block("stored"), stage, done()])
    copy = tmp_path / "copy"
    (tmp_path / "first").mkdir()
    async with core_running(open_sqlite(tmp_path / "first"), catalogue=model.catalogue()) as core:
        client = core.client()
        await client.create()
        await client.prompt("go")
        await stage.reached()
        await core.journal.flushed(core.live().log)
        await core.journal.execute(lambda: shutil.copytree(tmp_path / "first", copy))
    store = TappedStore(open_sqlite(copy))
    fault = Fault("full")
    store.before = fault
    store.before_probe = lambda: fault([])
    async with core_running(store, catalogue=model.catalogue()) as core:
        client = core.client()
        found = await client.call("session/get", sessionId="s")
        assert found["snapshot"]["run"]["runId"] == "r1"
        with pytest.raises(StorageUnavailable):
            await client.prompt("more")
        fault.left = 0
        assert (await client.wait("r1"))["status"] == "interrupted"
        check_complete(await core.log())
