"""Prompts while a run goes on: steer, interrupt, and the queue in everybody's hands (design.md section 4).

The recorder is the offline model and keeps what it was asked: what a model is shown, and in which order.
"""

import pytest
from interaction_world import Killable, resident, within
from person import calling, script, shell, text_content
from recorder import NAME, Recorder

from fakes.raw_client import Refused

DONE = {"text": "done"}

WAITS = script({"hang": True})


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    made.install(monkeypatch)
    return made


async def begin_asking(daemon, home, *more):
    """Begin a run that asks; give who did so, the session and the request."""
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, model=NAME)
    await ann.prompt(session, script(calling(shell("true")), *more, DONE), promptId="first")
    return ann, session, await ann.event("request_opened")


async def begin_hanging(daemon, home):
    """Begin a run that never ends by itself."""
    ann = await daemon.person("ann")
    session = await ann.begin(home.work)
    await ann.prompt(session, WAITS, promptId="first")
    return ann, session


async def queued(person, session):
    return [item["promptId"] for item in (await person.call("queue/list", sessionId=session))["prompts"]]


# Steer ----------------------------------------------------------------------------------------------------


async def test_a_steering_prompt_enters_before_the_next_step(home, recorder):
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home)
        result = await ann.prompt(session, "say steered", promptId="s", delivery="steer")
        assert (result["status"], result.get("runId")) == ("steered", None)
        received = await ann.event("prompt_received", promptId="s")
        assert (received["status"], received["delivery"], received["by"]) == ("steered", "steer", "ann")
        assert len(recorder.asked) == 1
        await ann.answer_request(asked, "allow")
        delivered = await ann.event("prompt_updated", promptId="s")
        assert (delivered["status"], delivered["step"], delivered["runId"]) == ("delivered", 2, "r1")
        assert delivered["seq"] > ann.heard("tool_call_completed")[0]["seq"]
        assert delivered["seq"] < (await ann.event("content_block_start", step=2))["seq"]
        assert [who for who, _ in recorder.asked[1]] == ["user", "model", "tools", "user"]
        assert recorder.asked[1][-1] == ("user", "say steered")
        assert (await ann.end())["steps"] == 2
        assert len(ann.heard("run_started")) == 1


async def test_several_steer_in_the_order_they_came_from_whomever(home, recorder):
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home)
        bob = await daemon.person("bob")
        for person, text in ((ann, "one"), (bob, "two"), (ann, "three")):
            await person.prompt(session, f"say {text}", promptId=text, delivery="steer")
        assert await queued(bob, session) == ["one", "two", "three"]
        await ann.answer_request(asked, "allow")
        for name in ("one", "two", "three"):
            await ann.event("prompt_updated", promptId=name, status="delivered", step=2)
        await ann.end()
        assert recorder.asked[1][3:] == [("user", f"say {name}") for name in ("one", "two", "three")]
        assert await queued(ann, session) == []


@pytest.mark.usefixtures("recorder")
async def test_a_steering_prompt_comes_between_two_steps_of_a_script(home):
    """The latest prompt decides: what the script would have done next does not happen."""
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home, calling(shell("echo x >> ran")))
        await ann.prompt(session, "say something else", delivery="steer")
        await ann.answer_request(asked, "allow")
        assert (await ann.end())["steps"] == 2
    assert not (home.work / "ran").exists()


async def test_a_steering_prompt_heads_the_queue_if_the_run_ends_first(home, recorder):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        slow = {"text": {"value": "slow ", "delta_chars": 1, "delay_ms": 5, "repeat": 20}}
        await ann.prompt(session, script(slow))
        await ann.event("token_delta")
        await ann.prompt(session, "say queued", promptId="queued")
        result = await ann.prompt(session, "say steered", promptId="steered", delivery="steer")
        assert result["status"] == "steered"
        assert await queued(ann, session) == ["steered", "queued"]
        assert (await ann.end())["runId"] == "r1"
        assert (await ann.event("prompt_updated", promptId="steered"))["status"] == "started"
        assert (await ann.event("run_started"))["promptId"] == "steered"
        await ann.end()
        assert (await ann.event("run_started"))["promptId"] == "queued"
        await ann.end()
        assert len(recorder.asked) == 3


