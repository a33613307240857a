"""A cancelled call leaves no process, and a cancelled question lets the run go on (P4).

HOLDFAST_CANCEL_ROUNDS says how many rounds of fifty descendants.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import anyio.lowlevel
import pytest
from interaction_world import resident, within
from person import calling, script, shell, text_content

from holdfast_daemon.config import ExecutionLimits

ROUNDS = int(os.environ.get("HOLDFAST_CANCEL_ROUNDS", "10"))

DONE = {"text": "done"}

DESCENDANTS = 50

FAMILY = """
mark={mark}
for n in $(seq 10); do sh -c "echo up; exec sleep $mark" & done
for n in $(seq 10); do setsid sh -c "echo up; exec sleep $mark" & done
for n in $(seq 10); do ( setsid sh -c "( echo up; exec sleep $mark ) &" & ) ; done
for n in $(seq 10); do sh -c "trap '' TERM; echo up; exec sleep $mark" & done
for n in $(seq 10); do ( setsid sh -c "trap '' TERM; ( echo up; exec sleep $mark ) &" & ) ; done
wait
sleep $mark
"""
"""Fifty: children, sessions of their own, double-forked ones, and two kinds that ignore TERM."""


def new_mark():
    """Give hours of sleep that no other process sleeps."""
    return f"99999.{secrets.randbelow(10**12):012d}"


def living_with(mark):
    """Give the pids of the living processes on whose command line the mark is."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                if mark.encode() in (path / "cmdline").read_bytes() and int(path.name) != os.getpid():
                    found.append(int(path.name))
    return found


async def family_in_a_run(daemon, home, session=None):
    """Start fifty descendants; give somebody who heard from each, the session, the call and the mark."""
    ann = await daemon.person("ann")
    session = session or await ann.begin(home.work)
    mark = new_mark()
    await ann.prompt(session, script(calling(shell(FAMILY.format(mark=mark))), DONE))
    asked = await ann.event("request_opened")
    await ann.answer_request(asked, "allow")

    def up():
        return sum(e["text"].count("up\n") for e in ann.heard("tool_output", toolCallId=asked["toolCallId"]))

    await ann.hear(lambda: up() == DESCENDANTS)
    assert len(living_with(mark)) >= DESCENDANTS
    return ann, session, asked["toolCallId"], mark


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_cancelled_command_has_no_survivors_when_its_end_is_told(home, number):
    """The call alone in odd rounds, the whole run in even ones; both end within the grace and a second."""
    async with resident(home, execution=ExecutionLimits(grace_s=0.1)) as daemon:
        ann, session, call, mark = await family_in_a_run(daemon, home)
        alone = {"toolCallId": call} if number % 2 else {}
        assert (await ann.call("session/cancel", sessionId=session, **alone))["cancelled"]
        failed = await ann.event("tool_call_failed")
        assert living_with(mark) == []
        assert failed["error"]["kind"] == "cancelled"
        assert (await ann.end())["type"] == ("run_completed" if alone else "run_cancelled")


async def test_a_deleted_sessions_command_has_no_survivors(home):
    async with resident(home, execution=ExecutionLimits(grace_s=0.1)) as daemon:
        ann, session, _, mark = await family_in_a_run(daemon, home)
        await ann.call("session/delete", sessionId=session)
        assert living_with(mark) == []


async def test_a_daemon_that_stops_takes_the_families_of_its_commands_along(home):
    async with resident(home, execution=ExecutionLimits(grace_s=0.1)) as daemon:
        *_, mark = await family_in_a_run(daemon, home)
    assert living_with(mark) == []


