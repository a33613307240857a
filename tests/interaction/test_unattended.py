"""What becomes of a question when nobody is here (failures.md section 2: a headless ask that hangs)."""

import asyncio

import anyio
import pytest
from interaction_world import resident
from person import calling, script, shell

from holdfast_daemon.config import SessionLimits
from holdfast_daemon.sessions import request_mutations

SOON = SessionLimits(request_expiry_s=1)

DONE = {"text": "done"}

ASKING = script(calling(shell("echo x >> ran")), DONE)


async def begin(daemon, home, unattended, answers=("permission", "question")):
    """Make a session; somebody who can answer so much is subscribed to it."""
    ann = await daemon.person("ann", answers)
    return ann, await ann.begin(home.work, unattended=unattended)


async def test_with_nobody_here_a_session_waits_by_default(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.create(home.work)
        await ann.prompt(session, ASKING)
        waited = await ann.call("session/wait", sessionId=session, runId="r1", timeoutMs=50)
        assert (waited["done"], waited["status"]) == (False, "paused")
        await ann.follow(session)
        asked = await ann.event("request_opened")
        assert "expiresAt" not in asked
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        assert (await ann.end())["type"] == "run_completed"


NOBODY = [
    "nobody",
    "an observer",
    "a client that answers nothing",
    "one that answers other kinds",
    "unsubscribed",
]


async def somebody(daemon, owner, session, who):
    """Let somebody come who cannot answer."""
    if who == "an observer":
        token = (await owner.call("token/create", name="o", role="observer"))["token"]
        await (await daemon.person("observer", token=token)).follow(session)
    elif who == "a client that answers nothing":
        await (await daemon.person("mute", answers=())).follow(session)
    elif who == "one that answers other kinds":
        await (await daemon.person("other", answers=("question", "form"))).follow(session)
    elif who == "unsubscribed":
        person = await daemon.person("gone")
        await person.follow(session)
        await person.call("session/unsubscribe", sessionId=session)


@pytest.mark.parametrize("who", NOBODY)
async def test_deny_answers_at_once_where_nobody_can(home, who):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "deny", answers=())
        await somebody(daemon, ann, session, who)
        await ann.prompt(session, ASKING)
        asked = await ann.event("request_opened")
        resolved = await ann.event("request_resolved")
        assert (resolved["outcome"], resolved["by"]) == ("deny", "unattended")
        assert resolved["requestId"] == asked["requestId"]
        assert "expiresAt" not in asked
        failed = await ann.event("tool_call_failed")
        assert failed["error"]["kind"] == "denied"
        assert (await ann.end())["type"] == "run_completed"
        assert ann.heard("run_paused") == []
    assert not (home.work / "ran").exists()


@pytest.mark.parametrize("who", NOBODY)
async def test_fail_ends_the_run_where_nobody_can_answer(home, who):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "fail", answers=())
        await somebody(daemon, ann, session, who)
        await ann.prompt(session, ASKING)
        resolved = await ann.event("request_resolved")
        assert (resolved["outcome"], resolved["by"]) == ("fail", "unattended")
        ended = await ann.end()
        assert (ended["type"], ended["error"]["kind"]) == ("run_failed", "unattended")
    assert not (home.work / "ran").exists()


@pytest.mark.parametrize("unattended", ["deny", "fail"])
async def test_an_approver_who_subscribes_is_somebody(home, unattended):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, unattended, answers=())
        token = (await ann.call("token/create", name="a", role="approver"))["token"]
        bob = await daemon.person("bob", ("permission",), token=token)
        await bob.follow(session)
        await ann.prompt(session, ASKING)
        asked = await bob.event("request_opened")
        assert asked["expiresAt"] - asked["at"] == pytest.approx(30 * 60 * 1000, abs=5000)
        assert (await bob.answer_request(asked, "allow"))["accepted"]
        assert (await ann.end())["type"] == "run_completed"
    assert (home.work / "ran").exists()


@pytest.mark.parametrize(("unattended", "ending"), [("deny", "run_completed"), ("fail", "run_failed")])
async def test_a_plan_nobody_can_answer_ends_the_run(home, unattended, ending):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, unattended, answers=("permission",))
        await ann.call("session/update", sessionId=session, mode="plan")
        await ann.prompt(session, "say a plan")
        asked = await ann.event("request_opened", kind="question")
        assert (await ann.event("request_resolved", requestId=asked["requestId"]))["by"] == "unattended"
        ended = await ann.end()
        assert ended["type"] == ending
        assert len(ann.heard("plan_generated")) == 1
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings["mode"] == "plan"


async def test_what_runs_without_asking_runs_with_nobody_here(home):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "fail", answers=())
        await ann.prompt(session, "read notes")
        assert (await ann.end())["type"] == "run_completed"


