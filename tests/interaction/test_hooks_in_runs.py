"""Hooks in real runs: what they do to a call is in the log, and where they fail the call is refused (D33)."""

import os
from contextlib import suppress

import anyio
import pytest
from interaction_world import Killable, resident, within
from person import calling, script, shell

from holdfast_daemon.config import HookSpec

DONE = {"text": "done"}

PRE, POST = "pre_tool_use", "post_tool_use"


def hook(name, event=PRE, **more):
    return HookSpec(event=event, target=f"interaction_hooks:{name}", **more)


def lines(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


async def run_call(daemon, home, call, **settings):
    """Have one call made in a new session; give somebody who has seen the run's end."""
    ann = await daemon.person("ann")
    session = await ann.begin(home.work, **settings)
    await ann.prompt(session, script(calling(call), DONE))
    await ann.end()
    return ann


def only(person, kind):
    found = person.heard(kind)
    assert len(found) == 1, found
    return found[0]


async def test_a_hook_denies_before_anybody_is_asked(home):
    async with resident(home, hooks=(hook("denies_shell"),)) as daemon:
        ann = await run_call(daemon, home, shell("echo x >> ran"))
        denied = only(ann, "hook_denied")
        assert (denied["hook"], denied["event"]) == ("interaction_hooks:denies_shell", PRE)
        assert denied["reason"] == "no shell here"
        failed = only(ann, "tool_call_failed")
        assert failed["error"] == {"kind": "hook_denied", "message": "no shell here"}
        assert denied["toolCallId"] == failed["toolCallId"]
        assert ann.heard("request_opened", "tool_call_started", "hook_executed") == []
        assert ann.events[-1]["type"] == "run_completed"
    assert not (home.work / "ran").exists()


async def test_a_hook_lets_other_tools_go_on_and_says_so(home):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    async with resident(home, hooks=(hook("denies_shell"),)) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "notes"}))
        executed = only(ann, "hook_executed")
        assert executed["decision"] == "allow"
        assert executed["seq"] < only(ann, "tool_call_started")["seq"]
        only(ann, "tool_call_completed")


async def test_people_are_asked_about_what_a_hook_made_of_the_call_and_that_runs(home):
    async with resident(home, hooks=(hook("renames"),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo >> ran")), DONE))
        asked = await ann.event("request_opened")
        assert asked["detail"]["input"] == {"command": "echo >> ran from-hook"}
        assert asked["detail"]["match"] == "echo >> ran from-hook"
        assert only(ann, "hook_executed")["decision"] == "modify"
        await ann.answer_request(asked, "allow")
        started = await ann.event("tool_call_started")
        assert started["input"] == asked["detail"]["input"]
        assert "from-hook" in started["title"]
        await ann.end()
    assert lines(home.work / "ran") == ["from-hook"]


async def test_rules_are_about_what_a_hook_made_of_the_call(home):
    async with resident(home, hooks=(hook("renames"),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo >> ran")), DONE))
        await ann.answer_request(await ann.event("request_opened"), "allow", scope="session")
        await ann.end()
        await ann.prompt(session, script(calling(shell("echo >> ran")), DONE))
        await ann.end()
        assert len(ann.heard("request_opened")) == 1
        await ann.prompt(session, script(calling(shell("echo >> ran from-hook")), DONE))
        await ann.answer_request(await ann.event("request_opened"), "deny")
        await ann.end()
    assert lines(home.work / "ran") == ["from-hook", "from-hook"]


async def test_what_a_hook_made_of_a_call_is_checked_again(home):
    async with resident(home, hooks=(hook("breaks_the_input"),)) as daemon:
        ann = await run_call(daemon, home, shell("echo x >> ran"), mode="auto")
        assert only(ann, "hook_executed")["decision"] == "modify"
        assert only(ann, "tool_call_failed")["error"]["kind"] == "invalid_input"
        assert ann.heard("request_opened", "tool_call_started") == []


async def test_a_hook_opens_nothing_that_the_mode_refuses(home):
    async with resident(home, hooks=(hook("writes_elsewhere"),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="plan")
        await ann.prompt(session, script(calling(("write", {"path": "here", "content": "x"})), DONE))
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "denied"
        await ann.answer_request(await ann.event("request_opened"), "stop")
        await ann.end()
    assert list(home.work.iterdir()) == []


async def test_a_call_that_is_none_never_reaches_a_hook(home):
    async with resident(home, hooks=(hook("denies_shell"),)) as daemon:
        for call in (("shell", {"comand": "true"}), ("shel", {"command": "true"})):
            ann = await run_call(daemon, home, call)
            assert ann.heard("hook_denied", "hook_executed") == []
            assert only(ann, "tool_call_failed")["error"]["kind"] in {"invalid_input", "unknown_tool"}


async def test_a_hook_is_told_what_it_needs(home):
    async with resident(home, hooks=(hook("says_how_it_was_called"),)) as daemon:
        ann = await run_call(daemon, home, shell("true"), mode="accept_edits")
        members = ["cwd", "event", "input", "mode", "runId", "sessionId", "tool", "toolCallId"]
        assert only(ann, "hook_denied")["reason"] == f"{members} {PRE} shell accept_edits"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crashes", "The hook failed: RuntimeError: the hook is broken"),
        ("dies", "BrokenWorkerProcess"),
        ("hangs_async", "The hook took longer than 0.1 s."),
    ],
)
async def test_a_hook_that_fails_refuses_even_what_needs_no_asking(home, name, reason):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    async with resident(home, hooks=(hook(name, timeout_s=0.1 if name == "hangs_async" else 10),)) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "notes"}), mode="auto")
        assert reason in only(ann, "hook_denied")["reason"]
        assert only(ann, "tool_call_failed")["error"]["kind"] == "hook_denied"
        assert ann.heard("tool_call_started") == []
        assert ann.events[-1]["type"] == "run_completed"


