"""Tools that clients run: offered, called back, taken away (design.md section 4, "catalogue")."""

import anyio
import pytest
from interaction_world import resident
from person import calling, script, text_content
from recorder import NAME, Recorder

from fakes.raw_client import Refused
from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools import client_hosted

DONE = {"text": "done"}

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def tool(name="look", kind="read", **more):
    return {"name": name, "description": f"Does {name}.", "inputSchema": SCHEMA, "kind": kind, **more}


async def begin(daemon, home, *tools, **settings):
    """Make a session somebody follows, with tools that somebody else runs."""
    ann, host = await daemon.person("ann"), await daemon.person("host")
    session = await ann.begin(home.work, **settings)
    registered = await host.call("tool/register", sessionId=session, tools=list(tools or (tool(),)))
    assert registered == {"registered": len(tools or (1,))}
    return ann, host, session


async def call_of(ann, host, session, name="look", **tool_input):
    """Have the tool called; give the call as its host got it."""
    await ann.prompt(session, script(calling((name, tool_input)), DONE))
    return await host.notification("tool/call")


async def complete(host, call, **outcome):
    ids = {"sessionId": call["sessionId"], "toolCallId": call["toolCallId"]}
    return (await host.call("tool/complete", **ids, **outcome))["accepted"]


async def refusal(person, method, **params):
    with pytest.raises(Refused) as refused:
        await person.call(method, **params)
    return refused.value.error["data"]


# Calls ----------------------------------------------------------------------------------------------------


