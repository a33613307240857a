"""Answers that stand: what they cover, where they hold, how they end (design.md section 7, "Requests")."""

import pytest
from interaction_world import Killable, resident, within
from person import calling, script, shell

from fakes.raw_client import Refused
from holdfast_daemon.sessions import rules as rules_module

DONE = {"text": "done"}

WRITE = ("write", {"path": "new", "content": "x"})


async def ask(ann, session, call):
    """Have a call made; give the request about it, or what became of it without one."""
    await ann.prompt(session, script(calling(call), DONE))
    return await ann.event("request_opened", "tool_call_started", "tool_call_failed", session=session)


async def becomes(ann, session, call):
    """Have a call made, deny it if it asks, and give what came first of it."""
    event = await ask(ann, session, call)
    if event["type"] == "request_opened":
        await ann.answer_request(event, "deny")
    await ann.event("run_completed", session=session)
    return {"request_opened": "asks", "tool_call_started": "runs", "tool_call_failed": "denied"}[
        event["type"]
    ]


async def settle(ann, session, call, outcome, scope):
    """Have a call made that asks, and answer it for longer than once; give the rule that is left behind."""
    before = await rule_ids(ann)
    asked = await ask(ann, session, call)
    await ann.answer_request(asked, outcome, scope=scope)
    resolved = await ann.event("request_resolved", requestId=asked["requestId"])
    assert (resolved["outcome"], resolved["scope"]) == (outcome, scope)
    await ann.event("run_completed", session=session)
    made = [rule for rule in (await ann.call("rule/list"))["rules"] if rule["ruleId"] not in before]
    assert len(made) == 1
    return made[0]


async def rule_ids(ann, **params):
    return [rule["ruleId"] for rule in (await ann.call("rule/list", **params))["rules"]]


@pytest.mark.parametrize(("outcome", "then"), [("allow", "runs"), ("deny", "denied")])
async def test_an_answer_for_the_session_holds_in_it_alone(home, outcome, then):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        here, other = await ann.begin(home.work), await ann.begin(home.work)
        rule = await settle(ann, here, shell("true"), outcome, "session")
        assert rule.pop("ruleId").startswith("rule-")
        assert rule.pop("createdAt") > 0
        assert rule == {
            "decision": outcome,
            "tool": "shell",
            "match": "true",
            "sessionId": here,
            "by": "ann",
        }
        assert await becomes(ann, here, shell("true")) == then
        assert await becomes(ann, here, shell("true ")) == "asks"
        assert await becomes(ann, other, shell("true")) == "asks"


@pytest.mark.parametrize(("outcome", "then"), [("allow", "runs"), ("deny", "denied")])
async def test_an_answer_for_good_holds_in_the_directory_alone(home, outcome, then):
    elsewhere = home.path / "elsewhere"
    below = home.work / "below"
    for path in (elsewhere, below):
        path.mkdir()
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        here, same = await ann.begin(home.work), await ann.begin(home.work)
        rule = await settle(ann, here, WRITE, outcome, "always")
        assert rule["cwd"] == str(home.work)
        assert {"sessionId", "match"}.isdisjoint(rule)
        later = await ann.begin(home.work)
        for session in (here, same, later):
            assert await becomes(ann, session, WRITE) == then
        for path in (elsewhere, below, home.path):
            assert await becomes(ann, await ann.begin(path), WRITE) == "asks"
        edit = ("edit", {"path": "new", "old": "x", "new": "y"})
        assert await becomes(ann, here, edit) == "asks", "a rule is about one tool"