async def test_a_sync_hook_that_hangs_is_killed_and_has_refused(home):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    hooks = (hook("warms_up", timeout_s=30), hook("hangs", timeout_s=0.3))
    async with resident(home, hooks=hooks) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "notes"}))
        assert only(ann, "hook_denied")["reason"] == "The hook took longer than 0.3 s."
        pid = int((home.work / "pid").read_text(encoding="utf-8"))
        assert pid != os.getpid()
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                with within(10):
                    await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)


async def test_a_run_is_cancelled_in_the_middle_of_a_hook(home):
    async with resident(home, hooks=(hook("hangs_async", timeout_s=3600),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo x >> ran")), DONE))
        await ann.event("usage_updated")
        assert (await ann.call("session/cancel", sessionId=session))["cancelled"]
        assert (await ann.end())["type"] == "run_cancelled"
        assert only(ann, "tool_call_failed")["error"]["kind"] == "cancelled"


@pytest.mark.parametrize("name", ["exits_the_process", "exits_in_the_loop"])
async def test_a_hook_that_exits_refuses_and_the_daemon_stays(home, name):
    """In a process of its own: if this fails, whoever runs the hook is gone."""
    module = home.path / "exiting_hooks.py"
    module.write_text(
        "import sys\n"
        "def exits_the_process(call):\n    sys.exit(2)\n"
        "async def exits_in_the_loop(call):\n    sys.exit(2)\n",
        encoding="utf-8",
    )
    spec = HookSpec(event=PRE, target=f"exiting_hooks:{name}")
    with Killable(home, (spec,), path=str(home.path)) as daemon, within():
        await daemon.start()
        ann = await run_call(daemon, home, shell("echo x >> ran"))
        assert "SystemExit" in only(ann, "hook_denied")["reason"]
        assert ann.events[-1]["type"] == "run_completed"
        await ann.call("ping")


async def test_hooks_run_in_the_order_they_were_given_and_stop_at_a_refusal(home):
    hooks = (hook("one"), hook("two"), hook("denies_shell"), hook("renames"))
    async with resident(home, hooks=hooks) as daemon:
        ann = await run_call(daemon, home, shell("true"))
        found = [
            (event["type"], event["hook"].partition(":")[2])
            for event in ann.heard("hook_executed", "hook_denied")
        ]
        assert found == [("hook_executed", "one"), ("hook_executed", "two"), ("hook_denied", "denies_shell")]


async def test_a_daemon_with_a_hook_that_cannot_be_found_does_not_start(home):
    with pytest.raises(BaseExceptionGroup) as failure:
        async with resident(home, hooks=(hook("no_such_hook"),)):
            pass
    assert failure.group_contains(ValueError, match="no hook interaction_hooks:no_such_hook")


# After the call -------------------------------------------------------------------------------------------


async def test_a_post_hook_changes_what_the_model_sees_and_what_is_stored(home):
    (home.work / "notes").write_text("the secret word\n", encoding="utf-8")
    async with resident(home, hooks=(hook("redacts", POST),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "read notes")
        result = (await ann.event("tool_call_completed"))["result"][0]["text"]
        assert "[redacted] word" in result
        executed = only(ann, "hook_executed")
        assert (executed["event"], executed["decision"]) == (POST, "modify")
        told = await ann.event("content_block_end", kind="text")
        assert "secret" not in told["text"]
        await ann.end()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("withholds", "the model is not to see this"),
        ("crashes", "The hook failed: RuntimeError"),
        ("dies", "BrokenWorkerProcess"),
        ("hangs_async", "The hook took longer than 0.1 s."),
    ],
)
async def test_a_post_hook_that_refuses_or_fails_withholds_the_result(home, name, words):
    (home.work / "notes").write_text("the secret word\n", encoding="utf-8")
    timeout_s = 0.1 if name == "hangs_async" else 10
    async with resident(home, hooks=(hook(name, POST, timeout_s=timeout_s),)) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "notes"}))
        denied = only(ann, "hook_denied")
        assert (denied["event"], denied["hook"]) == (POST, f"interaction_hooks:{name}")
        assert words in denied["reason"]
        failed = only(ann, "tool_call_failed")
        assert failed["error"]["kind"] == "hook_denied"
        assert only(ann, "tool_call_started")["toolCallId"] == failed["toolCallId"]
        assert "secret" not in str(ann.events)


