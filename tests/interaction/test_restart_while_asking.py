"""An approval is asked for, the daemon dies, another one asks on (design.md section 7; P5, P10, D14, D15).

`Killable` is a process that gets a SIGKILL. Where the instant of the crash matters, a daemon in the test's
loop is stopped in its tracks and its files are copied as they are (`crash`).
"""

import time

import anyio
import apsw
import pytest
from interaction_world import Killable, crash, resident, within
from person import calling, script, shell

from fakes.raw_client import Refused
from holdfast_daemon.config import HookSpec, SessionLimits
from holdfast_daemon.sessions import request_mutations
from holdfast_daemon.sessions.session import Session
from holdfast_daemon.sessions.tool_calls import ToolCalls

COMMAND = "echo x >> ran"

DONE = {"text": "done"}

DEPLOY = {"name": "deploy", "description": "Deploys.", "inputSchema": {"type": "object"}}


def lines(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


async def back(daemon, name, session):
    """Come back after a restart; give somebody who has heard the whole log so far."""
    person = await daemon.person(name)
    head = (await person.follow(session))["head"]
    await person.hear(lambda: bool(person.events) and person.events[-1]["seq"] >= head)
    return person


async def test_another_client_answers_after_a_kill_and_the_tool_runs_once(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell(COMMAND)), DONE), promptId="p")
        before = await ann.event("request_opened")
        await ann.event("run_paused")
        await daemon.restart()

        bob = await back(daemon, "bob", session)
        listed = (await bob.call("session/get", sessionId=session))["session"]
        assert (listed["status"], listed["runId"]) == ("paused", "r1")
        assert await bob.open_requests(session) == [before["requestId"]]
        asked = await bob.event("request_opened")
        assert asked == before, "the very same request"
        result = await bob.answer_request(asked, "allow")
        assert (result["accepted"], result["by"]) == (True, "bob")
        assert (await bob.end())["type"] == "run_completed"
        assert lines(home.work / "ran") == ["x"]

        waited = await bob.call("session/wait", sessionId=session, promptId="p")
        assert (waited["status"], waited["runId"]) == ("completed", "r1")
        log = await bob.log(session)
        assert [event["type"] for event in log].count("run_started") == 1
        assert [event["type"] for event in log].count("tool_call_started") == 1
        await daemon.restart()
        cat = await back(daemon, "cat", session)
        assert await cat.log(session) == log, "nothing runs again by itself"
        assert lines(home.work / "ran") == ["x"]


async def test_a_denial_after_a_kill_is_told_to_the_model_and_the_run_goes_on(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, f"run: {COMMAND}")
        await ann.event("run_paused")
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        asked = await bob.event("request_opened")
        await bob.answer_request(asked, "deny", message="not today")
        failed = await bob.event("tool_call_failed")
        assert failed["error"]["kind"] == "denied"
        assert "bob says: not today" in failed["error"]["message"]
        told = await bob.event("content_block_end", kind="text")
        assert "not today" in told["text"], "the model has seen why"
        assert (await bob.end())["type"] == "run_completed"
        assert not (home.work / "ran").exists()


async def test_a_run_waits_on_through_any_number_of_kills(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell(COMMAND)), DONE))
        await ann.event("run_paused")
        log = await ann.log(session)
        for _ in range(3):
            await daemon.restart()
            ann = await back(daemon, "ann", session)
            assert await ann.log(session) == log, "a start appends nothing"
        await ann.answer_request(await ann.event("request_opened"), "allow")
        assert (await ann.end())["type"] == "run_completed"
        assert lines(home.work / "ran") == ["x"]


