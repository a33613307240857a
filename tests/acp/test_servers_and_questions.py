"""MCP servers an editor passes in, and the questions their tools put to people."""

import sys
from typing import Any

import pytest
from acp_world import EVERYTHING, SHOWING, Editor, client_of, editing

from fakes import mcp_server
from fakes.home import Home

SERVER = {"name": "My Test Server!", "command": sys.executable, "args": [mcp_server.__file__], "env": []}

CALL = "script:\n  - call: {{tool: mcp__My-Test-Server__{tool}, input: {{{given}}}}}\n  - text: Done.\n"


async def asking(editor: Editor, home: Home, tool: str, given: str = "") -> tuple[str, Any]:
    """Begin a run that calls a tool of the server."""
    made = await editor.call("session/new", cwd=str(home.work), mcpServers=[SERVER])
    session_id = made["sessionId"]
    await editor.call("session/set_mode", sessionId=session_id, modeId="auto")
    return session_id, await editor.prompt(session_id, CALL.format(tool=tool, given=given))


def shown(editor: Editor) -> str:
    """Give what the tool's call shows in the end."""
    ended = [update for update in editor.updates() if update.get("status") in ("completed", "failed")]
    (done,) = [update for update in ended if update.get("content")]
    return done["content"][0]["content"]["text"]


async def test_a_server_that_is_passed_in_serves_the_session(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        _, prompt = await asking(editor, home, "echo", "text: again")
        assert (await prompt.result())["stopReason"] == "end_turn"
    assert "again" in shown(editor)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"action": "accept", "content": {"colour": "green"}}, "accept green"),
        ({"action": "accept", "content": {"colour": "x" * 70_000}}, "decline"),
        ({"action": "decline"}, "decline"),
        ({"action": "cancel"}, "decline"),
    ],
)
async def test_a_form_is_filled_in_by_the_editor(home: Home, answer: Any, outcome: str) -> None:
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id, prompt = await asking(editor, home, "ask")
        asked = await editor.request("elicitation/create")
        await asked.answer(answer)
        await prompt.result()
    assert (asked.params["mode"], asked.params["sessionId"]) == ("form", session_id)
    assert list(asked.params["requestedSchema"]["properties"]) == ["colour"]
    assert outcome in shown(editor)


async def test_a_page_is_opened_by_the_editor(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        _, prompt = await asking(editor, home, "visit")
        asked = await editor.request("elicitation/create")
        await asked.answer({"action": "accept"})
        await prompt.result()
    assert (asked.params["mode"], asked.params["url"]) == ("url", "https://example.org/sign-in")
    assert "accept" in shown(editor)


async def test_a_page_is_put_as_a_choice_where_the_editor_opens_none(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize(SHOWING)
        _, prompt = await asking(editor, home, "visit")
        asked = await editor.request("session/request_permission")
        await asked.choose("reject_once")
        await prompt.result()
    assert "https://example.org/sign-in" in str(asked.params["toolCall"]["content"])
    assert "decline" in shown(editor)


async def test_a_form_is_left_to_others_where_the_editor_fills_in_none(home: Home) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize(SHOWING)
        session_id, prompt = await asking(editor, home, "ask")
        async for event in client.session(session_id).events(types=["request_opened"]):
            await client.session(session_id).respond(event.request_id, "decline")
            break
        await prompt.result()
    assert editor.asked == []


async def test_further_directories_are_the_sessions_too(home: Home) -> None:
    other = home.path / "other"
    other.mkdir()
    (other / "x.md").write_text("# Elsewhere\n")
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work, additionalDirectories=[str(other)])
        await (await editor.prompt(session_id, f"read {other}/x.md")).result()
    assert "Elsewhere" in editor.said(session_id)


async def test_commands_of_the_user_are_told_and_work(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    config = home.path / "config" / "holdfast"
    (config / "commands").mkdir(parents=True)
    greet = "---\ndescription: Greet somebody.\n---\nsay hello $ARGUMENTS\n"
    (config / "commands" / "greet.md").write_text(greet)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "config"))
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        told = await editor.update("available_commands_update")
        await (await editor.prompt(session_id, "/greet Ada")).result()
    assert [command["name"] for command in told["availableCommands"]] == ["greet"]
    assert editor.said(session_id).endswith("hello Ada")
