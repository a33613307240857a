"""Hooks of plugins in runs: they see the prompt, the calls and the end, and fail closed."""

import pytest
from extension_world import DONE, Witness, delegate, make_plugin, run_of, user_folder
from interaction_world import resident
from person import calling, script
from recorder import NAME

LOOK = ("list", {})


@pytest.fixture
def witness(monkeypatch):
    witness = Witness()
    witness.install(monkeypatch)
    return witness


@pytest.fixture
def plugins(home, monkeypatch):
    """The user's plugins, for daemons that are made from now on."""
    return user_folder(monkeypatch, home) / "plugins"


def hook(place, event, source, name="sample"):
    """Make a plugin with a function `hook`."""
    make_plugin(place, f"hooks:\n  - {{event: {event}, module: 'hooking:hook'}}\n", name, hooking=source)


def program(place, event, text, name="sample"):
    """Make a plugin with a program as a hook; half a second is all it gets."""
    manifest = f"hooks:\n  - {{event: {event}, command: [./hook.sh], timeout: 0.5}}\n"
    path = make_plugin(place, manifest, name) / "hook.sh"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


async def begin(daemon, home, **settings):
    ann = await daemon.person("ann")
    return ann, await ann.begin(home.work, **({"model": NAME, "mode": "auto"} | settings))


async def test_a_prompt_that_is_refused_meets_no_model(home, plugins, witness):
    hook(plugins, "prompt_received", "def hook(call): return {'decision': 'deny', 'reason': call['prompt']}")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, "say hello")
        ended = await ann.end()
        assert ended["type"] == "run_failed"
        assert (ended["error"]["kind"], ended["error"]["message"]) == ("hook_denied", "say hello")
        [denied] = ann.heard("hook_denied")
        assert (denied["hook"], denied["event"]) == ("sample/hooking:hook", "prompt_received")
        assert denied["reason"] == "say hello"
        assert denied["seq"] < ended["seq"]
        assert "toolCallId" not in denied
    assert witness.asked == []


async def test_a_prompt_that_is_changed_is_what_the_model_sees_and_the_log_says_so(home, plugins, witness):
    changing = "def hook(call): return {'decision': 'modify', 'prompt': 'say goodbye', 'reason': 'politer'}"
    hook(plugins, "prompt_received", changing)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, "say hello", promptId="p")
        await ann.end()
        [executed] = ann.heard("hook_executed")
        assert (executed["decision"], executed["reason"]) == ("modify", "politer")
        [updated] = ann.heard("prompt_updated")
        assert (updated["promptId"], updated["runId"]) == ("p", "r1")
        assert updated["content"] == [{"type": "text", "text": "say goodbye"}]
        [received] = ann.heard("prompt_received")
        assert received["content"][0]["text"] == "say hello", "what was typed stays in the log"
        assert witness.asked == [[("user", "say goodbye")]]
        await ann.call("session/close", sessionId=session)
        await ann.prompt(session, "say more")
        await ann.end()
    assert witness.asked[1][0] == ("user", "say goodbye"), "also after the log was read again"


async def test_each_hook_sees_the_prompt_as_the_one_before_left_it(home, plugins, witness):
    for name, word in (("first", "one"), ("second", "two")):
        source = f"def hook(call): return {{'decision': 'modify', 'prompt': call['prompt'] + ' {word}'}}"
        hook(plugins, "prompt_received", source, name)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, "say zero")
        await ann.end()
        assert [event["hook"].partition("/")[0] for event in ann.heard("hook_executed")] == [
            "first",
            "second",
        ]
    assert witness.asked == [[("user", "say zero one two")]]


async def test_a_prompt_that_steers_is_seen_before_the_model_sees_it(home, plugins, witness):
    """Refused, it is as if it had not been sent, and the run goes on; what is changed is what is told."""
    hook(
        plugins,
        "prompt_received",
        """
        def hook(call):
            if "secret" in call["prompt"]:
                return {"decision": "deny", "reason": "a secret"}
            if "loud" in call["prompt"]:
                return {"decision": "modify", "prompt": "say it softly"}
        """,
    )
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, mode="ask")
        await ann.prompt(session, script(calling(("write", {"path": "x", "content": ""})), DONE))
        asked = await ann.event("request_opened")
        for name in ("secret", "loud"):
            prompted = await ann.prompt(session, f"say it {name}", promptId=name, delivery="steer")
            assert prompted["status"] == "steered"
        await ann.answer_request(asked, "allow")
        assert (await ann.end())["type"] == "run_completed"
        [denied] = ann.heard("hook_denied")
        assert denied["reason"] == "a secret"
        assert (await ann.call("queue/list", sessionId=session))["prompts"] == []
        told = [text for who, text in witness.asked[-1] if who == "user"][1:]
        assert told == ["say it softly"]
        waited = await ann.call("session/wait", sessionId=session, promptId="secret", timeoutMs=0)
        assert waited["done"], "nobody waits for it for ever"
    assert "it secret" not in f"{witness.asked}"


