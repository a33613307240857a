"""What an editor may send wrong, or unlike the schema, and what it is answered."""

import json
import os
from typing import Any

import anyio
import pytest
from acp_world import HANG, Editor, Refused, editing, text

from fakes.home import Home


async def refused(editor: Editor, method: str, **params: Any) -> Refused:
    """Send a request that is wrong, and give its error."""
    pending = await editor.start(method, wrong=True, **params)
    with pytest.raises(Refused) as caught:
        await pending.result()
    return caught.value


async def answer_to_bytes(editor: Editor, data: bytes) -> dict[str, Any]:
    """Send bytes, and give the next message."""
    before = len(editor.messages)
    await editor.send_bytes(data)
    return await editor.until(lambda: editor.messages[before] if len(editor.messages) > before else None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{nonsense\n", -32700),
        (b"\xff\xfe\n", -32700),
        (b"[]\n", -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":7}\n', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"session/list","params":{}}\n', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"session/list","params":{}}\n', -32600),
    ],
)
async def test_what_is_no_message_is_answered_and_the_connection_lives_on(
    home: Home, data: bytes, code: int
) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        assert (await answer_to_bytes(editor, data))["error"]["code"] == code
        assert (await editor.call("session/list")) == {"sessions": []}


@pytest.mark.parametrize("version", [0, 1, 2, 65535])
async def test_every_version_is_negotiated_to_one(home: Home, version: int) -> None:
    async with editing(home) as editor:
        answer = await editor.call("initialize", protocolVersion=version)
    assert answer["protocolVersion"] == 1


@pytest.mark.parametrize("version", ["1", None, 1.5, -1, 65536, True])
async def test_a_version_that_is_no_number_is_refused(home: Home, version: object) -> None:
    async with editing(home, wrong=True) as editor:
        assert (await refused(editor, "initialize", protocolVersion=version)).code == -32602


@pytest.mark.parametrize(
    "capabilities",
    [
        None,
        3,
        {"fs": None, "terminal": None, "session": None, "elicitation": None, "auth": None},
        {"fs": {"readTextFile": "yes"}, "session": {"notices": None}, "_meta": 3, "new": {"thing": 1}},
    ],
)
async def test_capabilities_that_do_not_fit_count_as_absent(home: Home, capabilities: object) -> None:
    """`x-deserialize-default-on-error` in the schema."""
    async with editing(home, wrong=True) as editor:
        params = {"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": None}
        initializing = await editor.start("initialize", wrong=True, **params)
        assert (await initializing.result())["protocolVersion"] == 1
        session_id = await editor.new(home.work)
        await (await editor.prompt(session_id, "say hi")).result()
    assert editor.said(session_id).endswith("hi")


@pytest.mark.parametrize(
    "params", [{}, {"mcpServers": None}, {"mcpServers": [], "additionalDirectories": None}]
)
async def test_servers_may_be_missing_or_null(home: Home, params: dict[str, Any]) -> None:
    """Released editors leave `mcpServers` out (olimorris/codecompanion.nvim#2860)."""
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        made = await (await editor.start("session/new", wrong=True, cwd=str(home.work), **params)).result()
    assert made["sessionId"]


@pytest.mark.parametrize(
    "params",
    [
        {"cwd": None},
        {"cwd": 3},
        {},
        {"cwd": "relative"},
        {"cwd": "/nowhere/at/all"},
        {"cwd": "/", "additionalDirectories": ["relative"]},
        {"cwd": "/", "mcpServers": [{"name": "x"}]},
        {"cwd": "/", "mcpServers": [{"type": "sse", "name": "x", "url": "http://x/", "headers": []}]},
        {"cwd": "/", "mcpServers": "many"},
    ],
)
async def test_a_session_that_cannot_be_made_is_refused_by_its_params(
    home: Home, params: dict[str, Any]
) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        assert (await refused(editor, "session/new", **params)).code == -32602


@pytest.mark.parametrize(
    "prompt",
    [
        [],
        None,
        "say hi",
        [{"type": "hologram", "data": "x"}],
        [{"text": "no type"}],
        [{"type": "text"}],
        [{"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}],
        [{"type": "resource", "resource": {"uri": "file:///x"}}],
    ],
)
async def test_a_prompt_that_does_not_fit_is_refused_by_its_params(home: Home, prompt: object) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        assert (await refused(editor, "session/prompt", sessionId=session_id, prompt=prompt)).code == -32602
        ended = await (await editor.prompt(session_id, "say on")).result()
    assert ended["stopReason"] == "end_turn"


async def test_an_optional_part_that_does_not_fit_sinks_nothing(home: Home) -> None:
    annotations = {"audience": ["user", 3], "priority": "high"}
    prompt = [{"type": "text", "text": "say hi", "annotations": annotations}]
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        params = {"sessionId": session_id, "prompt": prompt, "_meta": "whatever"}
        await (await editor.start("session/prompt", wrong=True, **params)).result()
    assert editor.said(session_id).endswith("hi")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("session/prompt", {"prompt": text("hi")}),
        ("session/load", {"cwd": "/", "mcpServers": []}),
        ("session/resume", {"cwd": "/"}),
        ("session/fork", {"cwd": "/", "mcpServers": []}),
        ("session/close", {}),
        ("session/set_mode", {"modeId": "ask"}),
        ("session/set_config_option", {"configId": "mode", "value": "ask"}),
        ("session/status", {}),
        ("session/set_title", {"title": "x"}),
        ("_session/steering", {"prompt": text("hi")}),
    ],
)
@pytest.mark.parametrize("session_id", ["nobody", "no such/form", ""])
async def test_a_session_nobody_knows_is_not_found(
    home: Home, method: str, params: dict[str, Any], session_id: str
) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        assert (await refused(editor, method, sessionId=session_id, **params)).code == -32002


@pytest.mark.parametrize("method", ["session/levitate", "_zed/feature", "logout", "_holdfast/nothing"])
async def test_an_unknown_method_is_not_found(home: Home, method: str) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        assert (await refused(editor, method)).code == -32601


async def test_unknown_notifications_and_answers_to_nothing_are_ignored(home: Home) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        await editor.send({"jsonrpc": "2.0", "method": "_zed/told", "params": {}}, wrong=True)
        await editor.send({"jsonrpc": "2.0", "method": "session/cancel", "params": 3}, wrong=True)
        await editor.send({"jsonrpc": "2.0", "id": 99, "result": {}}, wrong=True)
        await editor.send({"jsonrpc": "2.0", "id": "x", "error": {"code": 1, "message": ""}}, wrong=True)
        assert (await editor.call("session/list")) == {"sessions": []}


@pytest.mark.parametrize("call_id", [0, -1, 2**53, "0", "é", "a" * 200])
async def test_ids_of_both_kinds_are_given_back(home: Home, call_id: object) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        pending = await editor.start("session/list", call_id=call_id)
        assert (await pending.result()) == {"sessions": []}


async def test_a_request_before_the_first_is_refused(home: Home) -> None:
    async with editing(home, wrong=True) as editor:
        assert (await refused(editor, "session/list")).code == -32600
        await editor.initialize()
        assert (await editor.call("session/list")) == {"sessions": []}


async def test_a_way_of_logging_in_that_does_not_exist_is_refused(home: Home) -> None:
    async with editing(home) as editor:
        hello = await editor.initialize()
        assert hello["authMethods"] == []
        with pytest.raises(Refused) as caught:
            await editor.call("authenticate", methodId="api-key")
    assert caught.value.code == -32602


async def test_a_mode_that_does_not_exist_is_refused(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        with pytest.raises(Refused) as caught:
            await editor.call("session/set_mode", sessionId=session_id, modeId="bold")
    assert caught.value.code == -32602


async def test_a_long_line_in_pieces_is_one_message(home: Home) -> None:
    """A reader with a limit of 64 KiB kills the session (agentclientprotocol/python-sdk#27)."""
    words = "say read"
    long = {"type": "resource", "resource": {"uri": "file:///x", "text": "x" * 300_000}}
    async with editing(home) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        request = {
            "jsonrpc": "2.0",
            "id": 77,
            "method": "session/prompt",
            "params": {"sessionId": session_id, "prompt": [*text(words), long]},
        }
        editor.watch.see("client", request)
        line = json.dumps(request).encode() + b"\r\n"
        for start in range(0, len(line), 50_001):
            await editor.send_bytes(line[start : start + 50_001])
            await anyio.lowlevel.checkpoint()
        answer = await editor.until(lambda: editor.answers.get(77))
    assert answer["result"]["stopReason"] == "end_turn"
    assert editor.said(session_id).endswith("read")


async def test_an_id_that_is_in_use_is_refused(home: Home) -> None:
    async with editing(home, wrong=True) as editor:
        await editor.initialize()
        session_id = await editor.new(home.work)
        prompt = await editor.prompt(session_id, HANG)
        await editor.update("agent_message_chunk")
        request = {"jsonrpc": "2.0", "id": prompt.id, "method": "session/list", "params": {}}
        await editor.send(request, wrong=True)
        error = (await editor.until(lambda: editor.answers.get(prompt.id)))["error"]
    assert error["code"] == -32600


async def test_what_is_on_its_way_is_answered_after_the_editor_has_said_its_last(home: Home) -> None:
    async with editing(home) as editor:
        await editor.initialize()
        await editor.call("session/list")
        listing = await editor.start("session/list")
        os.close(editor._link._writing)
        editor._link._close = lambda: os.close(editor._link._reading)
        assert (await listing.result()) == {"sessions": []}
        await editor.until(lambda: editor.is_ended)