@pytest.mark.parametrize("name", ["answers_nonsense", "floods", "says_what_is_no_json"])
async def test_a_post_hook_that_makes_a_result_nobody_can_use_withholds_it(home, name):
    (home.work / "notes").write_text("the secret word\n", encoding="utf-8")
    async with resident(home, hooks=(hook(name, POST),)) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "notes"}))
        assert ann.events[-1]["type"] == "run_completed"
        results = ann.heard("tool_call_completed", "tool_call_failed")
        assert len(results) == 1
        assert results[0]["error"]["kind"] == "hook_denied"
        assert "secret" not in str(ann.events)


async def test_a_failed_call_has_no_result_for_a_post_hook(home):
    async with resident(home, hooks=(hook("withholds", POST),)) as daemon:
        ann = await run_call(daemon, home, ("read", {"path": "missing"}))
        assert ann.heard("hook_denied", "hook_executed") == []
        assert only(ann, "tool_call_failed")["error"]["kind"] == "not_found"


async def test_a_hosted_tool_goes_through_the_hooks_as_any_other(home):
    tool = {"name": "shell", "description": "Ours.", "inputSchema": {"type": "object"}, "kind": "read"}
    async with resident(home, hooks=(hook("denies_shell"),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.call("tool/register", sessionId=session, tools=[tool])
        await ann.prompt(session, script(calling(shell("true")), DONE))
        await ann.end()
        only(ann, "hook_denied")
        assert ann.notifications("tool/call") == []


LETS_OUT = [
    "lets_a_cancellation_out",
    "is_interrupted",
    "is_interrupted_in_its_process",
    "ends_as_a_generator",
]


@pytest.mark.parametrize("name", LETS_OUT)
async def test_whatever_a_hook_lets_out_refuses_its_call_and_nothing_else(home, name):
    async with resident(home, hooks=(hook(name),)) as daemon:
        ann = await run_call(daemon, home, ("list", {}))
        assert only(ann, "tool_call_failed")["error"]["kind"] == "hook_denied"
        assert ann.events[-1]["type"] == "run_completed"
        await ann.prompt(ann.events[-1]["session"], "say still here")
        assert (await ann.end())["type"] == "run_completed"


async def test_a_result_no_hook_has_seen_is_not_shown_when_the_call_is_cancelled(home):
    (home.work / "notes").write_text("TOPSECRET\n", encoding="utf-8")
    async with resident(home, hooks=(hook("waits_for_ever", POST, timeout_s=60),)) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(("read", {"path": "notes"})), DONE))
        started = await ann.event("tool_call_started")
        with within():
            while not (home.work / "in_the_hook").exists():
                await ann.call("ping")
        await ann.call("session/cancel", sessionId=session, toolCallId=started["toolCallId"])
        failed = await ann.event("tool_call_failed", "tool_call_completed")
        assert (failed["type"], failed["error"]["kind"]) == ("tool_call_failed", "cancelled")
        assert (await ann.end())["type"] == "run_completed"
        assert not any("TOPSECRET" in str(event) for event in ann.events)
