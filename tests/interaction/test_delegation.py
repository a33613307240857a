"""Sub-agents: sessions of their own, with no more rights than the run that started them."""

import anyio.lowlevel
import pytest
from extension_world import DONE, delegate, project_plugin, run_of, said
from interaction_world import resident
from person import TERMINAL, calling, script, shell

from fakes.raw_client import Refused
from holdfast_daemon.config import ExecutionLimits, SessionLimits
from holdfast_daemon.sessions.delegation import CHILDREN_MAX

ANSWER = {"text": "the answer"}


async def begin(daemon, home, *calls, **settings):
    """Have a run make calls in its first step."""
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, **({"mode": "auto"} | settings))
    await ann.prompt(session, run_of(*calls))
    return ann, session


async def child_of(person):
    """Wait for the next sub-agent; give its session."""
    return (await person.event("agent_started"))["sessionId"]


async def asked_of(person, child):
    """Wait for the next question of a sub-agent, as who follows it hears it."""
    await person.follow(child)
    return await person.event("request_opened", session=child)


def types(events, *wanted):
    return [event["type"] for event in events if event["type"] in wanted]


async def test_its_last_answer_is_the_calls_result_and_the_events_are_in_order(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate(calling(("list", {})), ANSWER))
        assert (await ann.end())["type"] == "run_completed"
        log = await ann.log(session)
        around = ("tool_call_started", "agent_started", "agent_completed", "tool_call_completed")
        assert types(log, *around, "agent_failed") == list(around)
        [started] = ann.heard("agent_started")
        [completed] = ann.heard("agent_completed")
        [call] = ann.heard("tool_call_completed")
        assert completed["result"] == said(call) == "the answer"
        assert started["toolCallId"] == call["toolCallId"]
        assert started["sessionId"] == completed["sessionId"]
        assert started["runId"] == completed["runId"] == "r1"


async def test_its_log_is_whole_and_can_be_followed_from_its_start(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate(calling(shell("true")), ANSWER))
        started = await ann.event("agent_started")
        child = started["sessionId"]
        asked = await asked_of(ann, child)
        assert (await ann.call("session/subscribe", sessionId=child, after="start"))["epoch"] == started[
            "epoch"
        ]
        await ann.answer_request(asked, "allow")
        await ann.event("run_completed", session=child)
        await ann.event("run_completed", session=session)
        log = await ann.log(child)
        assert log[0]["parent"] == session
        assert types(log, "session_started", "prompt_received", "run_started", "run_completed") == [
            "session_started",
            "prompt_received",
            "run_started",
            "run_completed",
        ]
        assert log[1]["by"] == session


async def test_lists_of_sessions_have_it_below_its_parent_alone(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate(ANSWER), delegate(ANSWER))
        children = {await child_of(ann), await child_of(ann)}
        await ann.end()
        listed = (await ann.call("session/list"))["sessions"]
        assert [info["sessionId"] for info in listed] == [session]
        below = (await ann.call("session/list", parent=session))["sessions"]
        assert {info["sessionId"] for info in below} == children
        assert {info["parent"] for info in below} == {session}
        await ann.call("session/delete", sessionId=session)
        changed = {params.get("sessionId") for params in ann.notifications("sessions/changed")}
        assert session in changed
        assert not changed & children, "nobody is told of them as of sessions of people"


async def test_in_one_step_they_work_side_by_side_whatever_the_places_for_calls(home):
    """Sixteen wait for people at once; then each has a command run, two at a time in the daemon."""
    limits = ExecutionLimits(calls_max=2, calls_per_session_max=1)
    async with resident(home, execution=limits) as daemon:
        work = [delegate(calling(shell(f"echo {number} > made{number}")), ANSWER) for number in range(16)]
        ann, _ = await begin(daemon, home, *work)
        children = {await child_of(ann) for _ in work}
        asked = [await asked_of(ann, child) for child in children]
        assert len((await ann.call("request/list"))["requests"]) == 16
        for request in asked:
            await ann.answer_request(request, "allow")
        ended = await ann.event("run_completed", runId="r1", session=ann.events[0]["session"])
        assert ended["stopReason"] == "end_turn"
        assert len(ann.heard("agent_completed")) == 16
        assert len(list(home.work.glob("made*"))) == 16