async def test_a_prompt_that_is_made_no_text_is_refused(home, plugins, witness):
    hook(plugins, "prompt_received", "def hook(call): return {'decision': 'modify', 'prompt': {'a': 1}}")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, "say hello")
        ended = await ann.end()
        assert (ended["type"], ended["error"]["kind"]) == ("run_failed", "hook_denied")
    assert witness.asked == []


@pytest.mark.usefixtures("witness")
async def test_a_prompt_for_a_sub_agent_is_seen_too(home, plugins):
    source = "def hook(call): return {'decision': 'deny'} if 'secret' in call['prompt'][:30] else None"
    hook(plugins, "prompt_received", source)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, run_of(delegate({"text": "secret"})))
        assert (await ann.event("agent_failed"))["error"]["kind"] == "hook_denied"
        assert (await ann.end())["type"] == "run_completed"


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_the_end_of_a_run_is_told_before_it_is_in_the_log_and_not_prevented(home, plugins, decision):
    told = home.path / "told"
    source = f"""
    import json

    def hook(call):
        with open({str(told)!r}, "w") as file:
            json.dump(call, file)
        return {{"decision": "{decision}", "reason": "I would rather not"}}
    """
    hook(plugins, "run_completed", source)
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, model=None)
        await ann.prompt(session, script(calling(LOOK), DONE))
        ended = await ann.end()
        assert (ended["type"], ended["stopReason"]) == ("run_completed", "end_turn")
        [report] = ann.heard("hook_executed", "hook_denied")
        assert report["type"] == {"allow": "hook_executed", "deny": "hook_denied"}[decision]
        assert (report["event"], report["runId"]) == ("run_completed", "r1")
        assert report["seq"] == ended["seq"] - 1
    assert '"stopReason": "end_turn"' in told.read_text(encoding="utf-8")


async def test_an_end_that_is_none_of_its_own_is_not_told(home, plugins):
    told = home.path / "told"
    hook(plugins, "run_completed", f"def hook(call): open({str(told)!r}, 'w').close()")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, model=None)
        await ann.prompt(session, script({"text": "so far", "hang": True}))
        await ann.event("token_delta")
        await ann.call("session/cancel", sessionId=session)
        await ann.end()
        await ann.prompt(session, script({"error": {"kind": "overloaded", "message": "busy"}}))
        assert (await ann.end())["type"] == "run_failed"
    assert not told.exists()


FAILS = {
    "crash": ("kill -SEGV $$", "it ended with -11"),
    "exit": ("echo no >&2; exit 3", "it ended with 3: no"),
    "hang": ("exec sleep 1000", "The hook took longer than 0.5 s."),
    "garbage": ("cat >/dev/null; echo garbage", "it wrote no JSON"),
    "nonsense": ('cat >/dev/null; echo \'{"decision": "perhaps"}\'', "makes no sense"),
    "nothing": ("cat >/dev/null", "it wrote no JSON"),
}


@pytest.mark.parametrize("way", FAILS)
async def test_a_program_that_gives_no_answer_has_refused_and_is_named_with_the_reason(home, plugins, way):
    text, reason = FAILS[way]
    for event in ("pre_tool_use", "post_tool_use"):
        program(plugins, event, text, event.partition("_")[0])
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, model=None)
        await ann.prompt(session, run_of(LOOK))
        failed = await ann.event("tool_call_failed")
        assert failed["error"]["kind"] == "hook_denied"
        assert reason in failed["error"]["message"]
        [denied] = ann.heard("hook_denied")
        assert (denied["hook"], denied["event"]) == ("pre/./hook.sh", "pre_tool_use")
        assert reason in denied["reason"]
        assert denied["toolCallId"] == failed["toolCallId"]
        assert ann.heard("tool_call_started") == []
        assert (await ann.end())["type"] == "run_completed"


async def test_a_prompt_a_program_gives_no_answer_about_is_refused(home, plugins, witness):
    program(plugins, "prompt_received", "exit 1")
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home)
        await ann.prompt(session, "say hello")
        ended = await ann.end()
        assert (ended["type"], ended["error"]["kind"]) == ("run_failed", "hook_denied")
        assert "it ended with 1" in ended["error"]["message"]
    assert witness.asked == []


async def test_a_cancel_while_a_hook_works_ends_the_run_and_the_hook(home, plugins):
    begun = home.path / "begun"
    hook(
        plugins,
        "prompt_received",
        f"import os, time\ndef hook(call):\n    os.mkdir({str(begun)!r})\n    time.sleep(1000)",
    )
    async with resident(home) as daemon:
        ann, session = await begin(daemon, home, model=None)
        await ann.prompt(session, "say hello")
        while not begun.exists():
            await ann.call("ping")
        await ann.call("session/cancel", sessionId=session)
        assert (await ann.end())["type"] == "run_cancelled"