async def test_a_steering_prompt_on_an_idle_session_is_a_prompt(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        result = await ann.prompt(session, "say hello", delivery="steer")
        assert (result["status"], result["runId"]) == ("started", "r1")
        assert (await ann.end())["type"] == "run_completed"


@pytest.mark.usefixtures("recorder")
async def test_a_steering_prompt_can_be_waited_for_and_ends_with_the_run_that_carried_it(home):
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home)
        await ann.prompt(session, "say steered", promptId="s", delivery="steer")
        wait = {"sessionId": session, "promptId": "s"}
        early = await ann.call("session/wait", **wait, timeoutMs=0)
        assert (early["done"], early["status"]) == (False, "queued")
        pending = ann.request("session/wait", wait)
        await ann.send(pending)
        await ann.answer_request(asked, "allow")
        waited = (await ann.answer(pending["id"]))["result"]
        ended = await ann.end()
        assert waited == {"done": True, "status": "completed", "runId": "r1", "seq": ended["seq"]}
        assert await ann.call("session/wait", **wait) == waited, "also afterwards"


@pytest.mark.usefixtures("recorder")
async def test_a_steering_prompt_goes_with_a_cancelled_run_to_the_next(home):
    async with resident(home) as daemon:
        ann, session, _ = await begin_asking(daemon, home)
        await ann.prompt(session, "say queued", promptId="queued")
        await ann.prompt(session, "say steered", promptId="steered", delivery="steer")
        await ann.call("session/cancel", sessionId=session)
        assert (await ann.end())["type"] == "run_cancelled"
        for name in ("steered", "queued"):
            assert (await ann.event("run_started"))["promptId"] == name
            assert (await ann.end())["type"] == "run_completed"


async def test_a_steering_prompt_can_be_changed_and_removed_while_it_waits(home, recorder):
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home)
        for name in ("stays", "goes"):
            await ann.prompt(session, f"say {name}", promptId=name, delivery="steer")
        await ann.call("queue/remove", sessionId=session, promptId="goes")
        await ann.call(
            "queue/update", sessionId=session, promptId="stays", content=text_content("say changed")
        )
        await ann.answer_request(asked, "allow")
        await ann.end()
        assert recorder.asked[1][3:] == [("user", "say changed")]


# Interrupt ------------------------------------------------------------------------------------------------


