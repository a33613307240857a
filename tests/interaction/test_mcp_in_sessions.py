"""MCP servers of sessions: declared in three places, restarted, followed, asked and asking."""

import json

import pytest
from extension_world import (
    DONE,
    Mark,
    Witness,
    delegate,
    everything,
    make_plugin,
    mcp_server,
    run_of,
    said,
    tool,
    user_folder,
)
from interaction_world import Killable, resident, within
from person import calling, script
from recorder import NAME

from fakes.raw_client import Refused
from holdfast_daemon.config import McpServerSetting

SECRET = "sesame-of-the-test"


def setting(name):
    """Give the server as the configuration has it."""
    told = mcp_server(name)
    return McpServerSetting(name=name, command=told["command"], args=tuple(told["args"]), env=("KEY=config",))


def plugin_server(place, name):
    told = mcp_server(name)
    words = {"name": name, "type": "stdio", "command": told["command"], "args": told["args"]}
    manifest = f"mcp_servers:\n  - {json.dumps(words | {'env': {'KEY': 'plugin'}})}\n"
    return make_plugin(place / "plugins", manifest)


async def begin(daemon, home, *servers, **settings):
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, **({"mode": "auto"} | settings), mcpServers=list(servers))
    return ann, session


async def servers_of(ann, session):
    return (await ann.call("mcp/list", sessionId=session))["servers"]


async def test_servers_of_client_configuration_and_plugins_are_used_side_by_side(home, monkeypatch):
    plugin_server(user_folder(monkeypatch, home), "third")
    async with resident(home, mcp_servers=(setting("second"),)) as daemon:
        ann, session = await begin(daemon, home, mcp_server("first", KEY="client"))
        names = ("first", "second", "third")
        await ann.prompt(session, run_of(*(tool("environment", server=name) for name in names)))
        assert (await ann.end())["type"] == "run_completed"
        keys = [json.loads(said(call))["KEY"] for call in ann.heard("tool_call_completed")]
        assert sorted(keys) == ["client", "config", "plugin"]
        listed = await servers_of(ann, session)
        assert [(s["name"], s["origin"], s["status"], s["tools"], s["starts"]) for s in listed] == [
            ("first", "client", "running", 7, 1),
            ("second", "configuration", "running", 7, 1),
            ("third", "plugin sample", "running", 7, 1),
        ]
        tools = (await ann.call("tool/list", sessionId=session))["tools"]
        assert {f"mcp__{name}__echo" for name in names} < {each["name"] for each in tools}


async def test_of_a_name_the_clients_server_counts(home, monkeypatch):
    plugin_server(user_folder(monkeypatch, home), "told")
    async with resident(home, mcp_servers=(setting("told"),)) as daemon:
        ann, session = await begin(daemon, home, mcp_server(KEY="client"))
        await ann.prompt(session, run_of(tool("environment")))
        assert json.loads(said(await ann.event("tool_call_completed")))["KEY"] == "client"
        await ann.end()
        assert [server["origin"] for server in await servers_of(ann, session)] == ["client"]


async def test_a_clients_servers_outlive_the_daemon_and_what_they_were_given_is_never_shown(home):
    """Also those that a fork and a sub-agent get; the values are in the database alone."""
    web = {"type": "http", "name": "web", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": SECRET}}
    with Killable(home) as daemon, within():
        await daemon.start()
        ann, session = await begin(daemon, home, mcp_server(KEY=SECRET), web)
        sent = everything(ann).count(SECRET)
        await daemon.restart()
        bob = await daemon.person("bob")
        fork = (await bob.call("session/fork", sessionId=session))["sessionId"]
        for place in (session, fork):
            await bob.follow(place)
            own, below = (tool("environment", {"path": f"{place}-{who}"}) for who in ("own", "below"))
            await bob.prompt(place, run_of(own, delegate(calling(below), DONE)))
            child = (await bob.event("agent_started", session=place))["sessionId"]
            await bob.event("run_completed", session=place)
            await bob.follow(child)
            for name in (place, child):
                told, other = await servers_of(bob, name)
                assert (told["status"], other["status"]) == ("running", "restarting")
                for method in ("session/export", "session/get", "tool/list", "command/list"):
                    await bob.call(method, sessionId=name)
            for who in ("own", "below"):
                assert json.loads((home.work / f"{place}-{who}").read_text("utf-8"))["KEY"] == SECRET
        assert sent == 2
        assert SECRET not in everything(bob)
        assert SECRET not in (home.path / "stderr").read_text("utf-8")
        assert SECRET not in (home.state / "daemon.log").read_text("utf-8")


async def test_a_server_that_dies_in_mid_call_fails_that_call_and_serves_the_next_one(home):
    mark = Mark(home.path / "mark")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server())
        calls = (tool("die", {"mark": str(mark.path)}), tool("echo", {"text": "again"}))
        await ann.prompt(session, script(*(calling(call) for call in calls), DONE))
        failed = await ann.event("tool_call_failed")
        assert failed["error"]["kind"] == "mcp_lost"
        assert said(await ann.event("tool_call_completed")) == "again"
        assert (await ann.end())["type"] == "run_completed"
        [server] = await servers_of(ann, session)
        assert (server["status"], server["starts"]) == ("running", 2)
    mark.close()