async def test_cancelling_one_command_leaves_its_neighbours_alone(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        sessions = [await ann.begin(home.work) for _ in range(2)]
        marks = [new_mark(), new_mark(), new_mark()]
        for session, commands in ((sessions[0], marks[:2]), (sessions[1], marks[2:])):
            calls = [shell(f"setsid sleep {mark} & echo up; wait") for mark in commands]
            await ann.prompt(session, script(calling(*calls), DONE))
            for asked in [await ann.event("request_opened", session=session) for _ in commands]:
                await ann.answer_request(asked, "allow")
                await ann.event("tool_output", toolCallId=asked["toolCallId"], session=session)
        await ann.call("session/cancel", sessionId=sessions[0], toolCallId="r1-m1-t1")
        await ann.event("tool_call_failed", session=sessions[0])
        assert [bool(living_with(mark)) for mark in marks] == [False, True, True]
        await ann.call("session/cancel", sessionId=sessions[0])
        await ann.event("run_cancelled", session=sessions[0])
        assert [bool(living_with(mark)) for mark in marks] == [False, False, True]
        await ann.call("session/cancel", sessionId=sessions[1])
        await ann.event("run_cancelled", session=sessions[1])
        assert living_with(marks[2]) == []


# Cancelling what only waits -------------------------------------------------------------------------------


async def test_cancelling_a_call_that_waits_for_people_lets_the_run_go_on(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo x >> ran")), DONE))
        asked = await ann.event("request_opened")
        bob = await daemon.person("bob")
        result = await bob.call("session/cancel", sessionId=session, toolCallId=asked["toolCallId"])
        assert result == {"cancelled": True, "runId": "r1"}
        resolved = await ann.event("request_resolved")
        assert (resolved["requestId"], resolved["outcome"]) == (asked["requestId"], "cancelled")
        resumed = await ann.event("run_resumed")
        assert resumed["seq"] > resolved["seq"]
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "cancelled"
        assert (await ann.end())["type"] == "run_completed"
        late = await ann.answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"]) == (False, "cancelled")
    assert not (home.work / "ran").exists()


async def test_cancelling_one_of_two_questions_leaves_the_run_paused_for_the_other(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo x >> ran"), shell("echo y >> ran")), DONE))
        one, two = [await ann.event("request_opened") for _ in range(2)]
        await ann.call("session/cancel", sessionId=session, toolCallId=one["toolCallId"])
        await ann.event("tool_call_failed")
        assert await ann.open_requests(session) == [two["requestId"]]
        assert (await ann.call("session/get", sessionId=session))["session"]["status"] == "paused"
        await ann.answer_request(two, "allow")
        assert (await ann.end())["type"] == "run_completed"
        assert len(ann.heard("run_resumed")) == 1
    assert (home.work / "ran").read_text(encoding="utf-8") == "y\n"


@pytest.mark.parametrize("call", ["r1-m1-t2", "r1-m2-t1", "nonsense"])
async def test_a_call_there_is_none_of_cancels_nothing(home, call):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("true")), DONE))
        asked = await ann.event("request_opened")
        result = await ann.call("session/cancel", sessionId=session, toolCallId=call)
        assert result == {"cancelled": False, "runId": "r1"}
        assert await ann.open_requests(session) == [asked["requestId"]]
        await ann.answer_request(asked, "allow")
        assert (await ann.end())["type"] == "run_completed"


async def test_a_cancel_of_a_call_of_the_run_before_leaves_the_next_alone(home):
    """It comes while the next prompt is on its way to a run, and names no run."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "list .")
        await ann.end()
        prompt = ann.request("session/prompt", {"sessionId": session, "content": text_content("say next")})
        cancel = ann.request("session/cancel", {"sessionId": session, "toolCallId": "r1-m1-t1"})
        await ann.send(prompt, cancel)
        assert (await ann.answer(cancel["id"]))["result"]["cancelled"] is False
        assert (await ann.end())["type"] == "run_completed"


@pytest.mark.parametrize("answer_first", [True, False])
async def test_answer_and_cancel_of_a_call_at_the_same_moment_leave_one_outcome(home, answer_first):
    """The two are sent so many turns of the loop apart."""
    async with resident(home) as daemon:
        ann, bob = await daemon.person("ann"), await daemon.person("bob")
        session = await ann.begin(home.work)
        for turns in range(60):
            await ann.prompt(session, script(calling(shell("true")), DONE))
            asked = await ann.event("request_opened")
            answer = ann.request("request/respond", ann.answering(asked, "allow"))
            ids = {"sessionId": session, "toolCallId": asked["toolCallId"]}
            cancel = bob.request("session/cancel", ids)
            first, second = [(ann, answer), (bob, cancel)][:: 1 if answer_first else -1]
            await first[0].send(first[1])
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            await second[0].send(second[1])
            result = (await ann.answer(answer["id"]))["result"]
            cancelled = (await bob.answer(cancel["id"]))["result"]["cancelled"]
            with within(10):
                assert (await ann.end())["type"] == "run_completed"
            resolved = ann.heard("request_resolved", requestId=asked["requestId"])
            assert [event["outcome"] for event in resolved] == [result["outcome"]]
            outcome = ann.heard("tool_call_completed", "tool_call_failed", toolCallId=asked["toolCallId"])
            assert len(outcome) == 1
            if outcome[0]["type"] == "tool_call_failed":  # It may also have ended in the very same turn.
                assert cancelled
                assert outcome[0]["error"]["kind"] == "cancelled"