async def test_of_parallel_calls_the_first_that_asks_ends_the_run_that_is_to_fail(home):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "fail", answers=())
        calls = calling(("read", {"path": "notes"}), shell("echo x >> ran"), shell("echo y >> ran"))
        await ann.prompt(session, script(calls, DONE))
        ended = await ann.end()
        assert (ended["type"], ended["error"]["kind"]) == ("run_failed", "unattended")
        outcomes = ann.heard("tool_call_completed", "tool_call_failed")
        assert len({event["toolCallId"] for event in outcomes}) == 3
    assert not (home.work / "ran").exists()


async def test_after_a_failed_run_the_queue_is_held(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "fail", answers=())
        await ann.prompt(
            session,
            script(
                {"text": {"value": "slow ", "delay_ms": 1, "delta_chars": 1, "repeat": 20}},
                calling(shell("true")),
            ),
        )
        await ann.prompt(session, ASKING, promptId="first")
        await ann.prompt(session, "say later", promptId="later")
        assert (await ann.end())["type"] == "run_completed"
        assert (await ann.end())["type"] == "run_failed"
        queue = await ann.call("queue/list", sessionId=session)
        assert (queue["held"], [item["promptId"] for item in queue["prompts"]]) == (True, ["later"])


@pytest.mark.parametrize(
    ("unattended", "outcome", "ending"), [("deny", "deny", "run_completed"), ("fail", "fail", "run_failed")]
)
async def test_somebody_who_leaves_is_waited_for_until_the_expiry(home, unattended, outcome, ending):
    async with resident(home, sessions=SOON) as daemon:
        ann, session = await begin(daemon, home, unattended, answers=())
        bob = await daemon.person("bob")
        await bob.follow(session)
        await ann.prompt(session, ASKING)
        asked = await bob.event("request_opened")
        bob.close()
        resolved = await ann.event("request_resolved")
        assert (resolved["outcome"], resolved["by"]) == (outcome, "expired")
        assert resolved["at"] >= asked["expiresAt"]
        assert (await ann.end())["type"] == ending
        late = await (await daemon.person("cat")).answer_request(asked, "allow")
        assert (late["accepted"], late["outcome"], late["by"]) == (False, outcome, "expired")
    assert not (home.work / "ran").exists()


async def test_an_answer_before_the_expiry_counts_and_the_expiry_does_nothing(home, monkeypatch):
    async with resident(home, sessions=SOON) as daemon:
        ann, session = await begin(daemon, home, "deny")
        await ann.prompt(session, script(calling(shell("echo x >> ran")), {"text": "done", "hang": True}))
        asked = await ann.event("request_opened")
        await ann.answer_request(asked, "allow")
        await ann.event("tool_call_completed")
        inbox = daemon.registry.live(session)._inbox
        posted = []
        monkeypatch.setattr(inbox, "post", lambda item, post=inbox.post: (posted.append(item), post(item)))
        with anyio.fail_after(10):
            while not any(isinstance(item, request_mutations.Expire) for item in posted):
                await ann.call("ping")
        await ann.call("session/cancel", sessionId=session)
        await ann.end()
        assert len(ann.heard("request_resolved")) == 1
    assert (home.work / "ran").read_text(encoding="utf-8") == "x\n"


async def test_who_comes_later_may_answer_what_waits(home):
    """`wait` has no expiry: whoever comes, and whenever, is shown the question."""
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "wait")
        await ann.prompt(session, ASKING)
        await ann.event("run_paused")
        ann.close()
        bob = await daemon.person("bob")
        snapshot = (await bob.follow(session, "head"))["snapshot"]
        asked = snapshot["requests"][0] | {"session": session}
        assert (await bob.answer_request(asked, "allow"))["accepted"]
        assert (await bob.end())["type"] == "run_completed"


async def test_the_rule_for_absence_changes_in_mid_session(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "wait", answers=())
        await ann.prompt(session, ASKING)
        waiting = await ann.event("request_opened")
        await ann.call("session/update", sessionId=session, unattended="deny")
        assert await ann.open_requests(session) == [waiting["requestId"]], "what waits waits on"
        await ann.answer_request(waiting, "deny")
        await ann.end()
        await ann.prompt(session, ASKING)
        assert (await ann.event("request_resolved"))["by"] == "unattended"
        await ann.end()


async def test_a_deleted_session_leaves_nothing_that_waits_for_an_expiry(home):
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, "deny")
        await ann.prompt(session, ASKING)
        assert "expiresAt" in await ann.event("request_opened")
        name = f"session {session}"
        assert name in {task.get_name() for task in asyncio.all_tasks()}
        await ann.call("session/delete", sessionId=session)
        with anyio.fail_after(10):
            while name in {task.get_name() for task in asyncio.all_tasks()}:
                await ann.call("ping")