async def test_they_are_not_unloaded_before_they_have_worked(home):
    async with resident(home, sessions=SessionLimits(loaded_max=2)) as daemon:
        ann, _ = await begin(daemon, home, *[delegate(ANSWER)] * 6)
        assert (await ann.end())["type"] == "run_completed"
        assert ann.heard("agent_failed", "tool_call_failed") == []
        assert len(ann.heard("agent_completed")) == 6


# Rights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ask", "accept_edits", "auto"])
async def test_it_has_its_parents_mode_roots_and_rule_for_absence(home, mode):
    more = home.path / "more"
    more.mkdir()
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, delegate(ANSWER), mode=mode, roots=[str(more)], unattended="deny")
        if mode != "auto":
            await ann.answer_request(await ann.event("request_opened"), "allow")
        [started, *_] = await ann.log(await child_of(ann))
        await ann.end()
        assert started.get("mode", "ask") == mode
        assert (started["roots"], started["unattended"]) == ([str(more)], "deny")


async def test_a_prompts_own_mode_is_what_it_gets(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="ask")
        await ann.prompt(session, run_of(delegate(ANSWER)), mode="auto")
        [started, *_] = await ann.log(await child_of(ann))
        await ann.end()
        assert started["mode"] == "auto"


async def test_an_agent_of_a_plugin_narrows_it_further_and_widens_nothing(home):
    manifest = """
    agents:
      - {name: planner, system_prompt: Plan., mode: plan}
      - {name: doer, system_prompt: Do., mode: auto}
    """
    project_plugin(home, manifest)
    write = calling(("write", {"path": "new", "content": "x"}))
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="accept_edits")
        calls = (delegate(write, DONE, agent="sample:planner"), delegate(DONE, agent="sample:doer"))
        await ann.prompt(session, run_of(*calls))
        await ann.answer_request(await ann.event("request_opened"), "allow_always")
        for _ in calls:
            await ann.answer_request(await ann.event("request_opened"), "allow")
        logs = [await ann.log(await child_of(ann)) for _ in calls]
        await ann.end()
        modes = {log[0]["agent"]: log[0].get("mode", "ask") for log in logs}
        assert modes == {"sample:planner": "plan", "sample:doer": "accept_edits"}
        assert not (home.work / "new").exists()


async def test_a_wider_mode_of_its_own_opens_nothing(home):
    async with resident(home) as daemon:
        command = shell("touch new")
        ann, _ = await begin(
            daemon,
            home,
            delegate(calling(command), calling(("write", {"path": "a", "content": ""})), DONE),
            mode="ask",
        )
        await ann.answer_request(await ann.event("request_opened"), "allow")
        child = await child_of(ann)
        asked = await asked_of(ann, child)
        await ann.call("session/update", sessionId=child, mode="auto")
        await ann.answer_request(asked, "deny")
        again = await ann.event("request_opened", session=child)
        assert again["detail"]["tool"] == "write", "in ask mode writing asks"
        await ann.answer_request(again, "deny")
        await ann.event("agent_completed")
        assert list(home.work.iterdir()) == []


@pytest.mark.parametrize(
    ("depth", "kind"),
    [(2, None), (3, "too_deep")],
)
async def test_there_is_a_depth_below_which_there_are_none(home, depth, kind):
    call = delegate(ANSWER)
    for _ in range(depth - 1):
        call = delegate(calling(call), ANSWER)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, call)
        assert (await ann.end())["type"] == "run_completed"
        kinds, place = [], session
        while below := (await ann.call("session/list", parent=place))["sessions"]:
            place = below[0]["sessionId"]
            log = await ann.log(place)
            kinds += [event["error"]["kind"] for event in log if event["type"] == "tool_call_failed"]
        assert kinds == ([] if kind is None else [kind])


