"""Two clients answer one request at the same moment (failures.md section 4; security.md P10).

In every round both have written before either reads. HOLDFAST_RACE_ROUNDS says how many rounds in all.
"""

import os
import random
from typing import Any

import pytest
from interaction_world import WAIT_S, Resident, resident, within
from person import Event, Person, script, text_content

ROUNDS = int(os.environ.get("HOLDFAST_RACE_ROUNDS", "1000"))

STEPS_PER_RUN = 100  # A run may take 200.

SHELL = "echo x >> ran"

HOSTED = {"name": "press", "description": "Presses a button.", "inputSchema": {"type": "object"}}


def _steps(tool: str, tool_input: dict[str, Any], count: int) -> str:
    call = {"call": {"tool": tool, "input": tool_input}}
    return script({"repeat": count, "steps": [call]}, {"text": "done"})


async def _race(
    rivals: list[Person], asked: Event, outcomes: dict[str, str], chance: random.Random
) -> dict[str, Any]:
    """Let two answer at once; give the answers by who gave them."""
    order = chance.sample(rivals, 2)
    sent = {
        person.name: person.request("request/respond", person.answering(asked, outcomes[person.name]))
        for person in order
    }
    for person in order:
        await person.send(sent[person.name])
    answers = {person.name: await person.answer(sent[person.name]["id"]) for person in rivals}
    return {name: answer["result"] for name, answer in answers.items()}


def _check(results: dict[str, Any], outcomes: dict[str, str]) -> tuple[str, str]:
    """Give the winner and the outcome, of which both were told."""
    winners = [name for name, result in results.items() if result["accepted"]]
    assert len(winners) == 1
    winner = winners[0]
    for result in results.values():
        assert (result["by"], result["outcome"]) == (winner, outcomes[winner])
        assert "replayed" not in result
    return winner, outcomes[winner]


async def _people(daemon: Resident, session: str) -> list[Person]:
    ann = await daemon.person("ann", over="unix", framing="lines")
    bob = await daemon.person("bob", over="tcp", framing="headers")
    for person in (ann, bob):
        await person.follow(session)
    return [ann, bob]


async def _rounds(rivals: list[Person], host: Person, count: int, chance: random.Random) -> dict[str, str]:
    """Race `count` times in a run that asks that often; give the outcome of each request."""
    outcomes: dict[str, str] = {}
    for _ in range(count):
        asked = await rivals[0].event("request_opened")
        await rivals[1].event("request_opened", requestId=asked["requestId"])
        wanted = {person.name: chance.choice(["allow", "deny"]) for person in rivals}
        results = await _race(rivals, asked, wanted, chance)
        winner, outcome = _check(results, wanted)
        for person in rivals:
            told = await person.event("request_resolved", requestId=asked["requestId"])
            assert (told["by"], told["outcome"]) == (winner, outcome)
            assert told["seq"] <= results[winner]["seq"]
        outcomes[asked["requestId"]] = outcome
        if outcome == "allow" and asked["detail"]["tool"] == "press":
            await _press(host, asked)
    return outcomes


async def _press(host: Person, asked: Event) -> None:
    """Run the hosted tool."""
    call = await host.notification("tool/call")
    assert call["toolCallId"] == asked["toolCallId"]
    done = await host.call(
        "tool/complete",
        sessionId=call["sessionId"],
        toolCallId=call["toolCallId"],
        result=text_content("pressed"),
    )
    assert done["accepted"]


