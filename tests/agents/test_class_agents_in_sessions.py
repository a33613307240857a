"""Agents that are classes of plugins, in sessions: the log of any agent, cancelled, failed, gone on."""

import sys
from itertools import groupby
from typing import Any

import pytest
from class_agents import CHAT, agent_of, living
from core_world import core_running
from log_builder import check_complete
from scripted import ScriptedModel, block, call, done, say

from holdfast_protocol import events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

STEPS = (
    [*block("hm", kind="thinking"), *block("I look.", 1), *call("list", {"path": "."}, 2), done("tool_use")],
    [*call("read", {"path": "nothing"}), *call("list", {}, 1), done("tool_use")],
    say("done"),
)


def _by_call(shown: Any) -> tuple[str, bool]:
    """Calls of a step run together: which is done first is nobody's promise; a start goes before its end."""
    name, fields = shown
    return fields["tool_call_id"], name != "tool_call_started"


def plain(log: list[Any]) -> list[Any]:
    """Give events without what differs between any two runs."""
    shown = []
    for event in log:
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        for name in ("at", "duration_ms", "agent", "env", "seq"):
            fields.pop(name, None)
        shown.append((events.type_of(event), fields))
    shown = [each for each in shown if each[0] not in ("token_delta", "tool_output_delta")]
    ordered = []
    for of_calls, group in groupby(shown, lambda each: each[0].startswith("tool_call_")):
        found = list(group)
        ordered += sorted(found, key=_by_call) if of_calls else found
    return ordered


async def test_a_chat_loop_of_a_plugin_leaves_the_log_of_the_built_in_one(tmp_path):
    logs = []
    for agent in ("chat", "sample:one"):
        model = ScriptedModel(*STEPS)
        async with core_running(catalogue=model.catalogue(), agents=[agent_of(tmp_path, CHAT)]) as core:
            client = core.client()
            await client.create(cwd=str(tmp_path), agent=agent)
            assert (await client.run("go"))["status"] == "completed"
            log = await core.log()
            check_complete(log)
            logs.append(log)
    assert plain(logs[0]) == plain(logs[1])
    assert sum(isinstance(event, events.ToolCallCompleted) for event in logs[1]) == 2


async def test_a_failed_run_leaves_the_session_usable(tmp_path):
    body = """
        if "fail" in session.messages()[-1].content[0].text:
            for event in text("half a sen"):
                yield event
            os._exit(1)
        for event in step("well"):
            yield event
    """
    async with core_running(agents=[agent_of(tmp_path, body)]) as core:
        client = core.client()
        await client.create(agent="sample:one", cwd=str(tmp_path))
        ended = [(await client.run(prompt))["status"] for prompt in ("fail", "go", "fail", "go")]
        log = await core.log()
    check_complete(log)
    assert ended == ["failed", "completed"] * 2
    assert [event.error.kind for event in log if isinstance(event, events.RunFailed)] == ["agent_failed"] * 2


async def test_a_cancel_ends_the_run_and_the_process_and_the_session_goes_on(tmp_path):
    body = """
        for event in step(str(os.getpid())):
            yield event
        if "hang" in session.messages()[0].content[0].text and len(session.messages()) < 3:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
    """
    async with core_running(agents=[agent_of(tmp_path, body)]) as core:
        client = core.client()
        await client.create(agent="sample:one", cwd=str(tmp_path))
        follower = await client.follow()
        admitted = await client.prompt("hang")
        await client.outlet.until(lambda: any(e["type"] == "message_completed" for e in follower.events))
        await client.call("session/cancel", sessionId="s")
        assert (await client.wait(admitted["runId"]))["status"] == "cancelled"
        log = await core.log()
        (pid,) = [int(event.text) for event in log if isinstance(event, events.ContentBlockEnd)]
        assert living([pid]) == []
        assert (await client.run("go"))["status"] == "completed"
        check_complete(await core.log())


SHOWS = """
        for _ in range(6):
            async for event in one_step(session, ""):
                yield event
"""

KEEPS = """
        for _ in range(6):
            async for event in one_step(session, ""):
                pass
        for event in step("end"):
            yield event
"""


@pytest.mark.parametrize("body", [SHOWS, KEEPS], ids=["shown", "kept"])
@pytest.mark.parametrize(("limit", "most"), [("steps", 2), ("tokens", 30)])
async def test_a_budget_holds_for_an_agent_that_calls_no_tools(tmp_path, body, limit, most):
    model = ScriptedModel()
    async with core_running(catalogue=model.catalogue(), agents=[agent_of(tmp_path, body)]) as core:
        client = core.client()
        await client.create(agent="sample:one", cwd=str(tmp_path), unattended="wait")
        follower = await client.follow()
        started = await client.prompt("go", budget={limit: most})
        for times, answer in enumerate(("continue", "stop"), 1):
            await client.outlet.until(lambda times=times: len(opened(follower)) == times)
            assert len(model.asked) == 2 * times
            request = opened(follower)[-1]["requestId"]
            await client.call("request/respond", sessionId="s", requestId=request, outcome=answer)
        await client.wait(started["runId"])
        log = await core.log()
    check_complete(log)
    assert [request["detail"]["used"] for request in opened(follower)] == [most, 2 * most]
    assert (log[-1].stop_reason, log[-1].usage.input) == ("budget", 40)


def opened(follower: Any) -> list[Any]:
    return [event for event in follower.events if event["type"] == "request_opened"]