async def test_there_is_a_number_after_which_there_are_no_more_in_a_run(home):
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, *[delegate(ANSWER)] * (CHILDREN_MAX + 1))
        await ann.end()
        assert len(ann.heard("agent_completed")) == CHILDREN_MAX
        [failed] = ann.heard("tool_call_failed")
        assert failed["error"]["kind"] == "too_many"


async def test_an_agent_there_is_none_of_is_a_failed_call(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate(ANSWER, agent="nobody"))
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "not_found"
        await ann.end()
        assert ann.heard("agent_started") == []
        assert (await ann.call("session/list", parent=session))["sessions"] == []


# Budgets -----------------------------------------------------------------------------------------------


def costly(amount, *calls):
    """Give a step that costs so much."""
    return {"cost": amount, **(calling(*calls) if calls else {"text": "dear"})}


async def spend(daemon, home, *steps, **budget):
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, mode="auto")
    await ann.prompt(session, script(*steps), budget=budget)
    return ann, session


def long(tokens, *calls):
    """Give a step that uses so many tokens."""
    usage = {"usage": {"input": tokens - 1, "output": 1}}
    return usage | (calling(*calls) if calls else {"text": "long"})


@pytest.mark.parametrize(
    ("steps", "budget", "left", "used"),
    [
        ((costly(0.25, delegate(costly(1.0))), DONE), {"cost": 1.0}, {"cost": 0.75}, 1.25),
        ((long(40, delegate(long(70))), DONE), {"tokens": 100}, {"tokens": 60}, 110),
    ],
    ids=["money", "tokens"],
)
async def test_its_budget_is_what_is_left_and_what_it_spends_is_its_parents(home, steps, budget, left, used):
    async with resident(home) as daemon:
        ann, session = await spend(daemon, home, *steps, **budget)
        [started, *_] = await ann.log(await child_of(ann))
        assert started["budget"] == left
        asked = await ann.event("request_opened", session=session)
        assert (asked["detail"]["question"], asked["detail"]["used"]) == ("budget", used)
        await ann.answer_request(asked, "stop")
        assert (await ann.end())["stopReason"] == "budget"


async def test_what_a_sub_agent_of_a_sub_agent_spends_counts_for_all_above(home):
    async with resident(home) as daemon:
        below = delegate(costly(0.25, delegate(costly(1.0))), DONE)
        ann, session = await spend(daemon, home, costly(0.25, below), DONE, cost=1.0)
        child = await child_of(ann)
        asked = await asked_of(ann, child)
        assert asked["detail"]["used"] == 1.25
        await ann.answer_request(asked, "stop")
        asked = await ann.event("request_opened", session=session)
        assert asked["detail"]["used"] == 1.5
        await ann.answer_request(asked, "stop")
        assert (await ann.event("run_completed", session=session))["stopReason"] == "budget"


async def test_what_a_sub_agent_had_spent_when_it_was_cut_counts(home):
    async with resident(home) as daemon:
        work = delegate(costly(1.0, ("list", {})), DONE)
        ann, session = await spend(daemon, home, costly(0.25, work), DONE, cost=1.0)
        started = await ann.event("agent_started")
        await asked_of(ann, started["sessionId"])
        await ann.call("session/cancel", sessionId=session, toolCallId=started["toolCallId"])
        asked = await ann.event("request_opened", session=session)
        assert (asked["detail"]["question"], asked["detail"]["used"]) == ("budget", 1.25)
        await ann.answer_request(asked, "stop")
        await ann.event("run_completed", session=session)


# People ------------------------------------------------------------------------------------------------


async def test_who_follows_only_the_parent_answers_what_it_asks(home):
    async with resident(home) as daemon:
        ann, _ = await begin(daemon, home, delegate(calling(shell("touch new")), ANSWER), unattended="deny")
        child = await child_of(ann)
        asked = []
        while not asked:  # The list says so as soon as it is asked; nobody is told before.
            asked = (await ann.call("request/list"))["requests"]
        assert asked[0]["sessionId"] == child
        answer = {"requestId": asked[0]["request"]["requestId"], "outcome": "allow"}
        assert (await ann.call("request/respond", sessionId=child, **answer))["accepted"]
        assert (await ann.event("agent_completed"))["result"] == "the answer"
        assert (home.work / "new").exists()