async def test_a_command_may_be_denied_for_good_though_it_cannot_be_allowed_so(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        rule = await settle(ann, session, shell("true"), "deny", "always")
        assert (rule["match"], rule["cwd"]) == ("true", str(home.work))
        assert await becomes(ann, await ann.begin(home.work), shell("true")) == "denied"
        assert await becomes(ann, session, shell("false")) == "asks"


async def test_deny_beats_allow_whichever_came_first(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        one, two = await ann.begin(home.work), await ann.begin(home.work)
        await settle(ann, one, WRITE, "allow", "session")
        await settle(ann, two, WRITE, "deny", "always")
        assert await becomes(ann, one, WRITE) == "denied"
        three = await ann.begin(home.path)
        asked = [await ask(ann, three, WRITE)]
        await ann.answer_request(asked[0], "deny", scope="session")
        await ann.event("run_completed", session=three)
        four = await ann.begin(home.path)
        await settle(ann, four, WRITE, "allow", "always")
        assert await becomes(ann, three, WRITE) == "denied"
        assert await becomes(ann, four, WRITE) == "runs"


async def test_an_answer_once_leaves_nothing_behind(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for outcome in ("allow", "allow_once", "deny"):
            asked = await ask(ann, session, WRITE)
            assert asked["type"] == "request_opened"
            await ann.answer_request(asked, outcome)
            await ann.event("run_completed")
        assert await rule_ids(ann) == []


async def test_an_option_says_the_scope_by_itself(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for option, scope in (
            ("allow_session", "session"),
            ("allow_always", "always"),
            ("allow_once", "once"),
        ):
            asked = await ask(ann, session, WRITE)
            await ann.answer_request(asked, option)
            resolved = await ann.event("request_resolved")
            assert (resolved["outcome"], resolved["scope"]) == ("allow", scope)
            await ann.event("run_completed")
            for rule in await rule_ids(ann):
                assert (await ann.call("rule/remove", ruleId=rule))["removed"]


async def test_rules_are_listed_for_a_session_and_all_of_them_oldest_first(home):
    (home.work / "below").mkdir()
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        one, two = await ann.begin(home.work), await ann.begin(home.work)
        other = await ann.begin(home.work / "below")
        made = [
            (await settle(ann, one, shell("true"), "allow", "session"))["ruleId"],
            (await settle(ann, two, WRITE, "allow", "always"))["ruleId"],
            (await settle(ann, other, WRITE, "deny", "always"))["ruleId"],
            (await settle(ann, two, shell("true"), "deny", "session"))["ruleId"],
        ]
        assert await rule_ids(ann) == made
        assert await rule_ids(ann, sessionId=one) == [made[0], made[1]]
        assert await rule_ids(ann, sessionId=two) == [made[1], made[3]]
        assert await rule_ids(ann, sessionId=other) == [made[2]]
        with pytest.raises(Refused) as refused:
            await rule_ids(ann, sessionId="nobody")
        assert refused.value.error["data"]["kind"] == "not_found"


async def test_a_removed_rule_holds_no_more(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for outcome, then in (("allow", "runs"), ("deny", "denied")):
            rule = await settle(ann, session, WRITE, outcome, "always")
            assert await becomes(ann, session, WRITE) == then
            assert await ann.call("rule/remove", ruleId=rule["ruleId"]) == {"removed": True}
            assert await ann.call("rule/remove", ruleId=rule["ruleId"]) == {"removed": False}
            assert await rule_ids(ann) == []
            assert await becomes(ann, session, WRITE) == "asks"


async def test_rules_survive_a_kill_and_removed_ones_stay_away(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await settle(ann, session, shell("true"), "allow", "session")
        await settle(ann, session, WRITE, "deny", "always")
        gone = await settle(ann, session, shell("false"), "allow", "session")
        await ann.call("rule/remove", ruleId=gone["ruleId"])
        listed = (await ann.call("rule/list"))["rules"]
        await daemon.restart()
        ann = await daemon.person("ann")
        assert (await ann.call("rule/list"))["rules"] == listed
        await ann.follow(session, "head")
        assert await becomes(ann, session, shell("true")) == "runs"
        assert await becomes(ann, session, WRITE) == "denied"
        assert await becomes(ann, session, shell("false")) == "asks"


async def test_a_rule_is_there_the_moment_its_answer_is(home):
    """Calls of one step are asked about together; the rule is for those that come after."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("true"), shell("true")), calling(shell("true")), DONE))
        one, two = [await ann.event("request_opened") for _ in range(2)]
        await ann.answer_request(one, "allow", scope="session")
        assert await ann.open_requests(session) == [two["requestId"]], "what was asked stays asked"
        await ann.answer_request(two, "allow")
        await ann.end()
        assert len(ann.heard("request_opened")) == 2
        assert len(ann.heard("tool_call_started")) == 3


async def test_a_deny_rule_made_meanwhile_stops_a_call_that_still_waits(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        one, two = await ann.begin(home.work), await ann.begin(home.work)
        waiting = await ask(ann, one, WRITE)
        await settle(ann, two, WRITE, "deny", "always")
        await ann.answer_request(waiting, "allow")
        failed = await ann.event("tool_call_failed", session=one)
        assert failed["error"] == {"kind": "denied", "message": "A rule denies write."}
        await ann.event("run_completed", session=one)
        assert not (home.work / "new").exists()


async def test_a_fork_does_not_take_the_rules_of_its_source_along(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await settle(ann, session, shell("true"), "allow", "session")
        fork = (await ann.call("session/fork", sessionId=session))["sessionId"]
        await ann.follow(fork, "head")
        assert await becomes(ann, fork, shell("true")) == "asks"
        assert await rule_ids(ann, sessionId=fork) == []


async def test_a_deleted_sessions_rules_go_with_it_and_the_directorys_stay(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await settle(ann, session, shell("true"), "allow", "session")
        stays = await settle(ann, session, WRITE, "allow", "always")
        await ann.call("session/delete", sessionId=session)
        assert await rule_ids(ann) == [stays["ruleId"]]
        assert await becomes(ann, await ann.begin(home.work), WRITE) == "runs"


async def test_rules_say_who_made_them(home):
    async with resident(home) as daemon:
        ann, bob = await daemon.person("ann"), await daemon.person("bob")
        session = await ann.begin(home.work)
        asked = await ask(ann, session, WRITE)
        await bob.answer_request(asked, "allow", scope="always")
        await ann.event("run_completed")
        assert [rule["by"] for rule in (await ann.call("rule/list"))["rules"]] == ["bob"]


async def test_there_is_a_limit_to_rules_that_says_its_name(home, monkeypatch):
    monkeypatch.setattr(rules_module, "RULES_MAX", 1)
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await settle(ann, session, shell("true"), "allow", "session")
        asked = await ask(ann, session, WRITE)
        with pytest.raises(Refused) as refused:
            await ann.answer_request(asked, "allow", scope="always")
        data = refused.value.error["data"]
        assert (data["kind"], data["limit"], data["limitValue"]) == ("overloaded", "rules_max", 1)
        assert await ann.open_requests(session) == [asked["requestId"]]
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        await ann.event("run_completed")


async def test_an_answer_about_a_clients_shell_does_not_open_ours(home):
    """A host offers a tool by the name of a built-in one, and goes."""
    terminal = {"name": "shell", "description": "A terminal.", "inputSchema": {"type": "object"}}
    async with resident(home) as daemon:
        ann, host = await daemon.person("ann"), await daemon.person("host")
        session = await ann.begin(home.work)
        await host.call("tool/register", sessionId=session, tools=[terminal])
        await ann.prompt(session, script(calling(shell("echo one")), DONE))
        asked = await ann.event("request_opened")
        await ann.answer_request(asked, "allow_always")
        call = await host.notification("tool/call")
        ids = {"sessionId": session, "toolCallId": call["toolCallId"]}
        await host.call("tool/complete", **ids, result=[])
        await ann.end()
        (rule,) = (await ann.call("rule/list"))["rules"]
        assert (rule["tool"], rule["hosted"]) == ("shell", True)
        host.close()
        other = await ann.begin(home.work)
        await ann.prompt(other, "run: touch opened")
        assert (await ann.event("request_opened", session=other))["detail"]["tool"] == "shell"
        await ann.call("session/cancel", sessionId=other)
        await ann.end()
    assert not (home.work / "opened").exists()


async def test_an_answer_about_a_clients_command_covers_its_whole_input(home):
    reboot = {"name": "run_on", "description": "Runs.", "inputSchema": {"type": "object"}, "kind": "execute"}
    async with resident(home) as daemon:
        ann, host = await daemon.person("ann"), await daemon.person("host")
        session = await ann.begin(home.work)
        await host.call("tool/register", sessionId=session, tools=[reboot])
        for place in ("testbox", "production"):
            call = ("run_on", {"command": "reboot", "host": place})
            asked = await ask(ann, session, call)
            assert asked["type"] == "request_opened"
            await ann.answer_request(asked, "allow_session")
            called = await host.notification("tool/call")
            ids = {"sessionId": session, "toolCallId": called["toolCallId"]}
            await host.call("tool/complete", **ids, result=[])
            await ann.end()


async def test_a_command_too_long_to_be_recognised_can_be_allowed_once_only(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        asked = await ask(ann, session, shell("true " + "x" * 5000))
        with pytest.raises(Refused) as refused:
            await ann.answer_request(asked, "allow", scope="session")
        assert refused.value.error["data"]["limit"] == "match_characters_max"
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        assert (await ann.end())["type"] == "run_completed"
