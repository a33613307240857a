"""An editor's conversation with the bridge, method by method (issue: any ACP editor).

Each test's messages are held to the published schema, both ways, by the world they run in.
"""

import anyio
import pytest
from acp_world import EVERYTHING, HANG, WAIT_S, Refused, client_of, daemon_in, editing, editor_in, text

from fakes.home import Home


async def test_a_prompt_streams_its_answer_and_ends_its_turn(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        ended = await (await editor.prompt(session_id, "say one two three")).result()
    assert ended["stopReason"] == "end_turn"
    assert editor.said(session_id).endswith("one two three")
    assert editor.watch.checked > 6


async def test_thoughts_are_told_apart_from_words(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "think of a number")).result()
    thoughts = editor.updates(session_id, "agent_thought_chunk")
    assert "of a number" in "".join(thought["content"]["text"] for thought in thoughts)


async def test_no_update_comes_before_the_answer_to_a_new_session(home: Home) -> None:
    """Clients drop what comes earlier (openclaw/openclaw#109961, aaif-goose/goose#11010)."""
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await editor.update("available_commands_update")
    answered = editor.place(lambda message: (message.get("result") or {}).get("sessionId") == session_id)
    told = editor.place(lambda message: message.get("method") == "session/update")
    assert answered < told


async def test_a_permission_that_is_given_lets_the_tool_run(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        assert {option["kind"] for option in asked.params["options"]} == {
            *("allow_once", "allow_always", "reject_once", "reject_always")
        }
        assert asked.params["toolCall"]["content"] == [
            {"type": "diff", "path": str(home.work / "a.txt"), "newText": "hello\n"}
        ]
        await asked.choose("allow_once")
        assert (await prompt.result())["stopReason"] == "end_turn"
    assert (home.work / "a.txt").read_text() == "hello\n"
    statuses = [
        update.get("status", "pending")
        for update in editor.updates(session_id)
        if update.get("toolCallId") == asked.params["toolCall"]["toolCallId"]
    ]
    assert statuses == ["pending", "in_progress", "completed"]


@pytest.mark.parametrize("kind", ["reject_once", "reject_always"])
async def test_a_permission_that_is_denied_fails_the_tool_and_not_the_run(home: Home, kind: str) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        await (await editor.request("session/request_permission")).choose(kind)
        assert (await prompt.result())["stopReason"] == "end_turn"
        again = await editor.prompt(session_id, "write a.txt: hello")
        if kind == "reject_once":
            await (await editor.request("session/request_permission", 1)).choose(kind)
        await again.result()
    assert not (home.work / "a.txt").exists()
    assert len(editor.asked) == (2 if kind == "reject_once" else 1)
    await_failed = [update for update in editor.updates(session_id) if update.get("status") == "failed"]
    assert len(await_failed) == 2


async def test_what_is_allowed_always_is_not_asked_again(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        await (await editor.request("session/request_permission")).choose("allow_always")
        await prompt.result()
        await (await editor.prompt(session_id, "write b.txt: hello")).result()
    assert (home.work / "b.txt").exists()
    assert len(editor.asked) == 1


async def test_a_cancel_ends_a_run_in_flight_with_one_answer(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, HANG)
        await editor.update("agent_message_chunk")
        await editor.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"
        assert (await (await editor.prompt(session_id, "say again")).result())["stopReason"] == "end_turn"
    assert editor.said(session_id).endswith("again")


async def test_a_cancel_right_behind_its_prompt_finds_it(home: Home) -> None:
    """Messages are taken in order (PrimeIntellect-ai/verifiers#2262)."""
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, HANG)
        await editor.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"


async def test_a_cancel_while_idle_does_nothing(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await editor.notify("session/cancel", sessionId=session_id)
        await editor.notify("session/cancel", sessionId="nobody")
        assert (await (await editor.prompt(session_id, "say on")).result())["stopReason"] == "end_turn"


async def test_cancelling_the_request_of_a_prompt_cancels_its_run(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, HANG)
        await editor.update("agent_message_chunk")
        await editor.notify("$/cancel_request", requestId=prompt.id)
        assert (await prompt.result())["stopReason"] == "cancelled"


async def test_a_cancel_takes_a_permission_back_and_a_late_answer_is_ignored(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        await editor.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"
        await editor.until(lambda: asked.is_taken_back)
        await asked.choose("allow_once")
        await (await editor.prompt(session_id, "say on")).result()
    assert not (home.work / "a.txt").exists()


async def test_a_dialog_that_is_dismissed_cancels_the_prompt(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        await asked.answer({"outcome": {"outcome": "cancelled"}})
        assert (await prompt.result())["stopReason"] == "cancelled"
    assert not (home.work / "a.txt").exists()


async def test_an_editor_that_cannot_ask_is_a_denial(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        await (await editor.request("session/request_permission")).refuse(-32603, "no window")
        assert (await prompt.result())["stopReason"] == "end_turn"
    assert not (home.work / "a.txt").exists()
    assert "no window" in editor.said(session_id)


async def test_an_outcome_nobody_knows_never_approves(home: Home) -> None:
    """An unknown permission outcome is no approval (version 2 says so; version 1 has only two)."""
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        result = {"outcome": {"outcome": "selected", "optionId": "whatever"}}
        await editor.send({"jsonrpc": "2.0", "id": asked.id, "result": result}, wrong=True)
        assert (await prompt.result())["stopReason"] == "cancelled"
    assert not (home.work / "a.txt").exists()


async def test_loading_tells_the_whole_conversation_before_the_answer(home: Home) -> None:
    (home.work / "README.md").write_text("# Hello\n")
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "read README.md")).result()
        await (await editor.prompt(session_id, "say good bye")).result()
        await editor.call("session/close", sessionId=session_id)
        before = len(editor.messages)
        loading = await editor.start("session/load", sessionId=session_id, cwd=str(home.work), mcpServers=[])
        loaded = await loading.result()
        await editor.until(lambda: len(editor.updates(kind="available_commands_update")) == 2)
    told = editor.messages[before:]
    answered = next(index for index, message in enumerate(told) if message.get("id") == loading.id)
    replayed = [message["params"]["update"] for message in told[:answered]]
    assert [update["sessionUpdate"] for update in replayed] == [
        *("user_message_chunk", "agent_message_chunk", "tool_call", "agent_message_chunk"),
        *("user_message_chunk", "agent_message_chunk"),
    ]
    assert replayed[2]["status"] == "completed"
    assert replayed[-1]["content"]["text"] == "good bye"
    assert told[answered + 1]["params"]["update"]["sessionUpdate"] == "available_commands_update"
    assert loaded["modes"]["currentModeId"] == "ask"


async def test_resuming_tells_nothing_of_what_was(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "say hello")).result()
        await editor.call("session/close", sessionId=session_id)
        before = len(editor.updates(session_id, "agent_message_chunk"))
        await editor.call("session/resume", sessionId=session_id, cwd=str(home.work))
        await (await editor.prompt(session_id, "say more")).result()
    assert editor.updates(session_id, "user_message_chunk") == []
    after = editor.updates(session_id, "agent_message_chunk")[before:]
    assert "".join(chunk["content"]["text"] for chunk in after) == "more"


async def test_a_run_that_goes_on_is_joined_by_loading(home: Home) -> None:
    """A client of version 1 cannot know that a run goes on (rebornix/Agmente#31): `_meta` says it."""
    async with editing(home) as first, editor_in(home) as second:
        await first.initialize()
        session_id = await first.new(home.work)
        prompt = await first.prompt(session_id, HANG)
        await first.update("agent_message_chunk")
        await second.initialize()
        loaded = await second.call("session/load", sessionId=session_id, cwd=str(home.work), mcpServers=[])
        assert loaded["_meta"]["holdfast"]["state"] == "running"
        assert second.said(session_id) == "I wait."
        await second.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"


async def test_sessions_are_listed_with_their_directory_and_title(home: Home) -> None:
    other = home.path / "other"
    other.mkdir()
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await editor.new(other)
        await editor.call("session/set_title", sessionId=session_id, title="First")
        await editor.update("session_info_update", title="First")
        everything = (await editor.call("session/list"))["sessions"]
        (here,) = (await editor.call("session/list", cwd=str(home.work)))["sessions"]
    assert {row["cwd"] for row in everything} == {str(home.work), str(other)}
    assert (here["sessionId"], here["title"]) == (session_id, "First")


async def test_deleting_is_final_and_deleting_again_succeeds(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await editor.call("session/delete", sessionId=session_id)
        await editor.call("session/delete", sessionId=session_id)
        await editor.call("session/delete", sessionId="nobody knows/this")
        assert (await editor.call("session/list"))["sessions"] == []
        with pytest.raises(Refused) as refused:
            await editor.call("session/load", sessionId=session_id, cwd=str(home.work), mcpServers=[])
    assert refused.value.code == -32002


async def test_closing_cancels_what_runs(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, HANG)
        await editor.update("agent_message_chunk")
        await editor.call("session/close", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"
        async with client_of(home) as client:
            assert (await client.session(session_id).get()).snapshot.status == "idle"


async def test_modes_and_options_are_one_setting(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await editor.call("session/set_mode", sessionId=session_id, modeId="accept_edits")
        await editor.update("current_mode_update", currentModeId="accept_edits")
        answer = await editor.call(
            "session/set_config_option", sessionId=session_id, configId="mode", value="auto"
        )
        await editor.update("current_mode_update", currentModeId="auto")
        await editor.call(
            "session/set_config_option", sessionId=session_id, configId="thought_level", value="high"
        )
        await editor.until(lambda: len(editor.updates(kind="config_option_update")) == 3)
    options = {option["id"]: option["currentValue"] for option in answer["configOptions"]}
    assert options == {"mode": "auto", "model": "offline/rehearsal", "thought_level": "off"}
    last = editor.updates(kind="config_option_update")[-1]["configOptions"]
    assert {option["category"]: option["currentValue"] for option in last}["thought_level"] == "high"


@pytest.mark.parametrize(
    ("config_id", "value"), [("mode", "bold"), ("model", "no/model"), ("thought_level", True), ("x", "y")]
)
async def test_an_option_that_does_not_exist_is_refused(home: Home, config_id: str, value: object) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        params = {"sessionId": session_id, "configId": config_id, "value": value}
        setting = await editor.start("session/set_config_option", wrong=True, **params)
        with pytest.raises(Refused) as refused:
            await setting.result()
    assert refused.value.code == -32602


async def test_two_sessions_on_one_connection_do_not_mix(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        one, two = await editor.new(home.work), await editor.new(home.work)
        prompts = [await editor.prompt(one, "count 20"), await editor.prompt(two, "say something else")]
        for prompt in prompts:
            assert (await prompt.result())["stopReason"] == "end_turn"
    assert "20" in editor.said(one)
    assert editor.said(two).endswith("something else")


async def test_a_fork_has_what_came_before_and_goes_its_own_way(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "say one")).result()
        forked = await editor.call("session/fork", sessionId=session_id, cwd=str(home.work), mcpServers=[])
        await (await editor.prompt(forked["sessionId"], "say two")).result()
        await editor.call("session/load", sessionId=forked["sessionId"], cwd=str(home.work), mcpServers=[])
    assert editor.said(session_id).endswith("one")
    assert "one" in editor.said(forked["sessionId"])


async def test_archived_sessions_are_listed_only_on_request(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        assert await editor.call("session/status", sessionId=session_id) == {"status": "open"}
        await editor.call("session/archive", sessionId=session_id)
        assert (await editor.call("session/list"))["sessions"] == []
        assert len((await editor.call("session/list", archived="only"))["sessions"]) == 1
        await editor.call("session/unarchive", sessionId=session_id)
        assert len((await editor.call("session/list"))["sessions"]) == 1


async def test_steering_reaches_the_run_that_goes_on(home: Home) -> None:
    async with editing(home) as editor:
        hello = await editor.initialize()
        assert hello["_meta"]["steering"]["supported"] is True
        session_id = await editor.new(home.work)
        idle = await editor.call(
            "_session/steering",
            sessionId=session_id,
            prompt=text("say steered"),
            _meta={"steering": {"idleBehavior": "promptRequired"}},
        )
        prompt = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        busy = await editor.call("_session/steering", sessionId=session_id, prompt=text("say steered"))
        await asked.choose("allow_once")
        await prompt.result()
    assert (idle, busy) == ({"outcome": "promptRequired"}, {"outcome": "injected"})
    assert editor.said(session_id).endswith("steered")
    assert editor.updates(session_id, "user_message_chunk") == []


async def test_our_own_methods_are_reachable_under_their_prefix(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        subscribed = await editor.call("_holdfast/session/subscribe", sessionId=session_id, after="start")
        assert subscribed["oldest"] == 1
        await editor.until(
            lambda: [one for one in editor.messages if one.get("method") == "_holdfast/session/events"]
        )
        await (await editor.prompt(session_id, "say hello")).result()
        with pytest.raises(Refused) as refused:
            await editor.call("_holdfast/session/levitate")
    assert refused.value.code == -32601
    assert editor.said(session_id).endswith("hello")


async def test_a_plan_is_told_whole(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "plan: look; do; check")).result()
    plan = editor.updates(session_id, "plan")[-1]
    assert [entry["content"] for entry in plan["entries"]] == ["look", "do", "check"]


async def test_usage_is_told_with_each_answer(home: Home) -> None:
    used = "{input: 100, cache_read: 50, output: 7, reasoning: 2}"
    script = f"script:\n  - text: Hi.\n    usage: {used}\n    cost: 0.5\n"
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        ended = await (await editor.prompt(session_id, script)).result()
    assert ended["usage"] == {
        "totalTokens": 157,
        "inputTokens": 100,
        "outputTokens": 7,
        "thoughtTokens": 2,
        "cachedReadTokens": 50,
    }


async def test_a_failed_model_is_an_error_a_person_can_act_on(home: Home) -> None:
    script = "script:\n  - error: {kind: auth, message: The key was refused., status: 401}\n"
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        with pytest.raises(Refused) as refused:
            await (await editor.prompt(session_id, script)).result()
    assert (refused.value.code, refused.value.message) == (-32603, "The key was refused.")
    assert refused.value.data["kind"] == "auth"


@pytest.mark.parametrize(
    ("stop", "reason"), [("max_tokens", "max_tokens"), ("refusal", "refusal"), ("stop_sequence", "end_turn")]
)
async def test_stop_reasons_are_theirs(home: Home, stop: str, reason: str) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        script = f"script:\n  - text: Hm.\n    stop: {stop}\n"
        ended = await (await editor.prompt(session_id, script)).result()
    assert ended["stopReason"] == reason


async def test_a_prompt_of_every_kind_of_block_arrives(home: Home) -> None:
    blocks = [
        {"type": "text", "text": "say seen"},
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "resource_link", "uri": "file:///x.md", "name": "x.md", "annotations": None},
        {"type": "resource", "resource": {"uri": "file:///y.md", "text": "unsaved"}},
        {"type": "resource", "resource": {"uri": "file:///z.png", "blob": "aGk=", "mimeType": "image/png"}},
    ]
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.start("session/prompt", sessionId=session_id, prompt=blocks)
        await prompt.result()
        async with client_of(home) as client:
            log = await client.session(session_id).read(types=["prompt_received"])
    kinds = [type(block).__name__ for block in log[0].content]
    assert kinds == ["TextBlock", "ImageBlock", "ResourceLinkBlock", "ResourceBlock", "ImageBlock"]


async def test_the_editors_buffers_win_over_the_disk(home: Home) -> None:
    """Unsaved changes are what the agent reads and changes (claude-agent-acp#310)."""
    path = home.work / "a.txt"
    path.write_text("on disk\n")
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, 'replace "buffer" with "window" in a.txt')
        reading = await editor.request("fs/read_text_file")
        assert reading.params["path"] == str(path)
        await reading.answer({"content": "in the buffer\n"})
        await (await editor.request("session/request_permission")).choose("allow_once")
        await (await editor.request("fs/read_text_file", 1)).answer({"content": "in the buffer\n"})
        writing = await editor.request("fs/write_text_file")
        await writing.answer({})
        assert (await prompt.result())["stopReason"] == "end_turn"
    assert writing.params["content"] == "in the window\n"
    assert path.read_text() == "on disk\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.txt", "link"])
async def test_the_editors_files_end_where_the_sessions_directories_do(home: Home, path: str) -> None:
    (home.path / "outside.txt").write_text("secret")
    (home.work / "link").symlink_to(home.path / "outside.txt")
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, f"read {path}")).result()
    assert editor.asked == []
    assert "outside" in editor.said(session_id)


