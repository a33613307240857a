"""Plan mode lets nothing through that changes something, and ends in a question (failures.md section 2).

anomalyco/opencode#26514, #9254, #33967: plan mode was bypassed by the shell and by broad allow rules.
"""

import pytest
from interaction_world import resident
from person import calling, script, shell
from recorder import NAME, Recorder

from fakes.raw_client import Refused

DONE = {"text": "done"}

PRESS = {"name": "press", "description": "x", "inputSchema": {"type": "object"}, "kind": "edit"}

CHANGES = {
    "write": ("write", {"path": "new", "content": "x"}),
    "write over": ("write", {"path": "notes", "content": "x"}),
    "edit": ("edit", {"path": "notes", "old": "some", "new": "other"}),
    "shell with a redirect": shell("echo x > new"),
    "shell that only looks": shell("ls"),
    "hosted tool": ("press", {}),
}


@pytest.fixture
def notes(home):
    path = home.work / "notes"
    path.write_text("some notes\n", encoding="utf-8")
    return path


def unchanged(home):
    assert [path.name for path in home.work.iterdir()] == ["notes"]
    assert (home.work / "notes").read_text(encoding="utf-8") == "some notes\n"


async def begin(daemon, home, **settings):
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, **settings)
    await ann.call("tool/register", sessionId=session, tools=[PRESS])
    return ann, session


async def plan(ann, session, text="say I would change the notes"):
    """Have a plan made; give the question about it."""
    await ann.prompt(session, text)
    return await ann.event("request_opened", kind="question")


@pytest.mark.usefixtures("notes")
async def test_nothing_that_changes_something_runs_or_asks(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(
            ann, session, script(calling(("read", {"path": "notes"}), *CHANGES.values()), DONE)
        )
        failed = ann.heard("tool_call_failed")
        assert len(failed) == len(CHANGES)
        assert {event["error"]["kind"] for event in failed} == {"denied"}
        assert len(ann.heard("request_opened")) == 1
        assert [event["tool"] for event in ann.heard("tool_call_started")] == ["read"]
        assert ann.notifications("tool/call") == []
        await ann.answer_request(asked, "stop")
        await ann.end()
    unchanged(home)


@pytest.mark.usefixtures("notes")
async def test_no_rule_opens_it(home):
    """The rules are made where they may be, in a run that is not planning."""
    calls = (CHANGES["write"], CHANGES["hosted tool"])
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="ask")
        await ann.prompt(session, script(calling(*calls, shell("echo x > new")), DONE))
        for scope in ("always", "always", "session"):
            asked = await ann.event("request_opened")
            await ann.answer_request(asked, "allow", scope=scope)
        call = await ann.notification("tool/call")
        await ann.call("tool/complete", sessionId=session, toolCallId=call["toolCallId"], result=[])
        await ann.end()
        assert len((await ann.call("rule/list", sessionId=session))["rules"]) == 3
        (home.work / "new").unlink()

        await ann.call("session/update", sessionId=session, mode="plan")
        asked = await plan(ann, session, script(calling(*calls, shell("echo x > new")), DONE))
        assert len(ann.heard("tool_call_failed")) == 3
        assert len(ann.notifications("tool/call")) == 1
        await ann.answer_request(asked, "stop")
        await ann.end()
    unchanged(home)


@pytest.mark.usefixtures("notes")
async def test_a_switch_in_mid_run_refuses_what_comes_after_it(home):
    write = calling(CHANGES["write"])
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="auto")
        await ann.prompt(session, script(calling(shell("true")), write, DONE))
        asked = await ann.event("request_opened")
        await ann.call("session/update", sessionId=session, mode="plan")
        await ann.answer_request(asked, "deny")
        await ann.event("tool_call_failed")
        assert "Plan mode" in (await ann.event("tool_call_failed"))["error"]["message"]
        await ann.answer_request(await ann.event("request_opened", kind="question"), "stop")
        await ann.end()
    unchanged(home)


@pytest.mark.usefixtures("notes")
async def test_an_answer_that_comes_after_the_switch_opens_nothing(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="ask")
        await ann.prompt(session, script(calling(*CHANGES.values()), DONE))
        asked = [await ann.event("request_opened") for _ in CHANGES]
        await ann.call("session/update", sessionId=session, mode="plan")
        for request in asked:
            assert (await ann.answer_request(request, "allow", scope="session"))["accepted"]
        question = await ann.event("request_opened", kind="question")
        assert len(ann.heard("tool_call_failed")) == len(CHANGES)
        assert ann.heard("tool_call_started") == []
        await ann.answer_request(question, "stop")
        await ann.end()
    unchanged(home)


