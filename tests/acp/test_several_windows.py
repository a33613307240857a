"""One session in several windows: editors and a client of ours see the same, and any of them answers."""

from typing import Any

import pytest
from acp_world import HANG, Editor, client_of, editing, editor_in, text

from fakes.home import Home


async def load(editor: Editor, home: Home, session_id: str) -> Any:
    return await editor.call("session/load", sessionId=session_id, cwd=str(home.work), mcpServers=[])


async def test_every_window_is_asked_and_the_first_answer_counts(home: Home) -> None:
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        await load(second, home, session_id)
        prompt = await first.prompt(session_id, "write a.txt: hello")
        asked_first = await first.request("session/request_permission")
        asked_second = await second.request("session/request_permission")
        await asked_second.choose("allow_once")
        assert (await prompt.result())["stopReason"] == "end_turn"
        await first.until(lambda: asked_first.is_taken_back)
        await asked_first.choose("reject_once")  # Too late, and taken in silence.
        await (await first.prompt(session_id, "say on")).result()
    assert (home.work / "a.txt").exists()
    assert asked_first.params["toolCall"]["toolCallId"] == asked_second.params["toolCall"]["toolCallId"]


async def test_what_one_window_says_the_others_see_as_a_users_message(home: Home) -> None:
    async with editing(home) as first, editor_in(home) as second, client_of(home) as client:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        await load(second, home, session_id)
        await (await first.prompt(session_id, "say from the first")).result()
        await client.session(session_id).run("say from a shell")
        for editor in (first, second):
            await editor.until(lambda editor=editor: editor.said(session_id).endswith("from a shell"))
    told = [
        [said["content"]["text"] for said in editor.updates(kind="user_message_chunk")]
        for editor in (first, second)
    ]
    assert told == [["say from a shell"], ["say from the first", "say from a shell"]]
    assert first.said(session_id) == second.said(session_id)


async def test_a_shell_answers_what_an_editor_was_asked(home: Home) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        (waiting,) = await client.session(session_id).requests()
        await client.session(session_id).respond(waiting.request_id, "allow")
        assert (await prompt.result())["stopReason"] == "end_turn"
        await editor.until(lambda: asked.is_taken_back)
    assert (home.work / "a.txt").exists()


async def test_an_editor_answers_what_a_shell_has_begun(home: Home) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize()
        session = await client.create_session(str(home.work))
        await load(editor, home, session.id)
        async with session.stream("write a.txt: hello") as run:
            await (await editor.request("session/request_permission")).choose("allow_once")
            assert (await run.result()).ok
    assert (home.work / "a.txt").exists()


async def test_a_question_that_waits_is_asked_again_after_loading(home: Home) -> None:
    """aaif-goose/goose PR#9875: the editor was closed while it asked."""
    async with editing(home) as first:
        await first.initialize()
        session_id = await first.new(home.work)
        await first.prompt(session_id, "write a.txt: hello")
        before = await first.request("session/request_permission")
        async with editor_in(home) as second:
            await second.initialize()
            loading = await second.start(
                "session/load", sessionId=session_id, cwd=str(home.work), mcpServers=[]
            )
            loaded = await loading.result()
            asked = await second.request("session/request_permission")
            await asked.choose("allow_once")
            await second.update("agent_message_chunk")
            await first.until(lambda: before.is_taken_back)
    place = second.place(lambda message: message.get("method") == "session/request_permission")
    assert second.place(lambda message: message.get("id") == loading.id) < place
    assert len(loaded["_meta"]["holdfast"]["openRequests"]) == 1


async def test_a_dialog_that_another_window_dismisses_stays_open_here(home: Home) -> None:
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        await load(second, home, session_id)
        prompt = await first.prompt(session_id, "write a.txt: hello")
        asked = await first.request("session/request_permission")
        dismissed = await second.request("session/request_permission")
        await dismissed.answer({"outcome": {"outcome": "cancelled"}})
        await second.call("session/list")
        assert not asked.is_taken_back
        await asked.choose("allow_once")
        assert (await prompt.result())["stopReason"] == "end_turn"


async def test_cancelling_a_prompt_that_waits_leaves_the_run_before_it_alone(home: Home) -> None:
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        await load(second, home, session_id)
        running = await first.prompt(session_id, HANG)
        await second.update("agent_message_chunk")
        waiting = await second.prompt(session_id, "say later")
        await second.update("notice")
        await second.notify("session/cancel", sessionId=session_id)
        assert (await waiting.result())["stopReason"] == "cancelled"
        assert not running.is_answered
        await first.notify("session/cancel", sessionId=session_id)
        assert (await running.result())["stopReason"] == "cancelled"


async def test_settings_one_window_changes_the_others_show(home: Home) -> None:
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        await load(second, home, session_id)
        await first.call("session/set_mode", sessionId=session_id, modeId="plan")
        await second.update("current_mode_update", currentModeId="plan")
        options = (await second.update("config_option_update"))["configOptions"]
    assert options[0]["currentValue"] == "plan"


async def test_a_session_that_is_closed_here_asks_here_no_more(home: Home) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "say hello")).result()
        await editor.call("session/close", sessionId=session_id)
        session = client.session(session_id)
        async with session.stream("write a.txt: hello") as run:
            async for event in run:
                if type(event).__name__ == "RequestOpened":
                    await session.respond(event.request_id, "deny")
            await run.result()
        await editor.call("session/list")
    assert editor.asked == []


@pytest.mark.parametrize("how", ["plan", "budget"])
async def test_choices_that_are_about_no_tool_are_put_as_dialogs_too(home: Home, how: str) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize()
        session_id = await editor.new(home.work)
        if how == "plan":
            await editor.call("session/set_mode", sessionId=session_id, modeId="plan")
            prompt = await editor.prompt(session_id, "say I would look and then do it")
            chosen = "allow_once"
        else:
            await client.call("session/update", {"sessionId": session_id, "budget": {"steps": 1}})
            prompt = await editor.prompt(session_id, "list files")
            chosen = "reject_once"
        asked = await editor.request("session/request_permission")
        assert {"allow_once", "reject_once"} <= {option["kind"] for option in asked.params["options"]}
        await asked.choose(chosen)
        if how == "plan":
            await editor.notify("session/cancel", sessionId=session_id)
        ended = await prompt.result()
    call_id = asked.params["toolCall"]["toolCallId"]
    told = [update for update in editor.updates(session_id) if update.get("toolCallId") == call_id]
    assert told[0]["sessionUpdate"] == "tool_call"
    assert told[0].get("kind", "other") == ("switch_mode" if how == "plan" else "other")
    if how == "budget":
        assert ended["stopReason"] == "max_turn_requests"
        assert told[-1]["status"] == "failed"


async def test_text_is_never_told_twice(home: Home) -> None:
    """A window that joins in the middle of a text gets the rest of it, once."""
    script = 'script:\n  - text: {value: "0123456789", delta_chars: 1, delay_ms: 15, repeat: 6}\n'
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        await second.initialize()
        session_id = await first.new(home.work)
        prompt = await first.start("session/prompt", sessionId=session_id, prompt=text(script))
        await first.until(lambda: len(first.said(session_id)) > 12)
        await load(second, home, session_id)
        await prompt.result()
        await second.until(lambda: len(second.said(session_id)) >= 60)
    assert first.said(session_id) == second.said(session_id) == "0123456789" * 6
