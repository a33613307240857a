"""Editors, bridges and daemons that end while a run goes on: what was said is kept, and the rest is clear."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from acp_world import EVERYTHING, HANG, WAIT_S, BridgeProcess, Editor, Refused, bridge_process

from fakes.home import Home
from fakes.sandboxes import need_sandbox
from holdfast_client import aio
from holdfast_protocol import discovery

SLOW = 'script:\n  - text: {value: "0123456789", delta_chars: 5, delay_ms: 20, repeat: 20}\n'


@pytest.fixture
def bounded_home(home: Home) -> Any:
    """A home whose daemon, started by a bridge, is ended with the test."""
    yield home
    record = home.path / "hf" / "run" / "daemon-v1.json"
    if record.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


def daemon_pid(home: Home) -> int:
    return json.loads((home.path / "hf" / "run" / "daemon-v1.json").read_text())["pid"]


def client_at(home: Home) -> aio.Client:
    where = discovery.Locations(
        config="", state=str(home.path / "hf" / "state"), runtime=str(home.path / "hf" / "run")
    )
    return aio.connect("attach", locations=where, autostart=False)


async def begun(editor: Editor, work: Path, prompt: str) -> Any:
    """Begin a run, and wait until something of it was told."""
    await editor.initialize()
    session_id = await editor.new(work)
    pending = await editor.prompt(session_id, prompt)
    await editor.update("agent_message_chunk")
    return session_id, pending


async def test_the_daemon_is_started_by_the_first_editor(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            await bridge.editor.initialize()
            session_id = await bridge.editor.new(bounded_home.work)
            ended = await (await bridge.editor.prompt(session_id, "say hello")).result()
    assert ended["stopReason"] == "end_turn"


async def test_a_killed_daemon_is_started_again_and_the_run_goes_on_once(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            session_id, prompt = await begun(bridge.editor, bounded_home.work, SLOW)
            os.kill(daemon_pid(bounded_home), signal.SIGKILL)
            assert (await prompt.result())["stopReason"] == "end_turn"
            await bridge.editor.update("notice")
            async with client_at(bounded_home) as client:
                log = await client.session(session_id).read(types=["run_started", "run_interrupted"])
            again = await (await bridge.editor.prompt(session_id, "say after that")).result()
    assert [type(event).__name__ for event in log] == ["RunStarted", "RunInterrupted", "RunStarted"]
    assert log[2].continues == log[0].run_id
    assert again["stopReason"] == "end_turn"
    assert bridge.editor.said().endswith("after that")


async def test_a_tool_nobody_knows_the_outcome_of_is_not_run_again(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            editor = bridge.editor
            await editor.initialize()
            session_id = await editor.new(bounded_home.work)
            prompt = await editor.prompt(session_id, "run sleep 60")
            await (await editor.request("session/request_permission")).choose("allow_once")
            await editor.update("tool_call_update", status="in_progress")
            os.kill(daemon_pid(bounded_home), signal.SIGKILL)
            with pytest.raises(Refused) as refused:
                await prompt.result()
    assert refused.value.data["kind"] == "interrupted"
    assert "run sleep 60" in refused.value.message


async def test_a_question_that_waits_outlives_the_daemon(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            editor = bridge.editor
            await editor.initialize()
            session_id = await editor.new(bounded_home.work)
            prompt = await editor.prompt(session_id, "write a.txt: hello")
            asked = await editor.request("session/request_permission")
            os.kill(daemon_pid(bounded_home), signal.SIGKILL)
            await asked.choose("allow_once")
            assert (await prompt.result())["stopReason"] == "end_turn"
    assert (bounded_home.work / "a.txt").read_text() == "hello\n"


async def test_a_cancel_while_the_daemon_is_away_is_a_cancel(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            session_id, prompt = await begun(bridge.editor, bounded_home.work, HANG)
            os.kill(daemon_pid(bounded_home), signal.SIGKILL)
            await bridge.editor.notify("session/cancel", sessionId=session_id)
            assert (await prompt.result())["stopReason"] == "cancelled"


async def test_a_killed_bridge_loses_nothing(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as first:
            session_id, _prompt = await begun(first.editor, bounded_home.work, SLOW)
            first.kill()
            await first.exited()
            async with bridge_process(bounded_home) as second:
                await second.editor.initialize()
                await second.editor.call(
                    "session/load", sessionId=session_id, cwd=str(bounded_home.work), mcpServers=[]
                )
                await second.editor.until(lambda: len(second.editor.said(session_id)) >= 200)
    assert second.editor.said(session_id) == "0123456789" * 20
    assert len(second.editor.updates(session_id, "user_message_chunk")) == 1


@pytest.mark.parametrize("how", ["its input ends", "SIGTERM", "SIGINT"])
async def test_the_bridge_ends_and_the_run_goes_on(bounded_home: Home, how: str) -> None:
    """A signal ends the bridge only (aaif-goose/goose#11684); no bridge is left behind its editor."""
    with anyio.fail_after(WAIT_S):
        bridge = BridgeProcess(bounded_home)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bridge.editor.read)
            session_id, _prompt = await begun(bridge.editor, bounded_home.work, HANG)
            tasks.cancel_scope.cancel()
        if how == "its input ends":
            bridge.editor.close()
        else:
            bridge.process.send_signal(getattr(signal, how))
        assert await bridge.exited() == 0
        bridge.editor.close()
        async with client_at(bounded_home) as client:
            assert (await client.session(session_id).get()).snapshot.status == "running"


