"""MCP servers are processes: none outlives its session, or a daemon that is killed."""

import asyncio

import anyio.lowlevel
import pytest
from extension_world import DONE, Mark, delegate, mcp_server, run_of, tool
from interaction_world import Killable, resident, within
from person import calling, script
from processes import living, until_dead


def pids_in(path):
    return [int(line) for line in path.read_text(encoding="ascii").split()]


async def test_fifty_sessions_opened_and_closed_leave_no_process(home):
    """Each server has a child of its own that has left its group."""
    pids = home.path / "pids"
    server = mcp_server("told", "--pids", str(pids), "--child")
    with Killable(home) as daemon, within(60):
        await daemon.start()
        people = [await daemon.person(f"person-{number}") for number in range(5)]

        async def open_and_close(person):
            for _ in range(10):
                session = await person.create(home.work, mcpServers=[server])
                [listed] = (await person.call("mcp/list", sessionId=session))["servers"]
                assert listed["status"] == "running"
                await person.call("session/close", sessionId=session)

        async with anyio.create_task_group() as tasks:
            for person in people:
                tasks.start_soon(open_and_close, person)
        started = pids_in(pids)
        assert len(set(started)) == 100
        await until_dead(started)
        assert living(started) == []
        status = (await people[0].call("daemon/status"))["sessions"]
        assert (status["loaded"], status["activeRuns"]) == (0, 0)


async def test_sessions_that_were_closed_leave_no_task(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")

        async def open_and_close():
            session = await ann.create(home.work, mode="auto", mcpServers=[mcp_server()])
            ran = await ann.prompt(session, run_of(tool("echo", {"text": "x"})))
            await ann.call("session/wait", sessionId=session, runId=ran["runId"])
            await ann.call("session/close", sessionId=session)

        await open_and_close()  # What is imported and made once.
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        before = len(asyncio.all_tasks())
        for _ in range(5):
            await open_and_close()
        while len(asyncio.all_tasks()) > before:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("way", ["session/close", "session/delete"])
async def test_a_server_in_mid_call_ends_with_its_session(home, way):
    mark = Mark(home.path / "mark")
    pids = home.path / "pids"
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        server = mcp_server("told", "--pids", str(pids), "--child")
        session = await ann.create(home.work, mode="auto", mcpServers=[server])
        await ann.prompt(session, run_of(tool("hang", {"mark": str(mark.path)})))
        await mark.reached()
        await ann.call(way, sessionId=session)
        await until_dead(pids_in(pids))
        assert living(pids_in(pids)) == []
    mark.close()


async def test_the_servers_of_a_sub_agent_end_with_it_and_those_of_its_parent_go_on(home):
    pids = home.path / "pids"
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        server = mcp_server("told", "--pids", str(pids))
        session = await ann.begin(home.work, mode="auto", mcpServers=[server])
        await ann.prompt(session, run_of(delegate(calling(tool("echo", {"text": "x"})), DONE)))
        child = (await ann.event("agent_started"))["sessionId"]
        await ann.event("run_completed", session=session)
        own, below = pids_in(pids)
        await until_dead([below])
        assert living([own, below]) == [own]
        assert (await ann.log(child))[-1]["type"] == "run_completed", "its log stays"


async def test_a_killed_daemon_leaves_no_server(home):
    """At the latest none is left when a daemon runs on that state again."""
    mark = Mark(home.path / "mark")
    pids = home.path / "pids"
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        server = mcp_server("told", "--pids", str(pids), "--child")
        session = await ann.begin(home.work, mode="auto", mcpServers=[server])
        await ann.prompt(session, script(calling(tool("hang", {"mark": str(mark.path)})), DONE))
        await mark.reached()
        started = pids_in(pids)
        await daemon.restart()
        assert living(started) == []
        bob = await daemon.person("bob")
        log = await bob.log(session)
        [failed] = [event for event in log if event["type"] == "tool_call_failed"]
        assert failed["error"]["kind"] == "unknown", "it is not called again by itself"
        assert log[-1]["type"] == "run_interrupted"
    mark.close()


async def test_a_daemon_that_is_told_to_stop_leaves_no_server(home):
    pids = home.path / "pids"
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        for _ in range(3):
            server = mcp_server("told", "--pids", str(pids), "--child")
            session = await ann.create(home.work, mcpServers=[server])
            await ann.call("mcp/list", sessionId=session)
        await ann.call("daemon/shutdown")
        await daemon.ended()
        assert len(pids_in(pids)) == 6
        assert living(pids_in(pids)) == []
