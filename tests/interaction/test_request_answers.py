"""Which answers count: the first valid one, for exactly one call (design.md section 7; P10)."""

import anyio.lowlevel
import pytest
from interaction_world import resident
from person import calling, script, shell

from fakes.raw_client import Refused

DONE = {"text": "done"}


async def ask(daemon, home, *commands):
    ann = await daemon.person("ann")
    session = await ann.begin(home.work)
    await ann.prompt(session, script(calling(*map(shell, commands)), DONE))
    return ann, [await ann.event("request_opened") for _ in commands]


async def refused_kind(person, asked, outcome, **more):
    with pytest.raises(Refused) as refused:
        await person.answer_request(asked, outcome, **more)
    return refused.value.error["data"]


@pytest.mark.parametrize(
    "outcome",
    [
        "yes",
        "ok",
        "true",
        "ALLOW",
        "allow ",
        "allowed",
        "approve",
        "1",
        "cancelled",
        "fail",
        "expired",
        "Allow once",
    ],
)
async def test_an_unknown_outcome_never_approves_and_the_request_stays_open(home, outcome):
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "echo x >> ran")
        data = await refused_kind(ann, asked, outcome)
        assert (data["kind"], data["path"]) == ("invalid_params", "$.outcome")
        assert {"allow", "deny"} <= set(data["supported"])
        assert await ann.open_requests(asked["session"]) == [asked["requestId"]]
        assert ann.heard("request_resolved") == []
        assert (await ann.answer_request(asked, "deny"))["accepted"], "a wrong answer takes nobody's turn"
        await ann.end()
    assert not (home.work / "ran").exists()


@pytest.mark.parametrize(
    ("more", "path"),
    [({"scope": "forever"}, "$.scope"), ({"outcome": ""}, "$.outcome"), ({"message": 5}, "$.message")],
)
async def test_an_answer_that_is_none_is_refused(home, more, path):
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "true")
        with pytest.raises(Refused) as refused:
            await ann.call("request/respond", **(ann.answering(asked, "allow") | more))
        assert refused.value.error["data"]["path"] == path
        assert await ann.open_requests(asked["session"]) == [asked["requestId"]]
        await ann.answer_request(asked, "deny")
        await ann.end()


async def test_a_late_answer_learns_which_one_counts(home):
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "echo x >> ran")
        bob = await daemon.person("bob")
        first = await ann.answer_request(asked, "deny", message="no")
        for outcome in ("allow", "deny", "nonsense"):
            late = await bob.answer_request(asked, outcome)
            assert (late["accepted"], late["outcome"], late["by"]) == (False, "deny", "ann")
            assert late["seq"] >= first["seq"]
        await ann.end()
        assert len(ann.heard("request_resolved")) == 1
    assert not (home.work / "ran").exists()


async def test_the_winner_who_asks_again_is_told_that_it_won(home):
    """Its connection was lost before the answer came: it sends the same again."""
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "true")
        first = await ann.answer_request(asked, "allow")
        again = await daemon.person("ann")
        repeated = await again.answer_request(asked, "allow")
        assert (repeated["accepted"], repeated["outcome"], repeated["replayed"]) == (True, "allow", True)
        other = await again.answer_request(asked, "deny")
        assert (other["accepted"], other["outcome"]) == (False, "allow")
        assert "replayed" not in first
        await ann.end()
        assert len(ann.heard("request_resolved")) == 1


async def test_a_key_gives_the_same_answer_twice_and_refuses_another(home):
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "true")
        first = await ann.answer_request(asked, "allow", key="k")
        again = await ann.answer_request(asked, "allow", key="k")
        assert again == first | {"replayed": True}
        assert (await refused_kind(ann, asked, "deny", key="k"))["kind"] == "idempotency_conflict"
        await ann.end()


@pytest.mark.parametrize("request_id", ["r1-m1-t2-q", "r2-m1-t1-q", "nonsense"])
async def test_a_request_that_was_never_made_is_not_found(home, request_id):
    async with resident(home) as daemon:
        ann, (asked,) = await ask(daemon, home, "true")
        data = await refused_kind(ann, asked | {"requestId": request_id}, "allow")
        assert (data["kind"], data["resource"]) == ("not_found", "request")
        await ann.answer_request(asked, "deny")
        await ann.end()


async def test_an_answer_is_for_the_session_it_names(home):
    """Request ids repeat from session to session; the other one's is not answered."""
    async with resident(home) as daemon:
        ann, (one,) = await ask(daemon, home, "echo one >> ran")
        two_session = await ann.begin(home.work)
        await ann.prompt(two_session, script(calling(shell("echo two >> ran")), DONE))
        two = await ann.event("request_opened", session=two_session)
        assert one["requestId"] == two["requestId"]
        assert one["detail"]["binding"] != two["detail"]["binding"]
        await ann.answer_request(two, "allow")
        await ann.event("run_completed", session=two_session)
        assert await ann.open_requests(one["session"]) == [one["requestId"]]
        await ann.answer_request(one, "deny")
        await ann.event("run_completed", session=one["session"])
    assert (home.work / "ran").read_text(encoding="utf-8") == "two\n"