async def test_of_parallel_calls_only_the_one_that_asks_is_taken_up(home):
    """One is done, one was denied, one asks, and they are told to the model in its order."""
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        calls = calling(
            ("read", {"path": "notes"}),
            shell("echo one >> ran"),
            shell("echo two >> ran"),
            shell("echo three >> ran"),
        )
        await ann.prompt(session, script(calls, DONE))
        one, two, three = [await ann.event("request_opened") for _ in range(3)]
        await ann.answer_request(one, "allow")
        await ann.event("tool_call_completed", toolCallId=one["toolCallId"])
        await ann.answer_request(two, "deny")
        await ann.event("tool_call_failed", toolCallId=two["toolCallId"])
        await daemon.restart()

        bob = await back(daemon, "bob", session)
        assert await bob.open_requests(session) == [three["requestId"]]
        late = await bob.answer_request(two, "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, "deny", "ann")
        assert (await bob.answer_request(three, "allow"))["accepted"]
        assert (await bob.end())["type"] == "run_completed"
        assert lines(home.work / "ran") == ["one", "three"]
        log = await bob.log(session)
        started = [event["toolCallId"] for event in log if event["type"] == "tool_call_started"]
        assert len(started) == len(set(started)) == 3


async def test_the_same_request_is_open_for_a_client_that_joins_by_its_snapshot(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell(COMMAND)), DONE))
        await ann.event("run_paused")
        asked = ann.heard("request_opened")[0]
        await daemon.restart()
        bob = await daemon.person("bob")
        snapshot = (await bob.follow(session, "head"))["snapshot"]
        assert snapshot["run"]["status"] == "paused"
        assert [request["requestId"] for request in snapshot["requests"]] == [asked["requestId"]]
        assert snapshot["requests"][0]["detail"] == asked["detail"]


def overwrite_inputs(home, old, new):
    """Change what the model had written, on disk, behind the daemon's back."""
    store = apsw.Connection(str(home.state / "journal.db"))
    rows = list(store.execute("SELECT session, seq, body FROM events WHERE type = 'content_block_end'"))
    changed = 0
    for session, seq, body in rows:
        if old.encode() in body:
            store.execute(
                "UPDATE events SET body = ? WHERE session = ? AND seq = ?",
                (body.replace(old.encode(), new.encode()), session, seq),
            )
            changed += 1
    store.close()
    return changed


async def test_what_was_asked_about_is_what_runs_though_the_models_words_were_changed_on_disk(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "run: echo harmless >> ran")
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        await daemon.kill()
        assert overwrite_inputs(home, "echo harmless", "echo tampered") == 1
        await daemon.start()
        bob = await back(daemon, "bob", session)
        await bob.answer_request(asked, "allow")
        started = await bob.event("tool_call_started")
        assert started["input"] == asked["detail"]["input"] == {"command": "echo harmless >> ran"}
        await bob.end()
        assert lines(home.work / "ran") == ["harmless"]


def change_request(home, old, new):
    """Change an open request on disk, as the log has it and as it is looked up."""
    store = apsw.Connection(str(home.state / "journal.db"))
    changes = (old.encode(), new.encode())
    for table, key, where in (("events", "seq", "type = 'request_opened'"), ("requests", "id", "true")):
        for name, body in list(store.execute(f"SELECT {key}, body FROM {table} WHERE {where}")):
            store.execute(f"UPDATE {table} SET body = ? WHERE {key} = ?", (body.replace(*changes), name))
    store.close()