async def test_a_call_goes_to_the_client_that_registered_the_tool_and_its_result_to_the_model(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        bystander = await daemon.person("bystander")
        await bystander.follow(session)
        call = await call_of(ann, host, session, path="a")
        assert call == {
            "sessionId": session,
            "toolCallId": "r1-m1-t1",
            "tool": "look",
            "input": {"path": "a"},
        }
        started = await ann.event("tool_call_started")
        assert (started["tool"], started["kind"], started["input"]) == ("look", "read", {"path": "a"})
        assert await complete(host, call, result=text_content("seen"))
        completed = await ann.event("tool_call_completed")
        assert completed["result"] == text_content("seen")
        assert (await ann.end())["type"] == "run_completed"
        assert await complete(host, call, result=[]) is False, "it has its end"
        await bystander.end()
        for person in (ann, bystander):
            assert person.notifications("tool/call") == []
        assert len(host.notifications("tool/call")) == 1


async def test_a_start_is_durable_before_the_client_is_called(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        log = await host.log(session)
        assert log[-1]["type"] == "tool_call_started"
        assert await complete(host, call, result=[])
        await ann.end()


async def test_a_client_that_reports_an_error_fails_the_call(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        assert await complete(host, call, error="The editor has no such buffer.")
        failed = await ann.event("tool_call_failed")
        assert failed["error"]["message"] == "The editor has no such buffer."
        assert failed["error"]["kind"] == "tool_failed"
        assert (await ann.end())["type"] == "run_completed"


async def test_output_is_streamed_into_the_log_while_the_call_runs(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        ids = {"sessionId": session, "toolCallId": call["toolCallId"]}
        for text in ("first ", "größer ", "last"):
            assert await host.call("tool/output", **ids, text=text) == {"running": True}
        await complete(host, call, result=[])
        await ann.event("tool_call_completed")
        output = ann.heard("tool_output")
        assert "".join(event["text"] for event in output) == "first größer last"
        assert [event["offset"] for event in output] == [
            sum(len(earlier["text"]) for earlier in output[:at]) for at in range(len(output))
        ]
        await ann.end()
        assert await host.call("tool/output", **ids, text="late") == {"running": False}
        assert ann.heard("tool_output") == output


async def test_output_of_a_call_that_fails_is_kept_with_it(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        ids = {"sessionId": session, "toolCallId": call["toolCallId"]}
        await host.call("tool/output", **ids, text="so far")
        await complete(host, call, error="broke")
        assert (await ann.event("tool_call_failed"))["partial"] == "so far"
        await ann.end()


@pytest.mark.parametrize("outcome", [{}, {"result": [], "error": "both"}])
async def test_an_end_is_a_result_or_an_error(home, outcome):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        ids = {"sessionId": session, "toolCallId": call["toolCallId"]}
        assert (await refusal(host, "tool/complete", **ids, **outcome))["kind"] == "invalid_params"
        assert await complete(host, call, result=[]), "it still runs"
        await ann.end()


async def test_nobody_else_completes_a_call_or_gives_it_output(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        other = await begin(daemon, home, tool("other"))
        call = await call_of(ann, host, session)
        again = await daemon.person("host")
        for person in (ann, other[1], again):
            assert await complete(person, call, result=text_content("forged")) is False
            ids = {"sessionId": session, "toolCallId": call["toolCallId"]}
            assert await person.call("tool/output", **ids, text="forged") == {"running": False}
        assert await complete(host, call | {"toolCallId": "r1-m1-t2"}, result=[]) is False
        assert await complete(host, call | {"sessionId": other[2]}, result=[]) is False
        assert await complete(host, call, result=text_content("true"))
        assert (await ann.event("tool_call_completed"))["result"] == text_content("true")
        await ann.end()
        assert ann.heard("tool_output") == []


async def test_parallel_calls_end_in_any_order_and_are_told_in_the_models(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home, model=NAME)
        await ann.prompt(session, script(calling(*(("look", {"path": str(n)}) for n in range(3))), DONE))
        calls = [await host.notification("tool/call") for _ in range(3)]
        for call in reversed(calls):
            assert await complete(host, call, result=text_content(f"seen {call['input']['path']}"))
        await ann.end()
        assert recorder.asked[1][-1] == ("tools", "seen 0 seen 1 seen 2")


# What can be called -----------------------------------------------------------------------------------------


async def test_hosted_tools_are_listed_and_offered_to_the_model(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann, _, session = await begin(daemon, home, tool(), tool("press", "other"), model=NAME)
        listed = (await ann.call("tool/list", sessionId=session))["tools"]
        hosted = {item["name"]: item for item in listed if item.get("hosted")}
        assert hosted == {
            "look": tool() | {"hosted": True},
            "press": tool("press", "other") | {"hosted": True},
        }
        everywhere = (await ann.call("tool/list"))["tools"]
        assert [item for item in listed if not item.get("hosted")] == everywhere
        other = await ann.begin(home.work)
        assert (await ann.call("tool/list", sessionId=other))["tools"] == everywhere
        await ann.prompt(session, "say hello")
        await ann.end()
        assert recorder.tools[0] == [item["name"] for item in listed]


async def test_a_hosted_tool_takes_the_place_of_the_daemons(home):
    """An editor's unsaved buffer is what is read, not the file (zed-industries/zed#51803)."""
    (home.work / "notes").write_text("on disk\n", encoding="utf-8")
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home, tool("read"))
        names = [item["name"] for item in (await ann.call("tool/list", sessionId=session))["tools"]]
        assert names.count("read") == 1
        call = await call_of(ann, host, session, "read", path="notes")
        await complete(host, call, result=text_content("in the buffer"))
        assert (await ann.event("tool_call_completed"))["result"] == text_content("in the buffer")
        await ann.end()
        host.close()
        await until_gone(ann, session)
        await ann.prompt(session, script(calling(("read", {"path": "notes"})), DONE))
        assert "on disk" in (await ann.event("tool_call_completed"))["result"][0]["text"]
        await ann.end()


async def until_gone(person, session):
    """Wait until no client runs a tool for the session."""
    with anyio.fail_after(10):
        while any(t.get("hosted") for t in (await person.call("tool/list", sessionId=session))["tools"]):
            pass


async def test_registering_again_replaces_what_the_connection_registered(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home, tool("one"), tool("two"))
        for tools in ([tool("two", "edit"), tool("three")], [], [tool("one")]):
            result = await host.call("tool/register", sessionId=session, tools=tools)
            assert result == {"registered": len(tools)}
            listed = (await ann.call("tool/list", sessionId=session))["tools"]
            assert [t for t in listed if t.get("hosted")] == [t | {"hosted": True} for t in tools]


async def test_a_name_that_another_connection_runs_is_a_conflict_and_nothing_is_registered(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        other = await daemon.person("host")
        data = await refusal(other, "tool/register", sessionId=session, tools=[tool("mine"), tool()])
        assert (data["kind"], data["resource"], data["id"]) == ("conflict", "tool", "look")
        listed = (await ann.call("tool/list", sessionId=session))["tools"]
        assert [t["name"] for t in listed if t.get("hosted")] == ["look"]
        assert (await other.call("tool/register", sessionId=session, tools=[tool("mine")]))["registered"] == 1
        elsewhere = await ann.begin(home.work)
        assert (await other.call("tool/register", sessionId=elsewhere, tools=[tool()]))["registered"] == 1
        call = await call_of(ann, host, session)
        assert await complete(host, call, result=[])
        await ann.end()


async def test_after_a_reconnect_the_tool_is_registered_again_and_called_there(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        host.close()
        await until_gone(ann, session)
        again = await daemon.person("host")
        assert (await again.call("tool/register", sessionId=session, tools=[tool()]))["registered"] == 1
        call = await call_of(ann, again, session)
        assert await complete(again, call, result=text_content("seen"))
        assert (await ann.end())["type"] == "run_completed"


@pytest.mark.parametrize(
    ("tools", "path"),
    [
        ([tool(), tool()], "$.tools"),
        ([tool("with space")], "$.tools[0].name"),
        ([tool("")], "$.tools[0].name"),
        ([tool("x" * 65)], "$.tools[0].name"),
        ([tool(kind="magic")], "$.tools[0].kind"),
        ([tool() | {"inputSchema": "object"}], "$.tools[0].inputSchema"),
        ([tool(f"t{n}") for n in range(129)], "$.tools"),
    ],
)
async def test_a_tool_that_is_none_is_refused(home, tools, path):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        data = await refusal(host, "tool/register", sessionId=session, tools=tools)
        assert (data["kind"], data["path"]) == ("invalid_params", path)
        listed = (await ann.call("tool/list", sessionId=session))["tools"]
        assert [t["name"] for t in listed if t.get("hosted")] == ["look"], "what was there stays"


async def test_there_is_a_limit_to_a_sessions_hosted_tools_that_says_its_name(home, monkeypatch):
    monkeypatch.setattr(client_hosted, "TOOLS_MAX", 3)
    async with resident(home) as daemon:
        _, host, session = await begin(daemon, home, tool("a"), tool("b"))
        other = await daemon.person("other")
        data = await refusal(other, "tool/register", sessionId=session, tools=[tool("c"), tool("d")])
        assert (data["kind"], data["limit"]) == ("overloaded", "hosted_tools_max")
        assert (await other.call("tool/register", sessionId=session, tools=[tool("c")]))["registered"] == 1
        assert (await host.call("tool/register", sessionId=session, tools=[tool("d")]))["registered"] == 1


async def test_input_that_is_no_object_never_reaches_the_client(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        for raw in ('["a"]', '"a"', "5", '{"path": '):
            await ann.prompt(session, script({"call": {"tool": "look", "raw": raw}}, DONE))
            assert (await ann.event("tool_call_failed"))["error"]["kind"] == "invalid_input"
            await ann.end()
        assert host.notifications("tool/call") == []


# When somebody goes -----------------------------------------------------------------------------------------


async def test_a_lost_connection_fails_the_calls_it_ran_and_takes_its_tools_away(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        await ann.prompt(session, script(calling(("look", {}), ("look", {})), calling(("look", {})), DONE))
        for _ in range(2):
            await host.notification("tool/call")
        host.close()
        failed = [await ann.event("tool_call_failed") for _ in range(3)]
        assert [event["error"]["kind"] for event in failed] == ["tool_failed", "tool_failed", "unknown_tool"]
        assert "gone" in failed[0]["error"]["message"]
        assert (await ann.end())["type"] == "run_completed"


async def test_a_lost_connection_leaves_other_clients_tools_alone(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        other = await daemon.person("other")
        await other.call("tool/register", sessionId=session, tools=[tool("watch")])
        await ann.prompt(session, script(calling(("look", {}), ("watch", {})), DONE))
        await host.notification("tool/call")
        call = await other.notification("tool/call")
        host.close()
        await ann.event("tool_call_failed")
        assert await complete(other, call, result=[])
        await ann.event("tool_call_completed")
        await ann.end()
        listed = (await ann.call("tool/list", sessionId=session))["tools"]
        assert [t["name"] for t in listed if t.get("hosted")] == ["watch"]


async def test_a_client_that_goes_while_people_think_fails_the_call_once_it_is_allowed(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home, tool("press", "other"))
        await ann.prompt(session, script(calling(("press", {})), DONE))
        asked = await ann.event("request_opened")
        host.close()
        await until_gone(ann, session)
        await ann.answer_request(asked, "allow")
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "unknown_tool"
        assert (await ann.end())["type"] == "run_completed"


async def test_a_client_that_comes_back_while_people_think_gets_the_call_once_it_is_allowed(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home, tool("press", "other"))
        await ann.prompt(session, script(calling(("press", {"path": "a"})), DONE))
        asked = await ann.event("request_opened")
        host.close()
        await until_gone(ann, session)
        again = await daemon.person("host")
        await again.call("tool/register", sessionId=session, tools=[tool("press", "other")])
        await ann.answer_request(asked, "allow")
        call = await again.notification("tool/call")
        assert call["input"] == {"path": "a"}
        assert await complete(again, call, result=[])
        assert (await ann.end())["type"] == "run_completed"


async def test_cancelling_a_call_tells_its_client_and_lets_the_run_go_on(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        await ann.prompt(session, script(calling(("look", {"path": "a"}), ("look", {"path": "b"})), DONE))
        one, two = [await host.notification("tool/call") for _ in range(2)]
        result = await ann.call("session/cancel", sessionId=session, toolCallId=one["toolCallId"])
        assert result == {"cancelled": True, "runId": "r1"}
        assert await host.notification("tool/call") == one | {"cancelled": True}
        failed = await ann.event("tool_call_failed")
        assert (failed["toolCallId"], failed["error"]["kind"]) == (one["toolCallId"], "cancelled")
        assert await complete(host, one, result=text_content("late")) is False
        assert await complete(host, two, result=[])
        assert (await ann.end())["type"] == "run_completed"
        assert len(host.notifications("tool/call")) == 3


async def test_cancelling_the_run_tells_the_client_of_every_call_it_runs(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        await ann.prompt(session, script(calling(("look", {}), ("look", {})), DONE))
        calls = [await host.notification("tool/call") for _ in range(2)]
        await ann.call("session/cancel", sessionId=session)
        taken_back = [await host.notification("tool/call") for _ in range(2)]
        assert sorted(call["toolCallId"] for call in taken_back) == [call["toolCallId"] for call in calls]
        assert all(call["cancelled"] for call in taken_back)
        assert (await ann.end())["type"] == "run_cancelled"


async def test_a_client_that_never_answers_is_stopped_by_the_time_out(home):
    async with resident(home, execution=ExecutionLimits(timeout_s=0.2)) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        assert (await host.notification("tool/call")) == call | {"cancelled": True}
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "timeout"
        assert (await ann.end())["type"] == "run_completed"


async def test_the_tools_of_a_deleted_session_are_gone_and_its_client_is_told(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        await ann.call("session/delete", sessionId=session)
        assert (await host.notification("tool/call")) == call | {"cancelled": True}
        data = await refusal(
            host, "tool/complete", sessionId=session, toolCallId=call["toolCallId"], result=[]
        )
        assert data["kind"] == "not_found"
        assert (await refusal(host, "tool/register", sessionId=session, tools=[]))["kind"] == "not_found"


async def test_a_result_that_is_too_long_is_cut_and_says_so(home):
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        assert await complete(host, call, result=text_content("x" * 3_000_000))
        completed = await ann.event("tool_call_completed")
        assert completed["truncated"]
        assert len(completed["result"][0]["text"]) < 70_000
        assert (await ann.end())["type"] == "run_completed"


async def test_output_sent_all_at_once_stands_in_order_before_the_end(home):
    """More than may wait for the disk: the pieces of one call neither mix nor come behind its outcome."""
    async with resident(home) as daemon:
        ann, host, session = await begin(daemon, home)
        call = await call_of(ann, host, session)
        ids = {"sessionId": call["sessionId"], "toolCallId": call["toolCallId"]}
        texts = [chr(0x6F22 + number) * 80_000 for number in range(12)]
        said = [host.request("tool/output", {**ids, "text": text}) for text in texts]
        done = host.request("tool/complete", {**ids, "result": text_content("seen")})
        await host.send(*said, done)
        await ann.end()
        outputs, outcome = ann.heard("tool_output"), ann.heard("tool_call_completed")[0]
        assert all(event["seq"] < outcome["seq"] for event in outputs)
        text = ""
        for event in outputs:
            assert event["offset"] == len(text)
            text += event["text"]
        assert "".join(texts).startswith(text)