@pytest.mark.parametrize(("unattended", "outcome"), [("deny", "agent_completed"), ("fail", "agent_failed")])
async def test_where_nobody_is_here_its_questions_are_answered_by_the_rule(home, unattended, outcome):
    async with resident(home) as daemon:
        ann = await daemon.person("ann", answers=())
        session = await ann.begin(home.work, mode="auto", unattended=unattended)
        await ann.prompt(session, run_of(delegate(calling(shell("touch new")), ANSWER)))
        over = await ann.event("agent_completed", "agent_failed")
        assert over["type"] == outcome
        if outcome == "agent_failed":
            assert over["error"]["kind"] == "unattended"
        assert (await ann.end())["type"] == "run_completed", "its parent goes on"
        assert list(home.work.iterdir()) == []


@pytest.mark.parametrize("way", ["cancel", "close", "delete"])
async def test_one_that_is_ended_by_itself_has_failed_and_its_parent_goes_on(home, way):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate({"text": "so far", "hang": True}), delegate(ANSWER))
        for child in [await child_of(ann), await child_of(ann)]:
            await ann.follow(child)
        hanging = (await ann.event("token_delta", text="so far"))["session"]
        await ann.call(f"session/{way}", sessionId=hanging)
        failed = await ann.event("agent_failed")
        assert failed["error"]["kind"] == "cancelled"
        assert (await ann.event("run_completed", session=session))["stopReason"] == "end_turn"
        [call] = ann.heard("tool_call_failed", session=session)
        assert call["error"]["kind"] == "agent_failed"
        assert len(ann.heard("agent_completed")) == 1


async def test_one_there_is_no_room_for_has_failed(home):
    async with resident(home, sessions=SessionLimits(active_runs_max=1)) as daemon:
        ann, _ = await begin(daemon, home, delegate(ANSWER))
        assert (await ann.event("agent_failed"))["error"]["kind"] == "overloaded"
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "overloaded"
        assert (await ann.end())["type"] == "run_completed"


async def test_its_failure_is_told_and_its_parent_goes_on(home):
    async with resident(home) as daemon:
        broken = delegate({"error": {"kind": "overloaded", "message": "busy"}})
        ann, _ = await begin(daemon, home, broken)
        failed = await ann.event("agent_failed")
        assert (failed["error"]["kind"], failed["error"]["message"]) == ("overloaded", "busy")
        assert "busy" in (await ann.event("tool_call_failed"))["error"]["message"]
        assert (await ann.end())["type"] == "run_completed"


async def test_a_cancelled_parent_takes_all_below_along_each_with_its_one_end(home):
    deep = delegate(calling(delegate({"text": "so far", "hang": True})), ANSWER)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, deep, delegate(calling(shell("true")), ANSWER))
        places = [await child_of(ann), await child_of(ann)]
        for place in places:
            await ann.follow(place)
        grandchild = (await ann.event("agent_started"))["sessionId"]
        await ann.follow(grandchild)
        await ann.event("token_delta", session=grandchild)
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled", session=session)
        log = await ann.log(session)
        assert types(log, "agent_started", "agent_completed", "agent_failed")[2:] == ["agent_failed"] * 2
        assert log[-1]["type"] == "run_cancelled"
        for place in (*places, grandchild):
            log = await ann.log(place)
            assert log[-1]["type"] == "run_cancelled"
            assert log[-1]["by"] in (session, *places)
        assert (await ann.call("request/list"))["requests"] == []


async def test_a_cancel_at_any_moment_leaves_each_with_one_end(home):
    """The moments are each event of the parent's log, and a few turns of the loop behind it."""
    work = run_of(delegate(calling(("list", {})), ANSWER), delegate(calling(delegate(ANSWER)), ANSWER))
    begun = set()
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        for turns in (0, 30):
            for count in range(1, 24):
                session = await ann.begin(home.work, mode="auto")
                ran = (await ann.prompt(session, work))["runId"]
                while len(ann.heard(session=session)) < count:
                    await ann.receive()
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                await ann.call("session/cancel", sessionId=session)
                await ann.call("session/wait", sessionId=session, runId=ran)
                begun.add(len(await ended_below(ann, session)))
        assert (await ann.call("daemon/status"))["sessions"]["activeRuns"] == 0
    assert {0, 2, 3} <= begun, "some before they were there, some when all were"


