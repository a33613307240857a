"""Nothing of a project is read before a person trusted its directory (security.md T7)."""

import os

import pytest
from extension_world import (
    DONE,
    Witness,
    delegate,
    everything,
    make_plugin,
    project_plugin,
    run_of,
)
from interaction_world import Killable, resident, within
from person import script
from recorder import NAME

from fakes.raw_client import Refused

CANARY = "Always sing like a canary."

SKILL = """
skills:
  - module: singing:sing
mcp_servers:
  - {name: cage, type: stdio, command: ./cage.py}
hooks:
  - {event: prompt_received, module: 'singing:heard'}
prompts:
  - {name: sing, file: sing.py}
"""

SINGING = """
from pathlib import Path

Path({mark!r}).touch()  # An import leaves this.


def sing() -> str:
    \"\"\"Sing.\"\"\"
    return "tweet"


def heard(call):
    return None
"""


@pytest.fixture
def mark(home):
    """A project that leaves a mark as soon as anything of it runs; its AGENTS.md is a canary."""
    mark = home.path / "mark"
    source = SINGING.format(mark=str(mark))
    folder = project_plugin(home, SKILL, singing=source, sing=CANARY)
    (folder / "cage.py").write_text(f"#!/bin/sh\ntouch {mark}\n", encoding="utf-8")
    (folder / "cage.py").chmod(0o755)
    (home.work / "AGENTS.md").write_text(CANARY, encoding="utf-8")
    return mark


@pytest.fixture
def witness(monkeypatch):
    witness = Witness()
    witness.install(monkeypatch)
    return witness


async def trust_question(person):
    asked = await person.event("request_opened")
    assert asked["detail"]["question"] == "trust"
    return asked


async def test_nothing_of_a_project_is_read_before_trust_and_all_of_it_after(home, mark, witness):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME, mode="auto")
        for method in ("command/list", "plugin/list", "mcp/list", "agent/list", "tool/list"):
            await ann.call(method, sessionId=session)
        await ann.call("plugin/list", cwd=str(home.work))
        await ann.prompt(session, "/sing say hello")
        asked = await trust_question(ann)
        assert asked["detail"]["directory"] == str(home.work)
        assert asked["detail"]["has"] == [".holdfast/plugins", "AGENTS.md"]
        assert witness.asked == [], "the model waits for the answer too"
        await ann.answer_request(asked, "deny")
        assert (await ann.end())["type"] == "run_completed"
        await ann.call("session/export", sessionId=session)
        assert not mark.exists()
        assert "canary" not in everything(ann)
        assert "canary" not in f"{witness.systems} {witness.asked}"

        other = await ann.begin(home.work, model=NAME, mode="auto")
        await ann.prompt(other, run_of(("sing", {})))
        await ann.answer_request(await trust_question(ann), "allow_always")
        assert (await ann.event("session_updated"))["instructions"][0]["text"] == CANARY
        assert (await ann.event("tool_call_completed"))["result"][0]["text"] == "tweet"
        await ann.end()
        assert mark.exists()
        assert CANARY in witness.systems[-1]


@pytest.mark.usefixtures("mark")
async def test_it_is_asked_once_and_anybody_who_may_answers_it(home, witness):
    async with resident(home) as daemon:
        ann, bob = await daemon.person("ann"), await daemon.person("bob")
        session = await ann.begin(home.work, model=NAME, mode="auto")
        await ann.prompt(session, "say hello")
        await trust_question(ann)
        [waiting] = (await bob.call("request/list"))["requests"]
        answer = {"requestId": waiting["request"]["requestId"], "outcome": "allow_always"}
        assert (await bob.call("request/respond", sessionId=waiting["sessionId"], **answer))["accepted"]
        resolved = await ann.event("request_resolved")
        assert (resolved["by"], resolved["outcome"]) == ("bob", "allow")
        await ann.end()
        [trusted] = (await bob.call("trust/list"))["directories"]
        assert trusted["path"] == str(home.work)

        await ann.prompt(session, "say hello")
        await ann.end()
        fresh = await ann.begin(home.work, model=NAME)
        await ann.prompt(fresh, "say hello")
        await ann.end()
        assert len(ann.heard("request_opened")) == 1
        [started] = ann.heard("session_started", session=fresh)
        assert started["instructions"][0]["text"] == CANARY, "the first event has them"
        assert all(CANARY in system for system in witness.systems)