async def test_an_approval_does_not_fit_a_request_whose_input_was_changed_on_disk(home):
    """The binding is a hash of the input that was asked about: another input is another question."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "run: echo harmless >> ran")
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        left = crash(home, home.path / "left")
    change_request(left, '"input":{"command":"echo harmless', '"input":{"command":"echo tampered')
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        shown = bob.heard("request_opened")[0]
        assert "tampered" in shown["detail"]["input"]["command"], "the test changed what it meant to"
        assert shown["detail"]["binding"] == asked["detail"]["binding"]
        await bob.answer_request(asked, "allow")
        assert (await bob.event("tool_call_failed"))["error"]["kind"] == "denied"
        await bob.end()
    assert not (home.work / "ran").exists()


async def test_hooks_do_not_see_a_call_again_that_was_asked_about_before_the_restart(home):
    hook = HookSpec(event="pre_tool_use", target="interaction_hooks:renames")
    with Killable(home, (hook,)) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "run: echo >> ran")
        asked = await ann.event("request_opened")
        assert asked["detail"]["input"] == {"command": "echo >> ran from-hook"}
        await ann.event("run_paused")
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        await bob.answer_request(asked, "allow")
        assert (await bob.event("tool_call_started"))["input"] == {"command": "echo >> ran from-hook"}
        await bob.end()
        assert lines(home.work / "ran") == ["from-hook"]
        assert len(bob.heard("hook_executed")) == 1


@pytest.mark.parametrize(
    ("prompt", "mode", "answer"), [("say a plan", "plan", "ask"), ("run: true", "ask", "allow")]
)
async def test_an_answer_counts_that_comes_before_the_run_has_its_history_again(
    home, monkeypatch, prompt, mode, answer
):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode=mode)
        await ann.prompt(session, prompt)
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        left = crash(home, home.path / "left")
    resolved = anyio.Event()
    load = Session._load_history

    async def late(session):
        await resolved.wait()
        return await load(session)

    monkeypatch.setattr(Session, "_load_history", late)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        assert (await bob.answer_request(asked, answer))["accepted"]
        await bob.event("request_resolved")
        resolved.set()
        assert (await bob.end())["type"] == "run_completed"
        assert len(bob.heard("request_opened")) == len(bob.heard("request_resolved")) == 1


async def test_a_plan_that_waits_for_people_survives_a_kill(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="plan")
        await ann.prompt(session, "say I would write it down")
        before = await ann.event("request_opened")
        await ann.event("run_paused")
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        assert await bob.event("request_opened") == before
        result = await bob.answer_request(before, "accept_edits", message="write plan.txt: as planned")
        assert result["accepted"]
        assert (await bob.event("session_updated"))["mode"] == "accept_edits"
        assert (await bob.end())["type"] == "run_completed"
        log = await bob.log(session)
        assert [event["type"] for event in log].count("plan_generated") == 1
        told = [event for event in log if event["type"] == "prompt_received" and "runId" in event]
        assert told[0]["content"][0]["text"].startswith("The plan is approved.")


async def test_a_run_with_a_running_tool_and_an_open_request_is_interrupted(home):
    """The tool may have taken effect: it is never run again, and its neighbour's question is taken back."""
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        calls = calling(shell("echo x >> ran; sleep 1000"), shell("echo y >> ran"))
        await ann.prompt(session, script(calls, DONE))
        one, two = [await ann.event("request_opened") for _ in range(2)]
        await ann.prompt(session, "say later", promptId="later")
        await ann.answer_request(one, "allow")
        await ann.event("tool_call_started")
        with within():
            while not lines(home.work / "ran"):
                await ann.call("ping")
        await daemon.restart()

        bob = await back(daemon, "bob", session)
        resolved = bob.heard("request_resolved", requestId=two["requestId"])
        assert [(event["outcome"], event["by"]) for event in resolved] == [("cancelled", "daemon")]
        failed = bob.heard("tool_call_failed", toolCallId=one["toolCallId"])
        assert [event["error"]["kind"] for event in failed] == ["unknown"]
        assert bob.events[-1]["type"] == "run_interrupted"
        assert await bob.open_requests(session) == []
        late = await bob.answer_request(two, "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, "cancelled", "daemon")
        queue = await bob.call("queue/list", sessionId=session)
        assert queue["held"]
        assert [prompt["promptId"] for prompt in queue["prompts"]] == ["later"]
        assert lines(home.work / "ran") == ["x"]

        continued = await bob.call("session/continue", sessionId=session)
        assert (await bob.event("run_started", continues="r1"))["runId"] == continued["runId"]
        assert (await bob.end())["type"] == "run_completed"
        await bob.event("prompt_updated", promptId="later")
        assert (await bob.end())["type"] == "run_completed"
        assert lines(home.work / "ran") == ["x"], "an unknown call is never re-run by itself"


async def test_a_cancelled_run_stays_cancelled(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell(COMMAND)), DONE))
        asked = await ann.event("request_opened")
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled")
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        late = await bob.answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, "cancelled", "ann")
        assert (await bob.call("session/get", sessionId=session))["session"]["status"] == "idle"
        assert not (home.work / "ran").exists()