async def ended_below(ann, session):
    """Check that what began below a session has ended once, there and in its own log; give what began."""
    log = await ann.log(session)
    begun = [event["sessionId"] for event in log if event["type"] == "agent_started"]
    over = [event["sessionId"] for event in log if event["type"] in ("agent_completed", "agent_failed")]
    assert sorted(begun) == sorted(over)
    listed = (await ann.call("session/list", parent=session))["sessions"]
    for child in [info["sessionId"] for info in listed]:
        events = await ann.log(child)
        started = types(events, "run_started")
        assert len(types(events, *TERMINAL)) == len(started) <= 1
        begun += await ended_below(ann, child)
    return begun


# What becomes of it ------------------------------------------------------------------------------------


async def test_a_deleted_session_takes_its_sub_agents_along(home):
    async with resident(home) as daemon:
        ann, session = await begin(
            daemon, home, delegate(calling(delegate(ANSWER)), ANSWER), delegate(ANSWER)
        )
        children = [await child_of(ann), await child_of(ann)]
        await ann.end()
        below = [
            info["sessionId"]
            for child in children
            for info in (await ann.call("session/list", parent=child))["sessions"]
        ]
        assert len(below) == 1
        other = await ann.create(home.work)
        await ann.call("session/delete", sessionId=session)
        for gone in (session, *children, *below):
            with pytest.raises(Refused) as refused:
                await ann.call("session/get", sessionId=gone)
            assert refused.value.error["data"]["kind"] == "not_found"
        assert (await ann.call("session/list", parent=session))["sessions"] == []
        assert [info["sessionId"] for info in (await ann.call("session/list"))["sessions"]] == [other]


async def test_a_session_deleted_while_its_sub_agents_work_takes_them_along(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate({"text": "so far", "hang": True}))
        child = await child_of(ann)
        await ann.follow(child)
        await ann.event("token_delta", session=child)
        await ann.call("session/delete", sessionId=session)
        with pytest.raises(Refused):
            await ann.call("session/get", sessionId=child)
        ended = ann.heard("run_cancelled", session=child)
        assert len(ended) == 1
        assert (await ann.call("daemon/status"))["sessions"]["activeRuns"] == 0


async def test_a_fork_has_what_its_source_was_told_and_no_sub_agents_of_its_own(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate({"text": "so far", "hang": True}))
        child = await child_of(ann)
        await ann.follow(child)
        await ann.event("token_delta", session=child)
        fork = (await ann.call("session/fork", sessionId=session))["sessionId"]
        log = await ann.log(fork)
        assert types(log, "agent_started", "agent_failed", "tool_call_failed", "run_interrupted") == [
            "agent_started",
            "agent_failed",
            "tool_call_failed",
            "run_interrupted",
        ]
        snapshot = (await ann.call("session/get", sessionId=fork))["snapshot"]
        assert snapshot.get("children", []) == []
        assert (await ann.call("session/list", parent=fork))["sessions"] == []
        await ann.call("session/delete", sessionId=fork)
        assert (await ann.call("session/get", sessionId=child))["session"]["status"] == "running"
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled", session=session)


async def test_a_fork_of_one_is_a_session_of_its_own(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, delegate(ANSWER))
        child = await child_of(ann)
        await ann.end()
        fork = (await ann.call("session/fork", sessionId=child))["sessionId"]
        info = (await ann.call("session/get", sessionId=fork))["session"]
        assert "parent" not in info
        assert {s["sessionId"] for s in (await ann.call("session/list"))["sessions"]} == {session, fork}
        await ann.call("session/delete", sessionId=session)
        assert (await ann.call("session/get", sessionId=fork))["session"]["sessionId"] == fork
