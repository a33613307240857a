"""Bounds of a run that pause and ask instead of ending it (design.md section 7; users.md C6)."""

import pytest
from interaction_world import crash, resident
from person import calling, script

from fakes.raw_client import Refused

LOOK = calling(("list", {}))

THREE_STEPS = script(LOOK, LOOK, {"text": "done"})


def costing(amount=None, *, tokens=None):
    """Give a step that calls a tool and is so dear."""
    priced = {"cost": amount} if amount is not None else {}
    used = {"usage": {"input": tokens, "output": 0}} if tokens is not None else {}
    return {**LOOK, **priced, **used}


async def begin(daemon, home, prompt, *, answers=("question",), unattended="wait", **budget):
    ann = await daemon.person("ann", answers)
    session = await ann.begin(home.work, unattended=unattended)
    await ann.prompt(session, prompt, budget=budget)
    return ann, session


@pytest.mark.parametrize(
    ("prompt", "budget", "limit", "used"),
    [
        (THREE_STEPS, {"steps": 1}, "steps", 1),
        (script(costing(tokens=70), {"text": "done"}), {"tokens": 70}, "tokens", 70),
        (script(costing(0.5), {"text": "done"}), {"cost": 0.25}, "cost", 0.5),
    ],
)
async def test_a_run_that_reaches_a_bound_pauses_and_asks(home, prompt, budget, limit, used):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, prompt, **budget)
        asked = await ann.event("request_opened")
        assert (asked["kind"], asked["detail"]["question"], asked["detail"]["limit"]) == (
            "question",
            "budget",
            limit,
        )
        assert (asked["detail"]["used"], asked["detail"]["allowed"]) == (used, budget[limit])
        assert [option["id"] for option in asked["options"]] == ["continue", "stop"]
        assert (await ann.event("run_paused"))["reason"] == "budget"
        assert (await ann.call("session/get", sessionId=session))["session"]["status"] == "paused"
        await ann.answer_request(asked, "stop")
        ended = await ann.end()
        assert (ended["type"], ended["stopReason"]) == ("run_completed", "budget")


async def test_time_is_a_bound_and_waiting_for_people_is_not_time(home):
    async with resident(home) as daemon:
        slow = script({**LOOK, "text": {"value": "a long thought", "delay_ms": 5}}, {"text": "done"})
        ann, _ = await begin(daemon, home, slow, wallMs=1)
        asked = await ann.event("request_opened")
        assert asked["detail"]["limit"] == "wallMs"
        await ann.answer_request(asked, "continue")
        assert (await ann.end())["type"] == "run_completed"


async def test_going_on_gives_as_much_again(home):
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, script(LOOK, LOOK, LOOK, LOOK, {"text": "done"}), steps=2)
        for used in (2, 4):
            asked = await ann.event("request_opened")
            assert asked["detail"]["used"] == used
            await ann.answer_request(asked, "continue")
        ended = await ann.end()
        assert (ended["stopReason"], ended["steps"]) == ("end_turn", 5)
        assert len(ann.heard("request_opened")) == 2


async def test_two_bounds_reached_at_once_are_two_questions(home):
    async with resident(home) as daemon:
        prompt = script(costing(tokens=70), {"text": "done"})
        ann, _ = await begin(daemon, home, prompt, steps=1, tokens=10)
        limits = []
        for _ in range(2):
            asked = await ann.event("request_opened")
            limits.append(asked["detail"]["limit"])
            await ann.answer_request(asked, "continue")
        assert limits == ["steps", "tokens"]
        assert (await ann.end())["stopReason"] == "end_turn"


async def test_a_run_that_ends_with_the_step_that_reaches_a_bound_is_not_asked_about(home):
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, "say hello", steps=1, tokens=1)
        assert (await ann.end())["stopReason"] == "end_turn"
        assert ann.heard("request_opened") == []


@pytest.mark.parametrize(
    ("unattended", "ending", "reason"),
    [("deny", "run_completed", "budget"), ("fail", "run_failed", None)],
)
async def test_with_nobody_here_the_run_ends_as_unattended_says(home, unattended, ending, reason):
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, THREE_STEPS, answers=(), unattended=unattended, steps=1)
        ended = await ann.end()
        assert (ended["type"], ended.get("stopReason")) == (ending, reason)


async def test_a_sessions_budget_holds_for_each_of_its_runs_until_it_is_taken_away(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, budget={"steps": 1})
        for _ in range(2):
            await ann.prompt(session, THREE_STEPS)
            assert (await ann.event("run_started"))["budget"] == {"steps": 1}
            await ann.answer_request(await ann.event("request_opened"), "stop")
            assert (await ann.end())["stopReason"] == "budget"
        await ann.call("session/update", sessionId=session, budget={})
        assert (await ann.event("session_updated"))["budget"] == {}
        await ann.prompt(session, THREE_STEPS)
        assert (await ann.end())["stopReason"] == "end_turn"


async def test_a_queued_prompt_keeps_its_budget(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, THREE_STEPS, budget={"steps": 1})
        asked = await ann.event("request_opened")
        await ann.prompt(session, THREE_STEPS, budget={"steps": 2})
        (waiting,) = (await ann.call("queue/list", sessionId=session))["prompts"]
        assert waiting["budget"] == {"steps": 2}
        await ann.answer_request(asked, "stop")
        await ann.end()
        second = await ann.event("request_opened")
        assert second["detail"]["used"] == 2
        await ann.answer_request(second, "stop")
        await ann.end()


@pytest.mark.parametrize(("answer", "reason"), [("continue", "end_turn"), ("stop", "budget")])
async def test_the_question_survives_a_restart_and_is_asked_once(home, answer, reason):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, THREE_STEPS, steps=2)
        asked = await ann.event("request_opened")
        await ann.event("run_paused")
        left = crash(home, home.path / "left")
    async with resident(left) as daemon:
        bob = await daemon.person("bob")
        await bob.follow(session)
        assert (await bob.event("request_opened"))["requestId"] == asked["requestId"]
        await bob.answer_request(asked, answer)
        assert (await bob.end())["stopReason"] == reason
        assert len(bob.heard("request_opened")) == 1


@pytest.mark.parametrize(
    ("budget", "path"),
    [({"steps": 0}, "$.budget.steps"), ({"cost": -1}, "$.budget.cost"), ({"wallMs": "1"}, "$.budget.wallMs")],
)
async def test_a_budget_that_bounds_nothing_sensible_is_refused(home, budget, path):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        with pytest.raises(Refused) as refused:
            await ann.prompt(session, "say hello", budget=budget)
        assert refused.value.error["data"]["path"] == path