async def test_an_interrupting_prompt_cancels_the_run_and_starts(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        await ann.prompt(session, "say queued", promptId="queued")
        bob = await daemon.person("bob")
        result = await bob.prompt(session, "say now", promptId="now", delivery="interrupt")
        assert (result["status"], result["position"]) == ("queued", 1)
        ended = await ann.end()
        assert (ended["type"], ended["runId"], ended["by"]) == ("run_cancelled", "r1", "bob")
        for name in ("now", "queued"):
            assert (await ann.event("run_started"))["promptId"] == name
            assert (await ann.end())["type"] == "run_completed"


async def test_an_interrupting_prompt_is_durable_before_it_cancels(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        await ann.prompt(session, "say now", promptId="now", delivery="interrupt")
        received = await ann.event("prompt_received", promptId="now")
        cancelled = await ann.event("run_cancelled")
        assert received["seq"] < cancelled["seq"]
        await ann.end()


async def test_an_interrupting_prompt_takes_questions_back(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo x >> ran")), DONE))
        asked = await ann.event("request_opened")
        await ann.prompt(session, "say now", delivery="interrupt")
        resolved = await ann.event("request_resolved")
        assert (resolved["requestId"], resolved["outcome"]) == (asked["requestId"], "cancelled")
        assert [(await ann.end())["type"] for _ in range(2)] == ["run_cancelled", "run_completed"]
    assert not (home.work / "ran").exists()


async def test_an_interrupting_prompt_on_an_idle_session_is_a_prompt(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        assert (await ann.prompt(session, "say hello", delivery="interrupt"))["status"] == "started"
        assert (await ann.end())["type"] == "run_completed"


async def test_two_interrupting_prompts_run_one_after_the_other(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        messages = [
            ann.request(
                "session/prompt",
                {
                    "sessionId": session,
                    "promptId": name,
                    "content": text_content(f"say {name}"),
                    "delivery": "interrupt",
                },
            )
            for name in ("one", "two")
        ]
        await ann.send(*messages)
        for message in messages:
            await ann.answer(message["id"])
        await ann.event("run_cancelled", runId="r1")
        carried = [(await ann.event("run_started"))["promptId"] for _ in range(2)]
        assert carried == ["one", "two"]
        await ann.hear(lambda: bool(ann.heard("run_completed", runId="r3")))


# The queue ------------------------------------------------------------------------------------------------


async def test_the_queue_is_in_the_order_of_the_log_whoever_writes(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        bob = await daemon.person("bob", framing="headers", over="tcp")
        sent = []
        for number in range(20):
            person = (ann, bob)[number % 2]
            params = {"sessionId": session, "promptId": f"p{number}", "content": text_content("say x")}
            message = person.request("session/prompt", params)
            await person.send(message)
            sent.append((person, message))
        positions = {}
        for person, message in sent:
            result = (await person.answer(message["id"]))["result"]
            assert result["status"] == "queued"
            positions[result["position"]] = (result["seq"], message["params"]["promptId"])
        assert sorted(positions) == list(range(1, 21))
        in_log_order = [name for _, name in sorted(positions.values())]
        assert in_log_order == [name for _, (_, name) in sorted(positions.items())]
        assert await queued(bob, session) == in_log_order
        own = [name for name in in_log_order if name in {f"p{n}" for n in range(0, 20, 2)}]
        assert own == [f"p{n}" for n in range(0, 20, 2)], "one client's prompts keep its order"
        await ann.call("session/cancel", sessionId=session)
        await ann.end()
        for name in in_log_order:
            assert (await ann.event("run_started"))["promptId"] == name
            await ann.end()


async def test_a_waiting_prompt_is_changed_moved_and_removed_and_everybody_sees_it(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        bob, cat = await daemon.person("bob"), await daemon.person("cat", answers=())
        await cat.follow(session)
        for name in ("a", "b", "c", "d"):
            await ann.prompt(session, f"say {name}", promptId=name)
        await bob.call("queue/update", sessionId=session, promptId="d", position=1)
        assert await queued(ann, session) == ["d", "a", "b", "c"]
        moved = await cat.event("prompt_updated", promptId="d")
        assert (moved["position"], moved["by"]) == (1, "bob")
        assert {"status", "content"}.isdisjoint(moved)
        await bob.call("queue/update", sessionId=session, promptId="a", content=text_content("say changed"))
        changed = await cat.event("prompt_updated", promptId="a")
        assert (changed["content"][0]["text"], changed["by"]) == ("say changed", "bob")
        result = await bob.call("queue/remove", sessionId=session, promptId="b")
        removed = await cat.event("prompt_removed")
        assert (removed["promptId"], removed["by"], removed["seq"]) == ("b", "bob", result["seq"])
        await ann.call(
            "queue/update", sessionId=session, promptId="c", content=text_content("say c2"), position=1
        )
        listed = await cat.call("queue/list", sessionId=session)
        assert [(item["promptId"], item["content"][0]["text"]) for item in listed["prompts"]] == [
            ("c", "say c2"),
            ("d", "say d"),
            ("a", "say changed"),
        ]
        head = (await cat.call("session/get", sessionId=session))["session"]["head"]
        assert (listed["held"], listed["head"]) == (False, head)
        await ann.call("session/cancel", sessionId=session)
        await cat.event("run_cancelled")
        for name, said in (("c", "c2"), ("d", "d"), ("a", "changed")):
            assert (await cat.event("run_started"))["promptId"] == name
            run = (await cat.end())["runId"]
            assert cat.heard("content_block_end", runId=run)[-1]["text"].endswith(said)
        assert cat.heard("run_started", promptId="b") == []


async def test_a_place_past_the_end_is_the_end(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        for name in ("a", "b", "c"):
            await ann.prompt(session, f"say {name}", promptId=name)
        await ann.call("queue/update", sessionId=session, promptId="a", position=256)
        assert await queued(ann, session) == ["b", "c", "a"]
        for position in (0, 257):
            with pytest.raises(Refused) as refused:
                await ann.call("queue/update", sessionId=session, promptId="a", position=position)
            assert refused.value.error["data"]["path"] == "$.position"
        await ann.call("session/cancel", sessionId=session, clearQueue=True)
        await ann.end()


async def test_all_waiting_prompts_are_removed_at_once(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        for name in ("a", "b", "c"):
            await ann.prompt(session, f"say {name}", promptId=name)
        bob = await daemon.person("bob")
        await bob.call("queue/remove", sessionId=session)
        removed = [await ann.event("prompt_removed") for _ in range(3)]
        assert [(event["promptId"], event["by"]) for event in removed] == [
            (n, "bob") for n in ("a", "b", "c")
        ]
        assert await queued(ann, session) == []
        await bob.call("queue/remove", sessionId=session)
        waited = await ann.call("session/wait", sessionId=session, promptId="b")
        assert (waited["done"], waited["status"]) == (True, "removed")
        await ann.call("session/cancel", sessionId=session)
        await ann.end()
        assert (await ann.call("session/get", sessionId=session))["session"]["status"] == "idle"


@pytest.mark.parametrize("prompt_id", ["nobody", "first"])
async def test_a_prompt_that_does_not_wait_cannot_be_changed(home, prompt_id):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        for method, more in (("queue/update", {"position": 1}), ("queue/remove", {})):
            with pytest.raises(Refused) as refused:
                await ann.call(method, sessionId=session, promptId=prompt_id, **more)
            data = refused.value.error["data"]
            assert (data["kind"], data["resource"], data["id"]) == ("not_found", "prompt", prompt_id)
        with pytest.raises(Refused) as refused:
            await ann.call("queue/update", sessionId=session, promptId=prompt_id)
        assert refused.value.error["data"]["kind"] == "invalid_params"
        await ann.call("session/cancel", sessionId=session)
        await ann.end()


async def test_changes_of_the_queue_are_remembered_by_their_keys(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        for name in ("a", "b"):
            await ann.prompt(session, f"say {name}", promptId=name)
        move = {"sessionId": session, "promptId": "b", "position": 1, "key": "k"}
        first = await ann.call("queue/update", **move)
        await ann.call("queue/update", sessionId=session, promptId="a", position=1)
        assert await ann.call("queue/update", **move) == first | {"replayed": True}
        assert await queued(ann, session) == ["a", "b"], "not moved again"
        with pytest.raises(Refused) as refused:
            await ann.call("queue/update", **(move | {"position": 2}))
        assert refused.value.error["data"]["kind"] == "idempotency_conflict"
        remove = {"sessionId": session, "promptId": "a", "key": "r"}
        first = await ann.call("queue/remove", **remove)
        assert await ann.call("queue/remove", **remove) == first | {"replayed": True}
        await ann.call("session/cancel", sessionId=session, clearQueue=True)
        await ann.end()


async def test_a_prompt_being_moved_as_it_starts_is_either_moved_or_started(home):
    """Both are written at once: the queue and the log agree, whichever came first."""
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        for number in range(30):
            name = f"p{number}"
            await ann.prompt(session, WAITS, promptId=name)
            run = f"r{number + 1}"
            cancel = ann.request("session/cancel", {"sessionId": session, "runId": run})
            change = ann.request(
                "queue/update", {"sessionId": session, "promptId": name, "content": text_content(WAITS)}
            )
            await ann.send(*((cancel, change) if number % 2 else (change, cancel)))
            await ann.answer(cancel["id"])
            answer = await ann.answer(change["id"])
            started = await ann.event("run_started", promptId=name)
            changed = [event for event in ann.heard("prompt_updated", promptId=name) if "content" in event]
            assert ("result" in answer) == (len(changed) == 1)
            if changed:
                assert changed[0]["seq"] < started["seq"]
        await ann.call("session/cancel", sessionId=session)
        await ann.event("run_cancelled", runId="r31")


# One prompt is one prompt -----------------------------------------------------------------------------------


async def test_the_same_prompt_over_two_connections_and_after_a_kill_is_one_run(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann, bob = await daemon.person("ann"), await daemon.person("bob", over="tcp", framing="headers")
        session = await ann.begin(home.work)
        params = {"sessionId": session, "promptId": "p", "content": text_content("say once")}
        one, two = ann.request("session/prompt", params), bob.request("session/prompt", params)
        await ann.send(one)
        await bob.send(two)
        results = [(await ann.answer(one["id"]))["result"], (await bob.answer(two["id"]))["result"]]
        assert sorted(result.pop("replayed", False) for result in results) == [False, True]
        assert results[0] == results[1]
        await ann.end()
        head = ann.events[-1]["seq"]
        await daemon.restart()
        cat = await daemon.person("cat")
        again = await cat.call("session/prompt", **params)
        assert again == results[0] | {"replayed": True}
        with pytest.raises(Refused) as refused:
            await cat.call("session/prompt", **(params | {"content": text_content("say other")}))
        assert refused.value.error["data"]["kind"] == "idempotency_conflict"
        log = await cat.log(session)
        assert len(log) == head
        assert [event["type"] for event in log].count("prompt_received") == 1


async def test_the_same_prompt_with_another_delivery_is_still_one(home):
    async with resident(home) as daemon:
        ann, session = await begin_hanging(daemon, home)
        first = await ann.prompt(session, "say once", promptId="p")
        bob = await daemon.person("bob")
        for delivery in ("queue", "steer", "interrupt", "reject"):
            again = await bob.prompt(session, "say once", promptId="p", delivery=delivery)
            assert again == first | {"replayed": True}
        assert await queued(ann, session) == ["p"]
        assert ann.heard("run_cancelled") == []
        await ann.call("session/cancel", sessionId=session)
        assert [(await ann.end())["type"] for _ in range(2)] == ["run_cancelled", "run_completed"]


@pytest.mark.usefixtures("recorder")
async def test_a_delivered_prompt_sent_again_enters_no_second_time(home):
    async with resident(home) as daemon:
        ann, session, asked = await begin_asking(daemon, home)
        first = await ann.prompt(session, "say steered", promptId="s", delivery="steer")
        await ann.answer_request(asked, "allow")
        await ann.end()
        again = await ann.prompt(session, "say steered", promptId="s", delivery="steer")
        assert again == first | {"replayed": True}
        assert len(ann.heard("run_started")) == 1
        assert (await ann.call("session/get", sessionId=session))["session"]["status"] == "idle"


# Held -------------------------------------------------------------------------------------------------------


async def test_a_held_queue_is_shown_as_held_and_goes_on_when_continued(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        slow = {"text": {"value": "slow ", "delta_chars": 1, "delay_ms": 2, "repeat": 20, "end": False}}
        broken = script([slow, {"error": {"kind": "overloaded", "message": "no"}}])
        await ann.prompt(session, broken)
        await ann.event("token_delta")
        await ann.prompt(session, "say later", promptId="later")
        assert (await ann.end())["type"] == "run_failed"
        listed = await ann.call("queue/list", sessionId=session)
        assert (listed["held"], [item["promptId"] for item in listed["prompts"]]) == (True, ["later"])
        for delivery in ("queue", "steer"):
            result = await ann.prompt(session, f"say {delivery}", promptId=delivery, delivery=delivery)
            assert result["status"] == "queued"
        with pytest.raises(Refused) as refused:
            await ann.prompt(session, "say no", delivery="reject")
        assert refused.value.error["data"]["kind"] == "busy"
        await ann.call("queue/remove", sessionId=session, promptId="later")
        await ann.call("session/continue", sessionId=session)
        assert (await ann.event("run_started"))["continues"] == "r1"
        await ann.end()
        for name in ("steer", "queue"):
            assert (await ann.event("run_started"))["promptId"] == name
            await ann.end()


async def test_a_prompt_that_interrupts_starts_though_the_queue_is_held(home):
    """Nothing runs that it could wait for, and nobody would tell it to go on."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        steps = [{"text": {"value": "slow", "delay_ms": 20}}, {"error": {"kind": "overloaded"}}]
        await ann.prompt(session, script(steps))
        await ann.prompt(session, "say later", promptId="later")
        assert (await ann.end())["type"] == "run_failed"
        result = await ann.prompt(session, "say now", promptId="now", delivery="interrupt")
        assert result["status"] == "started"
        for name in ("now", "later"):
            assert (await ann.event("run_started"))["promptId"] == name
            assert (await ann.end())["type"] == "run_completed"