async def test_a_server_is_restarted_when_somebody_wants_it(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server())
        await ann.prompt(session, run_of(tool("become", {"text": "Changed."})))
        await ann.end()
        await ann.call("mcp/restart", sessionId=session, server="told")
        await ann.prompt(session, run_of(tool("echo", {"text": "still here"})))
        assert said(await ann.event("tool_call_completed", runId="r2")) == "still here"
        await ann.end()
        [server] = await servers_of(ann, session)
        assert server["starts"] == 2
        tools = {each["name"]: each for each in (await ann.call("tool/list", sessionId=session))["tools"]}
        assert tools["mcp__told__echo"]["description"] == "Say it again.", "it is another process"
        with pytest.raises(Refused) as refused:
            await ann.call("mcp/restart", sessionId=session, server="nobody")
        assert refused.value.error["data"]["kind"] == "not_found"


async def test_a_server_that_cannot_start_is_told_and_the_run_goes_on(home):
    async with resident(home) as daemon:
        broken = {"type": "stdio", "name": "broken", "command": "/no/such/program"}
        ann, session = await begin(daemon, home, broken, mcp_server())
        await ann.prompt(session, run_of(tool("echo", {"text": "I do"})))
        notice = await ann.event("notice")
        assert notice["kind"] == "extension_problem"
        assert notice["message"].startswith("The MCP server broken (client) does not run:")
        assert said(await ann.event("tool_call_completed")) == "I do"
        await ann.end()


async def test_a_change_of_the_tools_is_what_the_next_step_is_told(home, monkeypatch):
    witness = Witness()
    told: list[dict[str, str]] = []
    stream = Witness.stream

    def telling(self, messages, tools, system, options):
        told.append({each.name: each.description for each in tools})
        return stream(self, messages, tools, system, options)

    monkeypatch.setattr(Witness, "stream", telling)
    witness.install(monkeypatch)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server(), model=NAME)
        # The second call is answered after the change was listed: the server speaks in order.
        calls = (tool("become", {"text": "Changed."}), tool("echo", {"text": "x"}))
        await ann.prompt(session, script(*(calling(call) for call in calls), DONE))
        await ann.end()
    described = [tools["mcp__told__echo"] for tools in told]
    assert described[0] == "Say it again."
    assert described[-1] == "Changed."


async def test_a_tool_that_is_described_otherwise_after_it_was_allowed_for_good_is_asked_about_again(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server(), mode="ask")
        echo, become = tool("echo", {"text": "x"}), tool("become", {"text": "Changed."})
        steps = (echo, echo, become, become, echo, echo)
        await ann.prompt(session, script(*(calling(call) for call in steps), DONE))
        asked = []
        for scope in ("always", "once", "once", "always"):
            asked.append(await ann.event("request_opened"))
            await ann.answer_request(asked[-1], "allow", scope=scope)
        assert (await ann.end())["type"] == "run_completed"
        names = [request["detail"]["tool"].removeprefix("mcp__told__") for request in asked]
        assert names == ["echo", "become", "become", "echo"]
        assert asked[0]["detail"]["match"] != asked[3]["detail"]["match"]
        assert len((await ann.call("rule/list", sessionId=session))["rules"]) == 2


async def test_a_question_of_a_server_is_answered_with_values_and_the_server_gets_them(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server())
        bob = await daemon.person("bob")
        for values, then in (({"colour": "red"}, "red"), ({}, "{}")):
            await ann.prompt(session, run_of(tool("ask")))
            asked = await ann.event("request_opened", kind="form")
            assert asked["detail"]["schema"]["properties"] == {"colour": {"type": "string"}}
            assert asked["detail"]["server"] == "told"
            assert (await bob.answer_request(asked, "accept", values=values))["accepted"]
            assert then in said(await ann.event("tool_call_completed"))
            await ann.end()
        await ann.prompt(session, run_of(tool("ask")))
        await bob.answer_request(await ann.event("request_opened", kind="form"), "decline")
        assert json.loads(said(await ann.event("tool_call_completed"))) == {"action": "decline"}
        await ann.end()