@pytest.mark.usefixtures("mark")
async def test_who_says_no_is_asked_again_only_in_another_session(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "deny")
        await ann.end()
        await ann.prompt(session, "say hello")
        assert (await ann.end())["type"] == "run_completed"
        assert len(ann.heard("request_opened")) == 1
        other = await ann.begin(home.work)
        await ann.prompt(other, "say hello")
        await ann.answer_request(await trust_question(ann), "deny")
        await ann.end()
        assert (await ann.call("trust/list"))["directories"] == []


@pytest.mark.usefixtures("mark")
async def test_the_sub_agents_of_who_says_no_do_not_ask_again(home):
    """They are the same session for whoever answered."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(delegate(DONE), delegate(DONE)))
        await ann.answer_request(await trust_question(ann), "deny")
        completed = await ann.event("agent_completed", "agent_failed")
        assert completed["type"] == "agent_completed"
        assert (await ann.end())["type"] == "run_completed"
        assert (await ann.call("request/list"))["requests"] == []


@pytest.mark.parametrize("unattended", ["deny", "fail"])
async def test_where_nobody_is_here_the_run_goes_on_without(home, mark, witness, unattended):
    async with resident(home) as daemon:
        ann = await daemon.person("ann", answers=())
        session = await ann.begin(home.work, model=NAME, unattended=unattended)
        for _ in range(2):
            await ann.prompt(session, "say hello")
            assert (await ann.end())["type"] == "run_completed"
        resolved = ann.heard("request_resolved")
        assert [event["by"] for event in resolved] == ["unattended"]
        assert not mark.exists()
        assert "canary" not in f"{witness.systems}"


async def test_a_run_cancelled_while_it_asks_leaves_no_question_and_the_next_one_asks(home, mark):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "say hello")
        await trust_question(ann)
        assert (await ann.call("session/cancel", sessionId=session))["cancelled"]
        assert (await ann.end())["type"] == "run_cancelled"
        assert (await ann.call("request/list"))["requests"] == []
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "deny")
        assert (await ann.end())["type"] == "run_completed"
        assert not mark.exists()


async def test_a_daemon_killed_while_it_asks_goes_on_when_it_is_answered_after_the_restart(home, mark):
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode="auto")
        await ann.prompt(session, run_of(("sing", {})))
        asked = await trust_question(ann)
        await daemon.restart()
        assert not mark.exists()
        bob = await daemon.person("bob")
        await bob.follow(session)
        assert await bob.open_requests(session) == [asked["requestId"]]
        await bob.answer_request(asked, "allow_always")
        assert (await bob.event("tool_call_completed"))["result"][0]["text"] == "tweet"
        ended = await bob.end()
        assert (ended["type"], ended["runId"]) == ("run_completed", asked["runId"])
        assert len(bob.heard("request_opened")) == 1
        assert bob.heard("session_updated")[-1]["instructions"][0]["text"] == CANARY


async def test_a_prompt_that_waited_through_a_restart_still_meets_the_hooks(home, mark):
    """What a hook would refuse does not pass it by a kill at the right time."""
    denying = """
    def never(call):
        return {"decision": "deny", "reason": "not here"}
    """
    manifest = "hooks:\n  - {event: prompt_received, module: 'never:never'}\n"
    make_plugin(home.path / ".config" / "holdfast" / "plugins", manifest, "never", never=denying)
    with Killable(home) as daemon, within():
        await daemon.start()
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "say hello")
        asked = await trust_question(ann)
        await daemon.restart()
        bob = await daemon.person("bob")
        await bob.follow(session)
        await bob.answer_request(asked, "deny")
        ended = await bob.end()
        assert ended["type"] == "run_failed"
        assert (ended["error"]["kind"], ended["error"]["message"]) == ("hook_denied", "not here")
    assert not mark.exists()


async def test_trust_that_is_taken_back_holds_no_more_at_the_next_run(home, mark, witness):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME, mode="auto")
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "allow_always")
        await ann.end()
        assert "sing" in [tool["name"] for tool in (await ann.call("tool/list", sessionId=session))["tools"]]
        assert (await ann.call("trust/remove", path=str(home.work)))["removed"]
        assert (await ann.call("trust/remove", path=str(home.work)))["removed"] is False
        mark.unlink()

        await ann.prompt(session, run_of(("sing", {})))
        await ann.answer_request(await trust_question(ann), "deny")
        assert (await ann.event("session_updated"))["instructions"] == []
        assert (await ann.event("tool_call_failed"))["error"]["kind"] == "unknown_tool"
        await ann.end()
        assert "sing" not in witness.tools[-1]
        assert CANARY not in witness.systems[-1]
        assert "/sing" not in [
            c["name"] for c in (await ann.call("command/list", sessionId=session))["commands"]
        ]
        listed = await ann.call("plugin/list", sessionId=session)
        assert (listed["plugins"], listed.get("trusted", False)) == ([], False)
        assert (await ann.call("mcp/list", sessionId=session))["servers"] == []
        assert not mark.exists(), "nothing of it ran again"


@pytest.mark.usefixtures("mark")
async def test_a_directory_is_trusted_for_good_or_not_at_all(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "say hello")
        asked = await trust_question(ann)
        for answer in (
            {"outcome": "allow"},
            {"outcome": "allow", "scope": "session"},
            {"outcome": "allow_once"},
        ):
            with pytest.raises(Refused) as refused:
                await ann.answer_request(asked, **answer)
            assert refused.value.error["data"]["kind"] == "invalid_params"
        assert (await ann.call("trust/list"))["directories"] == []
        await ann.answer_request(asked, "allow", scope="always")
        await ann.end()
        assert len((await ann.call("trust/list"))["directories"]) == 1


async def test_a_directory_others_may_write_to_is_not_trusted_whoever_says_so(home, mark, witness):
    home.work.chmod(0o777)
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "allow_always")
        notice = await ann.event("notice")
        assert (notice["kind"], notice["level"]) == ("not_trusted", "warning")
        assert "can be written by anyone" in notice["message"]
        assert (await ann.end())["type"] == "run_completed"
        assert (await ann.call("trust/list"))["directories"] == []
        assert not mark.exists()
        assert CANARY not in f"{witness.systems}"


async def test_instructions_that_change_are_in_the_log_and_in_the_next_request(home, witness):
    place = home.work / "AGENTS.md"
    place.write_text("First this.", encoding="utf-8")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "allow_always")
        await ann.end()
        await ann.prompt(session, "say hello")
        await ann.end()
        assert len(ann.heard("session_updated")) == 1, "what did not change is not said again"

        place.write_text("Then that.", encoding="utf-8")
        await ann.prompt(session, "say hello")
        await ann.end()
        texts = [event["instructions"][0]["text"] for event in ann.heard("session_updated")]
        assert texts == ["First this.", "Then that."]
        assert ["this." in system for system in witness.systems] == [True, True, False]
        assert "Then that." in witness.systems[2]


async def test_instructions_that_are_gone_hold_no_more(home, witness):
    place = home.work / "AGENTS.md"
    place.write_text("First this.", encoding="utf-8")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, model=NAME)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "allow_always")
        await ann.end()
        place.unlink()
        await ann.prompt(session, "say hello")
        await ann.end()
        assert [event["instructions"] for event in ann.heard("session_updated")][1:] == [[]]
        assert "First this." not in witness.systems[1]


async def test_an_instruction_file_that_is_a_link_or_a_fifo_is_told_and_not_read(home, witness):
    secret = home.path / "secret"
    secret.write_text(CANARY, encoding="utf-8")
    (home.work / "AGENTS.md").symlink_to(secret)
    inner = home.work / "inner"
    inner.mkdir()
    (home.work / ".git").mkdir()
    (home.work / ".git" / "HEAD").touch()
    os.mkfifo(inner / "AGENTS.md")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(inner, model=NAME)
        await ann.prompt(session, "say hello")
        await ann.answer_request(await trust_question(ann), "allow_always")
        assert (await ann.end())["type"] == "run_completed"
        [updated] = ann.heard("session_updated")
        assert [file["problem"] for file in updated["instructions"]] == ["is a symlink", "is no file"]
        assert CANARY not in f"{witness.systems}"


async def test_a_run_of_a_script_may_be_asked_beside_it_and_is_not_disturbed(home):
    """A second session of the same project asks for itself; one answer is no answer to the other."""
    (home.work / "AGENTS.md").write_text(CANARY, encoding="utf-8")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        first, second = await ann.begin(home.work), await ann.begin(home.work)
        await ann.prompt(first, script(DONE))
        one = await trust_question(ann)
        await ann.prompt(second, script(DONE))
        two = await trust_question(ann)
        await ann.answer_request(one, "deny")
        await ann.answer_request(two, "allow_always")
        for _ in range(2):
            assert (await ann.end())["type"] == "run_completed"
        assert len(ann.heard("session_updated", session=first)) == 0
        assert len(ann.heard("session_updated", session=second)) == 1