async def test_a_run_that_waited_through_a_restart_can_be_cancelled(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell(COMMAND), shell(COMMAND)), DONE))
        one, two = [await ann.event("request_opened") for _ in range(2)]
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        cancelled = await bob.call("session/cancel", sessionId=session, toolCallId=one["toolCallId"])
        assert cancelled["cancelled"]
        assert (await bob.event("request_resolved"))["outcome"] == "cancelled"
        assert await bob.open_requests(session) == [two["requestId"]]
        assert (await bob.call("session/cancel", sessionId=session))["cancelled"]
        assert (await bob.end())["type"] == "run_cancelled"
        assert bob.heard("request_resolved")[-1]["by"] == "bob"
        assert not (home.work / "ran").exists()


async def test_what_waits_behind_the_question_waits_on_and_is_steered_in_after_it(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "run: true")
        await ann.event("run_paused")
        await ann.prompt(session, "say queued", promptId="queued")
        await ann.prompt(session, "say steered", promptId="steered", delivery="steer")
        await daemon.restart()
        bob = await back(daemon, "bob", session)
        queue = await bob.call("queue/list", sessionId=session)
        assert [prompt["promptId"] for prompt in queue["prompts"]] == ["steered", "queued"]
        await bob.answer_request(bob.heard("request_opened")[0], "allow")
        delivered = await bob.event("prompt_updated", promptId="steered")
        assert (delivered["status"], delivered["step"], delivered["runId"]) == ("delivered", 2, "r1")
        assert (await bob.event("content_block_end"))["text"].endswith("steered")
        assert (await bob.end())["runId"] == "r1"
        assert (await bob.event("run_started"))["promptId"] == "queued"
        assert (await bob.end())["type"] == "run_completed"


# The clock --------------------------------------------------------------------------------------------------


async def ask_with_expiry(home, expiry_s):
    """Ask where somebody is here, and crash; give the session and the request."""
    async with resident(home, sessions=SessionLimits(request_expiry_s=expiry_s)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, unattended="deny")
        await ann.prompt(session, "run: echo x >> ran")
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        return session, asked, crash(home, home.path / "left")


async def test_a_request_that_expires_is_armed_again(home):
    session, asked, left = await ask_with_expiry(home, 1)
    assert 0 < asked["expiresAt"] - asked["at"] <= 1000
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        resolved = await bob.event("request_resolved")
        assert (resolved["outcome"], resolved["by"]) == ("deny", "expired")
        assert resolved["at"] >= asked["expiresAt"]
        assert (await bob.end())["type"] == "run_completed"
    assert not (home.work / "ran").exists()


async def test_a_request_whose_time_ran_out_while_nobody_ran_the_daemon_is_denied_at_once(home, monkeypatch):
    async with resident(home, sessions=SessionLimits(request_expiry_s=0)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, unattended="deny")
        monkeypatch.setattr(request_mutations.RequestMutations, "watch", lambda *_: None)
        await ann.prompt(session, "run: echo x >> ran")
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        left = crash(home, home.path / "left")
    monkeypatch.undo()
    assert asked["expiresAt"] <= time.time() * 1000
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        assert (await bob.event("request_resolved"))["by"] == "expired"
        assert (await bob.end())["type"] == "run_completed"
    assert not (home.work / "ran").exists()


async def test_an_answer_comes_before_the_expiry_that_was_armed_again(home):
    session, asked, left = await ask_with_expiry(home, 600)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        assert (await bob.answer_request(asked, "allow"))["accepted"]
        assert (await bob.end())["type"] == "run_completed"
    assert lines(home.work / "ran") == ["x"]


# Between the answer and what follows from it ----------------------------------------------------------------


