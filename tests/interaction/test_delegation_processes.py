"""Sub-agents of a daemon that is a process: what they started ends with them, and a kill repeats nothing."""

import pytest
from extension_world import DONE, delegate, make_plugin, run_of
from interaction_world import Killable, within
from person import TERMINAL, calling, script, shell
from processes import living_with, new_mark

FAMILY = """
trap '' TERM HUP INT
(trap '' TERM HUP; setsid sleep {mark} &)
(trap '' TERM HUP; setsid setsid sleep {mark} &)
sleep {mark} &
echo once >> ran; echo ready; exec sleep {mark}
"""


async def working(daemon, home, mark):
    """Have a sub-agent of a sub-agent run a family of processes; give who follows, and the sessions."""
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, mode="auto")
    command = calling(shell(FAMILY.format(mark=mark)))
    await ann.prompt(session, run_of(delegate(calling(delegate(command, DONE)), DONE)))
    places = [session]
    for _ in range(2):
        places.append((await ann.event("agent_started", session=places[-1]))["sessionId"])
        await ann.follow(places[-1])
    await ann.answer_request(await ann.event("request_opened", session=places[-1]), "allow")
    await ann.event("tool_output", session=places[-1])
    while len(living_with(mark)) < 4:  # Some are still on their way.
        await ann.call("ping")
    return ann, places


@pytest.mark.parametrize("way", ["cancel", "cancel the call", "close", "delete"])
async def test_when_a_parents_run_has_ended_nothing_it_had_started_lives(home, way):
    """They ignore what asks them to end, and have left their group."""
    mark = new_mark()
    with Killable(home) as daemon, within():
        await daemon.start()
        ann, (session, *below) = await working(daemon, home, mark)
        if way == "cancel the call":
            [call] = ann.heard("tool_call_started", session=session)
            await ann.call("session/cancel", sessionId=session, toolCallId=call["toolCallId"])
            await ann.event("agent_failed", session=session)
        elif way == "cancel":
            await ann.call("session/cancel", sessionId=session)
            await ann.event("run_cancelled", session=session)
        else:
            await ann.call(f"session/{way}", sessionId=session)
        assert living_with(mark) == []
        for place in below:
            [ended] = ann.heard("run_cancelled", "run_completed", "run_failed", session=place)
            assert ended["type"] == "run_cancelled"


HANGING = """
import subprocess

import anyio
import msgspec

from holdfast_daemon.agents.base import Agent, RunContext


class Nothing(msgspec.Struct):
    pass


class Hanging(Agent[Nothing]):
    \"\"\"Starts something, and waits for ever.\"\"\"

    async def run(self, session: RunContext, /):
        subprocess.Popen(["setsid", "sleep", "{mark}"])
        await anyio.sleep_forever()
        yield
"""


async def test_a_plugins_agent_that_drives_a_sub_agent_ends_with_its_parents_run(home):
    mark = new_mark()
    manifest = "agents:\n  - {name: hanging, class: 'hanging:Hanging'}\n"
    place = home.path / ".config" / "holdfast" / "plugins"
    make_plugin(place, manifest, hanging=HANGING.format(mark=mark))
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(delegate(DONE, agent="sample:hanging")))
        child = (await ann.event("agent_started"))["sessionId"]
        while not living_with(mark):
            await ann.call("ping")
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled", session=session)
        assert living_with(mark) == []
        assert (await ann.log(child))[-1]["type"] == "run_cancelled"


async def test_a_kill_interrupts_a_run_and_those_of_its_sub_agents_and_repeats_nothing(home):
    mark = new_mark()
    with Killable(home) as daemon, within():
        await daemon.start()
        _, places = await working(daemon, home, mark)
        await daemon.restart()
        assert living_with(mark) == []
        bob = await daemon.person("bob")
        for place in places:
            log = await bob.log(place)
            assert log[-1]["type"] == "run_interrupted"
            failed = [event["type"] for event in log if event["type"] in ("agent_failed", "tool_call_failed")]
            assert failed == (
                ["tool_call_failed"] if place == places[-1] else ["agent_failed", "tool_call_failed"]
            )
            snapshot = (await bob.call("session/get", sessionId=place))["snapshot"]
            assert snapshot.get("children", []) == []
            assert "run" not in snapshot
        assert (await bob.call("daemon/status"))["sessions"]["activeRuns"] == 0
        assert (home.work / "ran").read_text(encoding="utf-8") == "once\n"

        await bob.follow(places[0], after="head")
        await bob.prompt(places[0], script(DONE))
        await bob.event("run_completed")
        assert (home.work / "ran").read_text(encoding="utf-8") == "once\n"


async def test_a_sub_agent_that_waited_for_people_when_the_daemon_was_killed_waits_no_more(home):
    """Nobody would get its answer: the run it worked for is over."""
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(delegate(calling(shell("touch new")), DONE)))
        child = (await ann.event("agent_started"))["sessionId"]
        await ann.follow(child)
        asked = await ann.event("request_opened", session=child)
        await daemon.restart()
        bob = await daemon.person("bob")
        for place in (session, child):
            assert (await bob.log(place))[-1]["type"] == "run_interrupted"
        assert (await bob.call("request/list"))["requests"] == []
        late = await bob.answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"]) == (False, "cancelled")
        assert not (home.work / "new").exists()


async def test_a_parent_that_waits_for_people_beside_a_sub_agent_is_interrupted_with_it(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        hang = delegate({"text": "so far", "hang": True})
        await ann.prompt(session, script(calling(hang, shell("touch new")), DONE))
        await ann.hear(lambda: ann.heard("agent_started") and ann.heard("request_opened"))
        child = ann.heard("agent_started")[0]["sessionId"]
        await ann.follow(child)
        await ann.event("token_delta", session=child)
        await daemon.restart()
        bob = await daemon.person("bob")
        for place in (session, child):
            assert (await bob.log(place))[-1]["type"] == "run_interrupted"
        assert (await bob.call("request/list"))["requests"] == []


async def test_a_session_whose_deletion_a_kill_cut_short_goes_with_its_sub_agents(home):
    """The parent is marked last: whatever is left of it takes the rest along when it is next looked at."""
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(*[delegate(DONE)] * 8))
        children = [(await ann.event("agent_started"))["sessionId"] for _ in range(8)]
        await ann.event("run_completed", session=session)
        await ann.send(ann.request("session/delete", {"sessionId": session}))
        await ann.event("session_ended", session=session)
        await daemon.restart()
        bob = await daemon.person("bob")
        for place in (session, *children):
            answer = bob.request("session/get", {"sessionId": place})
            await bob.send(answer)
            assert (await bob.answer(answer["id"])).get("error", {}).get("data", {}).get(
                "kind"
            ) == "not_found"


async def test_a_daemon_that_is_told_to_stop_interrupts_all_of_a_family_each_once(home):
    mark = new_mark()
    with Killable(home) as daemon, within():
        await daemon.start()
        ann, places = await working(daemon, home, mark)
        await ann.call("daemon/shutdown")
        await daemon.ended()
        assert living_with(mark) == []
        await daemon.start()
        bob = await daemon.person("bob")
        for place in places:
            log = await bob.log(place)
            ends = [event["type"] for event in log if event["type"] in TERMINAL]
            assert len(ends) == 1
            assert ends[0] in ("run_interrupted", "run_cancelled")
            begun = [event for event in log if event["type"] == "agent_started"]
            assert len(begun) == sum(event["type"] == "agent_failed" for event in log)
        assert (await bob.log(places[0]))[-1]["type"] == "run_interrupted"
        assert (home.work / "ran").read_text(encoding="utf-8") == "once\n"