async def test_a_plan_ends_in_a_question_with_four_answers(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(ann, session, "say First this. Then that.")
        generated = ann.heard("plan_generated")
        assert len(generated) == 1
        assert generated[0]["plan"].endswith("First this. Then that.")
        assert generated[0]["seq"] < asked["seq"]
        assert asked["detail"]["plan"] == generated[0]["plan"]
        assert [(option["id"], option["kind"]) for option in asked["options"]] == [
            ("accept_edits", "choice"),
            ("ask", "choice"),
            ("keep_planning", "choice"),
            ("stop", "choice"),
        ]
        assert "toolCallId" not in asked
        await ann.event("run_paused", reason="plan")
        await ann.answer_request(asked, "stop")
        ended = await ann.end()
        assert (ended["type"], ended["stopReason"]) == ("run_completed", "end_turn")
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings["mode"] == "plan", "stopping leaves the mode as it is"


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("mode", ["accept_edits", "ask"])
async def test_an_approved_plan_goes_on_in_the_mode_that_was_chosen(home, mode):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(ann, session)
        carried_out = script(calling(CHANGES["write"]), DONE)
        await ann.prompt(session, carried_out, delivery="steer")
        await ann.answer_request(asked, mode, message="and quickly")
        updated = await ann.event("session_updated")
        assert (updated["mode"], updated["by"]) == (mode, "ann")
        told = await ann.event("prompt_received", runId="r1")
        assert told["content"][0]["text"] == "The plan is approved. Carry it out. and quickly"
        if mode == "ask":
            permission = await ann.event("request_opened", kind="permission")
            await ann.answer_request(permission, "allow")
        ended = await ann.end()
        assert (ended["type"], ended["runId"]) == ("run_completed", "r1")
        assert len(ann.heard("plan_generated")) == 1, "the run is not planning any more"
        assert (home.work / "new").exists()
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings.get("mode", "ask") == mode


@pytest.mark.parametrize("mode", ["accept_edits", "ask"])
async def test_an_approved_plan_of_a_prompts_own_mode_ends_that_mode_and_leaves_the_sessions(home, mode):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="ask")
        await ann.prompt(session, "say a plan", mode="plan")
        asked = await ann.event("request_opened", kind="question")
        await ann.prompt(session, script(calling(CHANGES["write"]), DONE), delivery="steer")
        await ann.answer_request(asked, mode)
        if mode == "ask":
            await ann.answer_request(await ann.event("request_opened", kind="permission"), "allow")
        assert (await ann.end())["type"] == "run_completed"
        assert len(ann.heard("plan_generated")) == 1
        assert (home.work / "new").exists()
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings.get("mode", "ask") == "ask"


async def test_planning_goes_on_with_what_was_said(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan", model=NAME)
        asked = await plan(ann, session)
        await ann.answer_request(asked, "keep_planning", message="say it better")
        again = await ann.event("request_opened", kind="question")
        assert again["requestId"] != asked["requestId"]
        assert [event["plan"] for event in ann.heard("plan_generated")][1] == "it better"
        assert recorder.asked[1][-1] == ("user", "say it better")
        assert ann.heard("session_updated") == []
        await ann.answer_request(again, "keep_planning")
        third = await ann.event("request_opened", kind="question")
        assert recorder.asked[2][-1] == ("user", "Go on planning.")
        await ann.answer_request(third, "stop")
        assert (await ann.end())["steps"] == 3


async def test_an_answer_there_is_none_of_is_refused_and_the_question_stays_open(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(ann, session)
        for outcome in ("allow", "deny", "yes", "auto", "ACCEPT_EDITS", "accept_edits ", "cancelled"):
            with pytest.raises(Refused) as refused:
                await ann.answer_request(asked, outcome)
            data = refused.value.error["data"]
            assert (data["kind"], data["path"]) == ("invalid_params", "$.outcome")
            assert data["supported"] == ["accept_edits", "ask", "keep_planning", "stop"]
        assert await ann.open_requests(session) == [asked["requestId"]]
        assert ann.heard("request_resolved") == []
        assert (await ann.answer_request(asked, "stop"))["accepted"]
        await ann.end()


async def test_a_run_that_waits_for_the_answer_to_its_plan_can_be_cancelled(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(ann, session)
        assert (await ann.call("session/cancel", sessionId=session))["cancelled"]
        assert (await ann.end())["type"] == "run_cancelled"
        late = await ann.answer_request(asked, "accept_edits")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, "cancelled", "ann")
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings["mode"] == "plan"


async def test_a_mode_that_changes_while_the_plan_waits_does_not_answer_it(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        asked = await plan(ann, session)
        await ann.call("session/update", sessionId=session, mode="auto")
        assert await ann.open_requests(session) == [asked["requestId"]]
        await ann.answer_request(asked, "ask")
        await ann.end()
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings.get("mode", "ask") == "ask", "the later word counts"


async def test_a_plan_that_was_cut_short_is_no_plan(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan")
        await ann.prompt(session, script({"text": "I would", "stop": "max_tokens"}))
        assert (await ann.end())["stopReason"] == "max_tokens"
        assert ann.heard("plan_generated", "request_opened") == []


async def test_what_steers_while_the_plan_waits_is_shown_to_the_model_with_the_answer(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="plan", model=NAME)
        asked = await plan(ann, session)
        await ann.prompt(session, "say and also this", promptId="steered", delivery="steer")
        await ann.answer_request(asked, "keep_planning", message="say it better")
        delivered = await ann.event("prompt_updated", promptId="steered")
        assert (delivered["status"], delivered["step"]) == ("delivered", 2)
        again = await ann.event("request_opened", kind="question")
        users = [text for who, text in recorder.asked[1] if who == "user"][1:]
        assert sorted(users) == ["say and also this", "say it better"]
        await ann.answer_request(again, "stop")
        await ann.end()
