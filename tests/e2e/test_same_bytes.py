"""One run seen over every transport: everybody gets the same events, byte for byte (P2)."""

import json

import anyio
from daemon_process import WAIT_S, Daemon, running, temporary_home
from wire_client import Client, Log

SCRIPT = """script:
  - thinking: {value: "Gedanke, \u2026 und \U0001f511 ein Schl\u00fcssel", delta_chars: 3, signature: c2ln}
    text:
      value: "tab\\t quote\\" back\\\\slash \\u0000 nul, line\\u2028separator"
      delta_chars: 4
      delay_ms: 1
    call: {tool: read, input: {path: one.txt}, delta_chars: 5}
  - interleave: {blocks: 3, count: 300, per_second: 5000, text: "tick \U0001f642 "}
    usage: {input: 1200, cache_read: 800, output: 64}
    cost: 0.02
"""


async def _watch(client: Client, log: Log, run_id: str) -> None:
    await client.read_to_end(log, run_id)
    client.close()


async def _run_before(watchers: list[Client], daemon: Daemon, session_id: str) -> list[Log]:
    """Run the script with everybody watching; give what each saw."""
    logs = [await watcher.subscribe(session_id) for watcher in watchers]
    async with await daemon.connect(client_id="prompter") as prompter:
        started = await prompter.prompt(session_id, SCRIPT)
        async with anyio.create_task_group() as tasks:
            for watcher, log in zip(watchers, logs, strict=True):
                tasks.start_soon(_watch, watcher, log, started["runId"])
    return logs


def _check_run(log: Log) -> None:
    """The script did what it says: else the comparison compares little."""
    types = log.types()
    assert types[-1] == "run_completed"
    assert types.count("token_delta") > 100
    assert "tool_call_completed" in types


async def _session(daemon: Daemon) -> str:
    (daemon.work / "one.txt").write_text("one\n", encoding="utf-8")
    async with await daemon.connect() as client:
        return await client.create_session(daemon.work, title="\u00fcber alles")


async def test_three_transports_get_the_same_event_bytes() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, "--tcp") as daemon:
            session_id = await _session(daemon)
            watchers = [
                await daemon.connect("unix", "lines"),
                await daemon.connect("tcp", "headers"),
                await daemon.connect("unix", "headers"),
            ]
            by_lines, by_tcp, by_headers = await _run_before(watchers, daemon, session_id)
            _check_run(by_lines)
            assert by_tcp.bodies == by_lines.bodies
            assert by_headers.bodies == by_lines.bodies
            async with await daemon.connect("tcp") as reader:
                assert await reader.read_log(session_id) == by_lines.bodies
                header, *exported = await reader.export(session_id)
                assert json.loads(header)["epoch"] == by_lines.epoch
                assert [line.encode() for line in exported] == by_lines.bodies


async def test_a_sidecar_sends_its_parent_the_bytes_others_get_over_the_socket() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home, "--with-runtime", stdio=True) as daemon:
            session_id = await _session(daemon)
            parent = daemon.parent()
            result = await parent.initialize(None)
            assert result["role"] == "controller"
            other = await daemon.connect("unix", "headers")
            over_stdio, over_unix = await _run_before([parent, other], daemon, session_id)
            assert await daemon.ended() == 0  # The parent closed its pipes when it had seen the end.
            _check_run(over_stdio)
            assert over_stdio.bodies == over_unix.bodies


async def test_a_later_daemon_replays_over_stdio_the_bytes_an_earlier_one_sent_live() -> None:
    with temporary_home() as home, anyio.fail_after(WAIT_S):
        async with running(home) as daemon:
            session_id = await _session(daemon)
            watcher = await daemon.connect("unix", "headers")
            [live] = await _run_before([watcher], daemon, session_id)
        _check_run(live)
        async with running(home, stdio=True) as sidecar:
            async with sidecar.parent() as parent:
                await parent.initialize(None)
                replayed = await parent.subscribe(session_id)
                await parent.read_until(lambda: replayed.caught_up)
                assert replayed.epoch == live.epoch
            assert await sidecar.ended() == 0
            assert replayed.bodies == live.bodies