async def test_a_command_runs_in_the_editors_terminal_and_goes_on_being_shown(home: Home) -> None:
    script = "script:\n  - call: {tool: terminal, input: {command: make test}}\n  - text: Done.\n"
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, script)
        await (await editor.request("session/request_permission")).choose("allow_once")
        created = await editor.request("terminal/create")
        assert created.params["args"] == ["-c", "make test"]
        await created.answer({"terminalId": "t1"})
        await (await editor.request("terminal/wait_for_exit")).answer({"exitCode": 2})
        await (await editor.request("terminal/output")).answer({"output": "failed\n", "truncated": False})
        await (await editor.request("terminal/release")).answer({})
        await prompt.result()
        async with client_of(home) as client:
            (done,) = await client.session(session_id).read(types=["tool_call_completed"])
    shown = [{"type": "terminal", "terminalId": "t1"}]
    told = [update for update in editor.updates(session_id, "tool_call_update") if update.get("content")]
    assert [update["content"] for update in told] == [shown, shown]
    assert done.result[0].text == "failed\n[exit code 2]"


@pytest.mark.parametrize("kind", ["allow_once", "reject_once"])
async def test_no_mode_lets_a_command_into_the_editors_terminal_unasked(home: Home, kind: str) -> None:
    """Nothing confines it there, whatever confines the daemon's own commands."""
    script = "script:\n  - call: {tool: terminal, input: {command: make test}}\n  - text: Done.\n"
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        await editor.call("session/set_mode", sessionId=session_id, modeId="auto")
        prompt = await editor.prompt(session_id, script)
        asked = await editor.request("session/request_permission")
        assert "make test" in str(asked.params["toolCall"]["content"])
        await asked.choose(kind)
        if kind == "allow_once":
            await (await editor.request("terminal/create")).answer({"terminalId": "t1"})
            await (await editor.request("terminal/wait_for_exit")).answer({"exitCode": 0})
            await (await editor.request("terminal/output")).answer({"output": "", "truncated": False})
            await (await editor.request("terminal/release")).answer({})
        assert (await prompt.result())["stopReason"] == "end_turn"
    assert [one.method for one in editor.asked].count("terminal/create") == (kind == "allow_once")
    assert [one.method for one in editor.asked].count("session/request_permission") == 1


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", ".vscode/tasks.json", "link/hooks/x"])
async def test_what_others_take_commands_from_is_not_changed_in_the_editor_either(
    home: Home, path: str
) -> None:
    (home.work / ".git").mkdir()
    (home.work / "link").symlink_to(home.work / ".git")
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        await editor.call("session/set_mode", sessionId=session_id, modeId="auto")
        await (await editor.prompt(session_id, f"write {path}: x")).result()
    assert editor.asked == []
    assert "protected" in editor.said(session_id)