async def test_a_question_of_a_sub_agents_server_is_answered_by_who_follows_the_parent(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server(), unattended="deny")
        await ann.prompt(session, run_of(delegate(calling(tool("ask")), {"text": "done"})))
        child = (await ann.event("agent_started"))["sessionId"]
        asked = []
        while not asked:
            asked = (await ann.call("request/list"))["requests"]
        assert asked[0]["sessionId"] == child
        request = asked[0]["request"]["requestId"]
        answer = {"outcome": "accept", "values": {"colour": "red"}}
        await ann.call("request/respond", sessionId=child, requestId=request, **answer)
        await ann.event("agent_completed")
        [done] = [event for event in await ann.log(child) if event["type"] == "tool_call_completed"]
        assert "red" in said(done)
        await ann.end()


async def test_a_question_of_a_server_goes_with_the_run_and_the_server_is_of_use_afterwards(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server())
        await ann.prompt(session, run_of(tool("ask")))
        asked = await ann.event("request_opened", kind="form")
        await ann.call("session/cancel", sessionId=session)
        assert (await ann.event("request_resolved"))["outcome"] == "cancelled"
        assert (await ann.end())["type"] == "run_cancelled"
        late = await ann.answer_request(asked, "accept", values={"colour": "red"})
        assert late["accepted"] is False
        await ann.prompt(session, run_of(tool("echo", {"text": "still here"})))
        assert said(await ann.event("tool_call_completed")) == "still here"
        await ann.end()
        [server] = await servers_of(ann, session)
        assert server["starts"] == 1


@pytest.mark.parametrize(("unattended", "action"), [("deny", "decline"), ("fail", "cancel")])
async def test_where_nobody_is_here_a_server_is_told_so(home, unattended, action):
    async with resident(home) as daemon:
        ann = await daemon.person("ann", answers=())
        session = await ann.begin(home.work, mode="auto", unattended=unattended, mcpServers=[mcp_server()])
        await ann.prompt(session, run_of(tool("ask")))
        assert json.loads(said(await ann.event("tool_call_completed"))) == {"action": action}
        assert (await ann.end())["type"] == "run_completed"


async def test_a_reload_and_trust_given_elsewhere_do_not_cut_a_call_that_runs(home):
    """They hold from the next run on, whoever looks at lists meanwhile."""
    mark = Mark(home.path / "mark")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server())
        bob = await daemon.person("bob")
        await ann.prompt(session, script(calling(tool("ask")), DONE))
        asked = await ann.event("request_opened", kind="form")
        assert (await bob.call("plugin/reload"))["sessions"] == 1
        for method in ("mcp/list", "command/list", "agent/list", "tool/list"):
            await bob.call(method, sessionId=session)
        await bob.prompt(session, "/nothing of the kind")
        await ann.answer_request(asked, "accept", values={"colour": "red"})
        assert "red" in said(await ann.event("tool_call_completed"))
        assert (await ann.end())["type"] == "run_completed"
        assert (await ann.end())["type"] == "run_completed"
        [server] = await servers_of(ann, session)
        assert server["starts"] == 1, "another set was started for the run after the reload"
    mark.close()


async def test_an_answer_that_comes_while_the_servers_start_after_a_restart_counts_whole(home):
    """The run is not at its question again yet."""
    gate = Mark(home.path / "gate")
    with Killable(home) as daemon, within():
        await daemon.start()
        gate.let_one_through()
        ann, session = await begin(daemon, home, mcp_server("told", "--gate", str(gate.path)), mode="ask")
        await ann.prompt(session, run_of(tool("echo", {"text": "x"})))
        asked = await ann.event("request_opened")
        await daemon.restart()
        bob = await daemon.person("bob")
        await bob.follow(session)
        assert (await bob.answer_request(asked, "deny", message="not today"))["accepted"]
        gate.let_one_through()
        failed = await bob.event("tool_call_failed")
        assert failed["error"]["message"] == "The call was not allowed. bob says: not today"
        assert (await bob.end())["type"] == "run_completed"
    gate.close()


async def test_a_server_that_is_slow_to_start_holds_up_nothing_that_does_not_need_it(home, monkeypatch):
    """What looks like a command is one of files until it names a server; answers and settings go on."""
    monkeypatch.setattr("holdfast_daemon.sessions.extension_slot.SETTLE_S", 1000)
    gate = Mark(home.path / "gate")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mcp_server("told", "--gate", str(gate.path)))
        content = [{"type": "text", "text": "/nothing of the kind"}]
        prompt = ann.request("session/prompt", {"sessionId": session, "content": content})
        update = ann.request("session/update", {"sessionId": session, "title": "quick"})
        await ann.send(prompt, update)
        await ann.event("session_updated", title="quick")
        tools = (await ann.call("tool/list", sessionId=session))["tools"]
        assert not any(each["name"].startswith("mcp__") for each in tools), "the server serves not yet"
        gate.let_one_through()
        assert (await ann.end())["type"] == "run_completed"
        [server] = await servers_of(ann, session)
        assert server["status"] == "running"
    gate.close()