async def crash_after_the_answer(home, monkeypatch, outcome, calls):
    """Answer the first of the calls, and crash before anything follows from that."""

    async def never(*_args):
        await anyio.sleep_forever()

    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calls, DONE))
        asked = [await ann.event("request_opened") for _ in calls["call"]]
        with monkeypatch.context() as patch:
            patch.setattr(ToolCalls, "_start", never)
            patch.setattr(ToolCalls, "_end", never)
            assert (await ann.answer_request(asked[0], outcome))["accepted"]
            await ann.event("request_resolved")
            left = crash(home, home.path / "left")
            await ann.call("session/cancel", sessionId=session)
            await ann.end()
        return session, asked, left


@pytest.mark.parametrize(("outcome", "ran"), [("allow", ["one", "two"]), ("deny", ["two"])])
async def test_an_answer_that_was_not_acted_on_still_counts_after_the_restart(
    home, monkeypatch, outcome, ran
):
    calls = calling(shell("echo one >> ran"), shell("echo two >> ran"))
    session, asked, left = await crash_after_the_answer(home, monkeypatch, outcome, calls)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        late = await bob.answer_request(asked[0], "deny" if outcome == "allow" else "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, outcome, "ann")
        if outcome == "allow":
            await bob.event("tool_call_completed", toolCallId=asked[0]["toolCallId"])
        assert (await bob.answer_request(asked[1], "allow"))["accepted"]
        assert (await bob.end())["type"] == "run_completed"
    assert sorted(lines(home.work / "ran")) == ran


async def test_an_answer_to_the_only_question_that_was_not_acted_on_interrupts_the_run(home, monkeypatch):
    """Nothing waits for people any more, so nothing goes on by itself."""
    session, asked, left = await crash_after_the_answer(
        home, monkeypatch, "allow", calling(shell("echo one >> ran"))
    )
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        assert bob.events[-1]["type"] == "run_interrupted"
        late = await bob.answer_request(asked[0], "deny")
        assert (late["accepted"], late["outcome"]) == (False, "allow")
    assert not (home.work / "ran").exists()


# Tools that a client runs -----------------------------------------------------------------------------------


async def ask_for_a_hosted_tool(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.call("tool/register", sessionId=session, tools=[DEPLOY])
        await ann.prompt(session, script(calling(("deploy", {"to": "moon"})), DONE))
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        return session, asked, crash(home, home.path / "left")


async def test_a_hosted_tool_that_was_asked_about_runs_at_the_client_that_registered_it_again(home):
    session, asked, left = await ask_for_a_hosted_tool(home)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        assert await bob.open_requests(session) == [asked["requestId"]]
        await bob.call("tool/register", sessionId=session, tools=[DEPLOY])
        await bob.answer_request(asked, "allow")
        call = await bob.notification("tool/call")
        assert (call["tool"], call["input"]) == ("deploy", {"to": "moon"})
        done = {"sessionId": session, "toolCallId": call["toolCallId"], "result": []}
        assert (await bob.call("tool/complete", **done))["accepted"]
        assert (await bob.end())["type"] == "run_completed"


async def test_a_hosted_tool_nobody_registered_again_fails_once_it_is_allowed(home):
    session, asked, left = await ask_for_a_hosted_tool(home)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        await bob.answer_request(asked, "allow")
        assert (await bob.event("tool_call_failed"))["error"]["kind"] == "unknown_tool"
        assert (await bob.end())["type"] == "run_completed"


async def test_a_request_that_was_never_made_is_not_found_after_a_restart_either(home):
    session, asked, left = await ask_for_a_hosted_tool(home)
    async with resident(left) as daemon:
        bob = await back(daemon, "bob", session)
        with pytest.raises(Refused) as refused:
            await bob.answer_request(asked | {"requestId": "r1-m1-t9-q"}, "allow")
        assert refused.value.error["data"]["kind"] == "not_found"
        assert await bob.open_requests(session) == [asked["requestId"]]