async def test_a_closed_session_has_none_of_the_editors_tools(home: Home) -> None:
    async with editing(home) as editor, client_of(home) as client:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        before = (await client.rpc.tool_list(session_id=session_id)).tools
        await editor.call("session/close", sessionId=session_id)
        after = (await client.rpc.tool_list(session_id=session_id)).tools
    assert sorted(tool.name for tool in before if tool.hosted) == ["edit", "read", "terminal", "write"]
    assert [tool for tool in after if tool.hosted] == []


async def test_a_cancel_ends_the_command_in_the_editors_terminal(home: Home) -> None:
    script = "script:\n  - call: {tool: terminal, input: {command: sleep 60}}\n"
    async with editing(home) as editor:
        await editor.initialize(EVERYTHING)
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, script)
        await (await editor.request("session/request_permission")).choose("allow_once")
        await (await editor.request("terminal/create")).answer({"terminalId": "t1"})
        waiting = await editor.request("terminal/wait_for_exit")
        await editor.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"
        await (await editor.request("terminal/kill")).answer({})
        await (await editor.request("terminal/release")).answer({})
        await editor.until(lambda: waiting.is_taken_back)


async def test_no_method_is_called_that_the_editor_did_not_offer(home: Home) -> None:
    (home.work / "a.txt").write_text("on disk\n")
    async with editing(home) as editor:
        await editor.initialize({})
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "read a.txt")).result()
        async with client_of(home) as client:
            tools = (await client.rpc.tool_list(session_id=session_id)).tools
    assert editor.asked == []
    assert editor.updates(session_id, "notice") == []
    assert [tool.name for tool in tools if tool.hosted] == []


