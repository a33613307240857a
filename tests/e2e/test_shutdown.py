"""How a daemon ends: in order, at once, when its parent goes, when its work is done, when it is killed."""

import contextlib
import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import TERMINAL, CallError, Client, ConnectionClosed, Log

STREAM = "script:\n  - interleave: {blocks: 2, count: 1000000, per_second: 1000, text: 'tick '}\n"

FAST_STREAM = "script:\n  - interleave: {blocks: 60, count: 1000000, text: 'tick '}\n"

SHORT_STREAM = "script:\n  - interleave: {blocks: 2, count: 300, per_second: 1000, text: 'tick '}\n"


async def _streaming(client: Client, daemon: Daemon, script: str = STREAM) -> Log:
    """Give a session with a run that has streamed something."""
    log = await client.subscribe(await client.create_session(daemon.work))
    started = await client.prompt(log.session_id, script)
    await client.read_to_event(log, started["runId"], {"token_delta"})
    return log


async def _read_rest(client: Client) -> None:
    """Read until the daemon closes."""
    with contextlib.suppress(ConnectionClosed):
        await client.read_until(lambda: False)


def _check_interrupted(log: Log, cause: str) -> None:
    """The run ended once, as interrupted, and what had been streamed is in its blocks' partial ends."""
    events = log.events()
    assert [event["type"] for event in events if event["type"] in TERMINAL] == ["run_interrupted"]
    assert events[-1]["type"] == "run_interrupted"
    assert events[-1]["cause"] == cause
    ends = [event for event in events if event["type"] == "content_block_end"]
    assert len(ends) == 2
    for end in ends:
        assert end["partial"]
        deltas = [event for event in events if event.get("blockId") == end["blockId"]]
        assert "".join(event.get("text", "") for event in deltas[:-1]) == end["text"]


async def _stored(home: Path, log: Log) -> list[bytes]:
    async with running(home) as daemon, await daemon.connect() as client:
        return await client.read_log(log.session_id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_interrupts_runs_each_with_its_one_end_and_the_exit_code_is_0(
    number: signal.Signals,
) -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon, await daemon.connect() as client:
            logs = [await _streaming(client, daemon) for _ in range(3)]
            daemon.signal(number)
            await _read_rest(client)
            assert await daemon.ended() == 0
            assert [x.method for x in client.notifications].count("daemon/state") == 1
            assert {path.name for path in (home / "run").iterdir()} <= {"start-v1.lock", "daemon-v1.lock"}
            assert daemon.logged_errors() == []
        for log in logs:
            _check_interrupted(log, "shutdown")
            assert await _stored(home, log) == log.bodies, "all that was stored was sent, and stays"


async def test_an_idle_daemon_ends_on_sigterm_though_clients_are_connected() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, "--tcp") as daemon:
            clients = [await daemon.connect("unix"), await daemon.connect("tcp", "headers")]
            silent = daemon.dial()  # Has not said a word yet.
            daemon.signal(signal.SIGTERM)
            for client in (*clients, silent):
                await _read_rest(client)
                client.close()
            assert await daemon.ended() == 0


async def test_a_second_sigterm_ends_a_daemon_that_is_still_stopping() -> None:
    """A tool that ignores SIGTERM holds the first one up for half a second; the second one does not wait."""
    mark = _mark()
    codes: set[int] = set()
    attempts = 5  # A slow machine may miss the moment.
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        while 128 + signal.SIGTERM not in codes and attempts:
            attempts -= 1
            async with running(home) as daemon, await daemon.connect() as client:
                log = await _shell(client, daemon, f"trap '' TERM; echo ready; exec sleep {mark}")
                daemon.signal(signal.SIGTERM)
                await _until_state(client, "stopping")
                daemon.signal(signal.SIGTERM)
                codes.add(await daemon.ended())
                await _gone(mark)
        assert codes <= {0, 128 + signal.SIGTERM}
        assert 128 + signal.SIGTERM in codes
        events = [json.loads(body) for body in await _stored(home, log)]
        assert [event["type"] for event in events if event["type"] in TERMINAL] == ["run_interrupted"]
        assert events[-1]["type"] == "run_interrupted"


async def test_the_end_of_a_sidecars_stdin_interrupts_its_runs_and_ends_it() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, stdio=True) as sidecar:
            parent = sidecar.parent()
            await parent.initialize(None)
            log = await _streaming(parent, sidecar)
            parent.end_writing()
            assert await sidecar.ended() == 0
            assert sidecar.logged_errors() == []
            parent.close()
        stored = await _stored(home, log)
        assert stored[: log.cursor] == log.bodies
        log.bodies = stored
        _check_interrupted(log, "shutdown")


async def test_a_sidecar_whose_parent_dies_ends_too() -> None:
    """Both pipes break at once, with output of the run unread."""
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, stdio=True) as sidecar:
            parent = sidecar.parent()
            await parent.initialize(None)
            log = await _streaming(parent, sidecar)
            parent.close()
            assert await sidecar.ended() == 0
        log.bodies = await _stored(home, log)
        _check_interrupted(log, "shutdown")