async def test_an_approval_is_for_one_of_two_equal_calls(home):
    async with resident(home) as daemon:
        ann, (one, two) = await ask(daemon, home, "echo x >> ran", "echo x >> ran")
        await ann.answer_request(two, "allow")
        await ann.event("tool_call_completed", toolCallId=two["toolCallId"])
        assert await ann.open_requests(one["session"]) == [one["requestId"]]
        await ann.answer_request(one, "deny")
        await ann.end()
    assert (home.work / "ran").read_text(encoding="utf-8") == "x\n"


async def test_open_requests_of_all_sessions_are_listed(home):
    async with resident(home) as daemon:
        ann, (one, two) = await ask(daemon, home, "true", "false")
        other = await ann.begin(home.work, mode="plan")
        await ann.prompt(other, "say a plan")
        plan = await ann.event("request_opened", session=other)
        listed = (await ann.call("request/list"))["requests"]
        found = {(item["sessionId"], item["request"]["requestId"]) for item in listed}
        assert found == {(asked["session"], asked["requestId"]) for asked in (one, two, plan)}
        assert [item["request"]["seq"] for item in listed[:2]] == [one["seq"], two["seq"]]
        for session in (one["session"], other):
            await ann.call("session/cancel", sessionId=session)
            await ann.event("run_cancelled", session=session)
        assert (await ann.call("request/list"))["requests"] == []


async def test_a_run_is_paused_from_its_first_open_question_to_its_last(home):
    async with resident(home) as daemon:
        ann, (one, two, three) = await ask(daemon, home, "true", "true", "true")

        async def status():
            return (await ann.call("session/get", sessionId=one["session"]))["session"]["status"]

        for asked in (two, one):
            await ann.answer_request(asked, "allow")
            assert await status() == "paused"
        await ann.answer_request(three, "allow")
        await ann.end()
        types = [
            e["type"] for e in ann.heard("run_paused", "run_resumed", "request_opened", "request_resolved")
        ]
        assert types == [
            "request_opened",
            "run_paused",
            *["request_opened"] * 2,
            *["request_resolved"] * 3,
            "run_resumed",
        ]


async def test_a_message_with_a_denial_is_told_to_the_model_and_one_with_an_allowance_is_kept(home):
    async with resident(home) as daemon:
        ann, (one, two) = await ask(daemon, home, "true", "false")
        await ann.answer_request(one, "deny", message="use make")
        assert "ann says: use make" in (await ann.event("tool_call_failed"))["error"]["message"]
        await ann.answer_request(two, "allow", message="careful")
        await ann.end()
        assert [event["message"] for event in ann.heard("request_resolved")] == ["use make", "careful"]


async def test_cancelling_the_run_resolves_what_it_asked_for_everybody(home):
    async with resident(home) as daemon:
        ann, asked = await ask(daemon, home, "true", "true")
        bob = await daemon.person("bob")
        await bob.call("session/cancel", sessionId=asked[0]["session"])
        resolved = [await ann.event("request_resolved") for _ in asked]
        assert {(event["outcome"], event["by"]) for event in resolved} == {("cancelled", "bob")}
        assert (await ann.end())["by"] == "bob"
        late = await ann.answer_request(asked[0], "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, "cancelled", "bob")


async def apart(first, second, turns):
    """Send two messages, so many turns of the loop apart."""
    await first[0].send(first[1])
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    await second[0].send(second[1])


@pytest.mark.parametrize("answer_first", [True, False])
async def test_answer_and_cancel_at_the_same_moment_leave_one_outcome(home, answer_first):
    """Whichever is read first, and at whatever point of the other's work, the log keeps its rules."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        bob = await daemon.person("bob")
        session = await ann.begin(home.work)
        (home.work / "ran").touch()
        for turns in range(60):
            await ann.prompt(session, script(calling(shell("echo x >> ran")), DONE))
            asked = await ann.event("request_opened")
            answer = ann.request("request/respond", ann.answering(asked, "allow"))
            cancel = bob.request("session/cancel", {"sessionId": session, "runId": asked["runId"]})
            pair = [(ann, answer), (bob, cancel)]
            await apart(*(pair if answer_first else reversed(pair)), turns)
            result = (await ann.answer(answer["id"]))["result"]
            await bob.answer(cancel["id"])
            resolved = await ann.event("request_resolved", requestId=asked["requestId"], runId=asked["runId"])
            assert result["outcome"] == resolved["outcome"] in {"allow", "cancelled"}
            assert result["accepted"] == (resolved["outcome"] == "allow")
            await ann.end()
        started = len(ann.heard("tool_call_started"))
        ran = (
            (home.work / "ran").read_text(encoding="utf-8").count("x") if (home.work / "ran").exists() else 0
        )
        assert ran <= started