async def test_a_prompt_while_busy_waits_its_turn_and_says_so(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        first = await editor.prompt(session_id, "write a.txt: hello")
        asked = await editor.request("session/request_permission")
        second = await editor.prompt(session_id, "say second")
        await editor.update("notice", severity="info")
        await asked.choose("allow_once")
        await first.result()
        await second.result()
    assert editor.said(session_id).endswith("second")


async def test_a_prompt_is_answered_before_the_next_run_is_told_of(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompts = [await editor.prompt(session_id, f"say answer {number}") for number in range(8)]
        for prompt in prompts:
            await prompt.result()
    places = [editor.place(lambda one, prompt=prompt: one.get("id") == prompt.id) for prompt in prompts]
    assert places == sorted(places)
    for number, (start, end) in enumerate(zip([0, *places], places, strict=False)):
        told = "".join(
            message["params"]["update"]["content"]["text"]
            for message in editor.messages[start:end]
            if message.get("method") == "session/update"
            and message["params"]["update"]["sessionUpdate"] == "agent_message_chunk"
        )
        assert told.endswith(f"answer {number}")


async def test_growing_output_of_a_command_is_shown_before_its_end(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, "run echo ready; sleep 60")
        await (await editor.request("session/request_permission")).choose("allow_once")
        await editor.until(
            lambda: [
                update
                for update in editor.updates(session_id, "tool_call_update")
                if "ready" in str(update.get("content"))
            ]
        )
        await editor.notify("session/cancel", sessionId=session_id)
        assert (await prompt.result())["stopReason"] == "cancelled"


async def test_the_daemon_need_not_be_there_to_answer_the_first_request(home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with editor_in(home) as editor:
            assert (await editor.initialize())["protocolVersion"] == 1
            with pytest.raises(Refused) as refused:
                await editor.new(home.work)
            assert refused.value.data["kind"] == "daemon_unreachable"
            async with daemon_in(home):
                assert await editor.new(home.work)
