"""Open questions while other things happen to their session or their daemon (failures.md section 3)."""

import random
import resource

import anyio
import pytest
from interaction_world import Killable, crash, resident, within
from person import calling, script, shell

from fakes.raw_client import Refused

DONE = {"text": "done"}

ASKING = script(calling(shell("echo x >> ran")), DONE)


async def ask(ann, session, *calls):
    await ann.prompt(session, script(calling(*(calls or (shell("echo x >> ran"),))), DONE))
    return [await ann.event("request_opened", session=session) for _ in calls or (1,)]


async def test_as_many_questions_as_a_step_may_have_are_open_at_once_and_answered_in_any_order(home):
    async with resident(home) as daemon:
        ann, bob = await daemon.person("ann"), await daemon.person("bob")
        session = await ann.begin(home.work)
        asked = await ask(ann, session, *(shell(f"echo {n} >> ran") for n in range(64)))
        snapshot = (await bob.follow(session, "head"))["snapshot"]
        assert [item["requestId"] for item in snapshot["requests"]] == [item["requestId"] for item in asked]
        chance = random.Random(1)
        allowed = set(chance.sample(range(64), 20))
        for number in chance.sample(range(64), 64):
            person = chance.choice([ann, bob])
            outcome = "allow" if number in allowed else "deny"
            assert (await person.answer_request(asked[number], outcome))["accepted"]
        assert (await ann.end())["type"] == "run_completed"
    ran = (home.work / "ran").read_text(encoding="utf-8").split()
    assert sorted(map(int, ran)) == sorted(allowed)


async def test_a_question_about_much_is_whole_for_everybody_and_after_a_crash(home):
    """Its event is too large for a row of the log: the text lies in a file of its own."""
    content = "\U0001f642" * 90_000
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, f"write large: {content}")
        asked = await ann.event("request_opened")
        content = asked["detail"]["input"]["content"]
        assert len(content.encode()) > 256 * 1024
        snapshot = (await ann.call("session/get", sessionId=session))["snapshot"]
        assert snapshot["requests"][0]["truncated"], "a snapshot is kept small, and says so"
        left = crash(home, home.path / "left")
    async with resident(left) as daemon:
        bob = await daemon.person("bob")
        await bob.follow(session, asked["seq"] - 1)
        again = await bob.event("request_opened")
        assert again == asked
        assert (await bob.answer_request(again, "allow"))["accepted"]
        assert (await bob.end())["type"] == "run_completed"
    assert (home.work / "large").read_text(encoding="utf-8") == content


async def test_closing_a_session_takes_its_questions_back_and_using_it_again_brings_none_of_them(home):
    async with resident(home) as daemon:
        ann, bob = await daemon.person("ann"), await daemon.person("bob")
        session = await ann.begin(home.work)
        (asked,) = await ask(ann, session)
        with pytest.raises(Refused) as refused:
            await bob.call("session/close", sessionId=session, ifIdle=True)
        assert refused.value.error["data"]["kind"] == "busy"
        await bob.call("session/close", sessionId=session)
        resolved = await ann.event("request_resolved")
        assert (resolved["outcome"], resolved["by"]) == ("cancelled", "bob")
        assert (await ann.end())["type"] == "run_cancelled"
        assert await bob.open_requests(session) == []
        late = await bob.answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"]) == (False, "cancelled")
    assert not (home.work / "ran").exists()


async def test_a_fork_closes_the_question_for_itself_and_leaves_it_open_at_its_source(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        (asked,) = await ask(ann, session)
        fork = (await ann.call("session/fork", sessionId=session))["sessionId"]
        await ann.follow(fork)
        resolved = await ann.event("request_resolved", session=fork)
        assert resolved["outcome"] == "cancelled"
        assert (await ann.event("run_interrupted", session=fork))["cause"] == "forked"
        assert await ann.open_requests(fork) == []
        late = await ann.answer_request(asked | {"session": fork}, "allow")
        assert (late["accepted"], late["outcome"]) == (False, "cancelled")
        assert await ann.open_requests(session) == [asked["requestId"]]
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        await ann.event("run_completed", session=session)
    assert (home.work / "ran").read_text(encoding="utf-8") == "x\n"


async def test_an_orderly_stop_interrupts_a_run_that_waits_and_it_can_be_continued(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        (asked,) = await ask(ann, session)
        await ann.call("daemon/shutdown")
        resolved = await ann.event("request_resolved")
        assert (resolved["requestId"], resolved["outcome"]) == (asked["requestId"], "cancelled")
        assert (await ann.end())["type"] == "run_interrupted"
        daemon.audited = False  # It has stopped.
    async with resident(home) as daemon:
        bob = await daemon.person("bob")
        await bob.follow(session, "head")
        await bob.call("session/continue", sessionId=session)
        assert (await bob.event("run_started"))["continues"] == "r1"
        await bob.end()
        assert bob.heard("tool_call_started") == []


async def test_a_draining_daemon_waits_for_the_answer(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        (asked,) = await ask(ann, session)
        await ann.call("daemon/drain")
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        assert (await ann.end())["type"] == "run_completed"
        daemon.audited = False  # It has stopped with its last run.
    assert (home.work / "ran").exists()


async def test_a_client_that_vanishes_while_it_answers_has_answered_or_not_but_nothing_between(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for turns in range(20):
            (asked,) = await ask(ann, session, shell("true"))
            bob = await daemon.person("bob")
            await bob.send(bob.request("request/respond", bob.answering(asked, "allow")))
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            bob.close()
            if asked["requestId"] in await ann.open_requests(session):
                await ann.answer_request(asked, "deny")
            resolved = await ann.event("request_resolved", runId=asked["runId"])
            outcome = await ann.event("tool_call_completed", "tool_call_failed", runId=asked["runId"])
            assert (resolved["by"], outcome["type"]) in {
                ("bob", "tool_call_completed"),
                ("ann", "tool_call_failed"),
            }
            await ann.end()


async def test_an_answer_that_cannot_be_stored_is_none(home):
    """A full disk while people are asked (T17): nothing runs; once writing works, the question has ended."""
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        (asked,) = await ask(ann, session)
        await ann.event("run_paused")
        limits = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        with pytest.raises(Refused) as refused:
            await ann.answer_request(asked, "allow")
        assert refused.value.error["data"]["kind"] == "storage_unavailable"
        assert (await ann.notification("session/halted"))["sessionId"] == session
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, limits)
        assert (await ann.end())["type"] == "run_interrupted"
        assert ann.heard("request_resolved")[0]["outcome"] == "cancelled"
        late = await ann.answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"]) == (False, "cancelled")
        daemon.faults_expected = True
    assert not (home.work / "ran").exists()