@pytest.mark.parametrize("kind", ["allow_once", "reject_once"])
async def test_where_commands_are_confined_the_editors_terminal_asks_all_the_same(
    bounded_home: Home, kind: str
) -> None:
    """The mode `auto` runs confined commands unasked; in the editor nothing confines them."""
    need_sandbox()
    script = "script:\n  - call: {tool: terminal, input: {command: make test}}\n  - text: Done.\n"
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            editor = bridge.editor
            await editor.initialize(EVERYTHING)
            session_id = await editor.new(bounded_home.work)
            await editor.call("session/set_mode", sessionId=session_id, modeId="auto")
            prompt = await editor.prompt(session_id, script)
            await (await editor.request("session/request_permission")).choose(kind)
            if kind == "allow_once":
                await (await editor.request("terminal/create")).refuse(-32603, "no room")
            assert (await prompt.result())["stopReason"] == "end_turn"
            async with client_at(bounded_home) as client:
                asked = await client.session(session_id).read(types=["request_opened"])
    assert asked == []  # The daemon did not: the bridge did.
    assert [one.method for one in editor.asked].count("terminal/create") == (kind == "allow_once")


async def test_a_daemon_that_is_replaced_takes_the_run_up_with_a_notice(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            session_id, prompt = await begun(bridge.editor, bounded_home.work, SLOW)
            async with client_at(bounded_home) as client:
                await client.rpc.daemon_shutdown()
            await bridge.editor.update("notice")
            async with bridge_process(bounded_home) as another:
                await another.editor.initialize()
                await another.editor.call("session/list")  # Whoever wants a daemon starts one.
            assert (await prompt.result())["stopReason"] == "end_turn"
            async with client_at(bounded_home) as client:
                log = await client.session(session_id).read(types=["run_interrupted", "run_started"])
    assert [type(event).__name__ for event in log] == ["RunStarted", "RunInterrupted", "RunStarted"]
    titles = [notice["title"] for notice in bridge.editor.updates(kind="notice")]
    assert titles == [
        "The holdfast daemon stops; the run goes on when it is back.",
        "The holdfast daemon was restarted; the run goes on.",
    ]


async def test_an_editor_and_a_shell_client_see_the_same(bounded_home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        async with bridge_process(bounded_home) as bridge:
            await bridge.editor.initialize()
            session_id = await bridge.editor.new(bounded_home.work)
            async with client_at(bounded_home) as client:
                result = await client.session(session_id).run("say from the shell")
            await bridge.editor.until(lambda: bridge.editor.said().endswith("from the shell"))
    (said,) = bridge.editor.updates(session_id, "user_message_chunk")
    assert said["content"]["text"] == "say from the shell"
    assert result.text.endswith("from the shell")