@pytest.mark.parametrize("part", range(4))
async def test_one_answer_counts_and_a_hosted_tool_runs_once_for_each_allowance(home, part):
    chance = random.Random(part)
    async with resident(home, wait_s=WAIT_S + ROUNDS / 20) as daemon:
        host = await daemon.person("host")
        session = await host.create(home.work)
        await host.call("tool/register", sessionId=session, tools=[HOSTED])
        rivals = await _people(daemon, session)
        watcher = await daemon.person("watcher", answers=())
        await watcher.follow(session)
        left = ROUNDS // 5
        outcomes: dict[str, str] = {}
        while left:
            count = min(left, STEPS_PER_RUN)
            left -= count
            await host.prompt(session, _steps("press", {}, count))
            found = await _rounds(rivals, host, count, chance)
            outcomes |= {f"{name}/{left}": outcome for name, outcome in found.items()}
            assert (await rivals[0].end())["type"] == "run_completed"
        head = (await watcher.call("session/get", sessionId=session))["session"]["head"]
        await watcher.hear(lambda: watcher.events[-1]["seq"] == head)
        allowed = list(outcomes.values()).count("allow")
        assert len(watcher.heard("request_resolved")) == len(outcomes) == ROUNDS // 5
        assert len(host.notifications("tool/call")) == allowed
        assert len(watcher.heard("tool_call_started")) == allowed
        assert len(watcher.heard("tool_call_failed")) == len(outcomes) - allowed


async def test_one_answer_counts_and_a_command_runs_once_for_each_allowance(home):
    chance = random.Random(99)
    count = ROUNDS // 5
    async with resident(home, wait_s=WAIT_S + ROUNDS / 20) as daemon:
        host = await daemon.person("host")
        session = await host.create(home.work)
        rivals = await _people(daemon, session)
        outcomes: list[str] = []
        for done in range(0, count, STEPS_PER_RUN):
            steps = min(STEPS_PER_RUN, count - done)
            await host.prompt(session, _steps("shell", {"command": SHELL}, steps))
            outcomes += (await _rounds(rivals, host, steps, chance)).values()
            assert (await rivals[0].end())["type"] == "run_completed"
        ran = (home.work / "ran").read_text(encoding="utf-8").splitlines()
        assert len(ran) == outcomes.count("allow")
        assert 0 < len(ran) < count


async def test_the_same_answer_by_two_is_still_one_persons(home):
    """The second is told that it was not the one, though it wanted the same."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.create(home.work)
        rivals = await _people(daemon, session)
        for wanted in ("allow", "deny"):
            await ann.prompt(session, _steps("shell", {"command": SHELL}, 1))
            asked = await rivals[0].event("request_opened")
            outcomes = {"ann": wanted, "bob": wanted}
            _check(await _race(rivals, asked, outcomes, random.Random(1)), outcomes)
            await rivals[0].end()


async def test_answers_of_ten_to_four_requests_that_are_open_at_once(home):
    """Each request has one winner; the run is paused until the last is answered."""
    async with resident(home) as daemon:
        people = [await daemon.person(f"p{number}") for number in range(10)]
        session = await people[0].begin(home.work)
        calls = [{"tool": "shell", "input": {"command": f"echo {n} >> ran"}} for n in range(4)]
        await people[0].prompt(session, script({"call": calls}, {"text": "done"}))
        asked = [await people[0].event("request_opened") for _ in calls]
        chance = random.Random(5)
        sent: list[tuple[Person, Event, dict[str, Any]]] = []
        for person in people:
            for request in chance.sample(asked, len(asked)):
                outcome = chance.choice(["allow", "deny"])
                message = person.request("request/respond", person.answering(request, outcome))
                sent.append((person, request, message))
        for person, _, message in sent:
            await person.send(message)
        winners: dict[str, tuple[str, str]] = {}
        for person, request, message in sent:
            result = (await person.answer(message["id"]))["result"]
            if result["accepted"]:
                assert request["requestId"] not in winners
                winners[request["requestId"]] = (person.name, message["params"]["outcome"])
        assert len(winners) == len(asked)
        with within():
            assert (await people[0].end())["type"] == "run_completed"
        assert len(people[0].heard("run_paused")) == len(people[0].heard("run_resumed")) == 1
        ran = (home.work / "ran").read_text(encoding="utf-8").split() if (home.work / "ran").exists() else []
        allowed = [n for n in range(4) if winners[asked[n]["requestId"]][1] == "allow"]
        assert sorted(map(int, ran)) == allowed