async def test_the_end_of_a_sidecars_stdin_ends_it_though_its_output_lies_unread() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, "--with-runtime", stdio=True) as sidecar:
            parent = sidecar.parent()
            await parent.initialize(None)
            session_id = await parent.create_session(sidecar.work)
            await parent.send("session/subscribe", sessionId=session_id)
            async with await sidecar.connect() as other:
                started = await other.prompt(session_id, FAST_STREAM)
                log = await other.subscribe(session_id)
                await other.read_until(lambda: log.cursor > 20_000)
                assert (await other.call("daemon/status"))["hub"]["lagging"] >= 1
            parent.end_writing()
            assert await sidecar.ended() == 0
            parent.close()
        stored = [json.loads(body) for body in await _stored(home, log)]
        assert stored[-1]["type"] == "run_interrupted"
        assert stored[-1]["runId"] == started["runId"]


async def test_a_drain_finishes_runs_takes_no_new_ones_and_then_exits() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon, await daemon.connect() as client:
            log = await _streaming(client, daemon, SHORT_STREAM)
            idle = await client.create_session(daemon.work)
            assert await client.call("daemon/drain") == {"state": "draining", "activeRuns": 1}
            for method, params in (
                ("session/prompt", {"sessionId": idle, "content": [{"type": "text", "text": "say hi"}]}),
                ("session/create", {"cwd": str(daemon.work)}),
                ("session/fork", {"sessionId": idle}),
            ):
                await _refused(client, "draining", method, **params)
            await _read_rest(client)
            assert log.types()[-1] == "run_completed"
            assert await daemon.ended() == 0
        assert await _stored(home, log) == log.bodies


async def test_a_drain_without_runs_exits_at_once_and_one_taken_back_does_not() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon, await daemon.connect() as client:
            log = await _streaming(client, daemon)
            await client.call("daemon/drain")
            assert (await client.call("daemon/drain", cancel=True))["state"] == "serving"
            await client.call("session/cancel", sessionId=log.session_id)
            started = await client.prompt(log.session_id, "say still here")
            waited = await client.call("session/wait", sessionId=log.session_id, promptId=started["promptId"])
            assert waited["status"] == "completed"
            await client.call("daemon/drain")
            await _read_rest(client)
            assert await daemon.ended() == 0


# Tool processes ----------------------------------------------------------------------------------------


def _mark() -> str:
    """Give an argument that `sleep` takes as hours of sleep and no other process has."""
    return f"99999.{secrets.randbelow(10**12):012d}"


def _sleepers(mark: str) -> list[int]:
    """Give the pids of living processes with that word on their command line."""
    found: list[int] = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return found


async def _gone(mark: str) -> None:
    """Wait for the end of every process with the mark."""
    for pid in _sleepers(mark):
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)
    assert _sleepers(mark) == []


async def _shell(client: Client, daemon: Daemon, command: str) -> Log:
    """Give a session in which a command runs that has said something."""
    log = await client.subscribe(await client.create_session(daemon.work))
    call: dict[str, Any] = {"tool": "shell", "input": {"command": command}}
    started = await client.prompt(log.session_id, f"script:\n  - call: {json.dumps(call)}\n")
    request = await client.read_to_event(log, started["runId"], {"request_opened"})
    await client.call(
        "request/respond", sessionId=log.session_id, requestId=request["requestId"], outcome="allow"
    )
    await client.read_to_event(log, started["runId"], {"tool_output"})
    return log


async def _until_state(client: Client, state: str) -> None:
    await client.read_until(
        lambda: any(
            message.method == "daemon/state" and message.decoded_params() == {"state": state}
            for message in client.notifications
        )
    )


async def _refused(client: Client, kind: str, method: str, **params: Any) -> None:
    with pytest.raises(CallError) as refused:
        await client.call(method, **params)
    assert refused.value.data["kind"] == kind


async def _kill_with_tool(home: Path, command: str, mark: str) -> Log:
    """Kill a daemon while a command runs; give the session's log so far."""
    async with running(home) as daemon, await daemon.connect() as client:
        log = await _shell(client, daemon, command.format(mark=mark))
        assert _sleepers(mark)
        await daemon.kill()
        return log


@pytest.mark.parametrize(
    "command",
    ["echo ready; exec sleep {mark}", "trap '' TERM HUP INT; echo ready; exec sleep {mark}"],
    ids=["a command", "a command that ignores signals"],
)
async def test_a_killed_daemon_leaves_no_tool_process_behind(command: str) -> None:
    mark = _mark()
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        log = await _kill_with_tool(home, command, mark)
        await _gone(mark)
        events = [json.loads(body) for body in await _stored(home, log)]
        [failed] = [event for event in events if event["type"] == "tool_call_failed"]
        assert failed["error"]["kind"] == "unknown", "whether it took effect is not known"
        assert failed["partial"] == "ready\n"
        assert [event["type"] for event in events].count("tool_call_started") == 1
        assert events[-1]["type"] == "run_interrupted"


@pytest.mark.parametrize(
    "command",
    [
        "echo ready; sleep {mark}; echo done",
        "sleep {mark} & echo ready; wait",
        "(setsid sleep {mark} &); echo ready; exec sleep 99999",
    ],
    ids=["a child", "a child in the background", "a child in a session of its own"],
)
async def test_a_killed_daemon_leaves_no_descendant_of_a_tool_behind(command: str) -> None:
    """D26: none is left at the latest when a daemon runs on that state again."""
    mark = _mark()
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        try:
            await _kill_with_tool(home, command, mark)
            async with running(home):
                assert _sleepers(mark) == []
        finally:
            for pid in _sleepers(mark):
                os.kill(pid, signal.SIGKILL)
