"""Round trips: one call after the other over the unix socket, by a client that blocks."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import wire
from benchmarks.clocks import cpu_ns
from benchmarks.daemon import Daemon, running, temporary_home
from benchmarks.floors import process
from benchmarks.pairs import Sample, Scale, alternate, spread
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import Wire

NAME = "round-trip"
TITLE = "a call and its answer over the unix socket"

_CALLS = (2000, 50)
_PROMPTS = (200, 20)
"""So many wait in one session: below the limit of its queue."""

_ECHO_IS = "a bare asyncio protocol that writes back the line it read"
_INSERT_IS = "the same, with one row inserted and synced before it writes back"
_HANG = "script:\n  - text: {value: I wait., end: false}\n    hang: true\n"


def _specs(key: str, name: str, floor_is: str) -> list[Spec]:
    return [
        Spec(f"{key}_p50", f"{name}, p50", "us", floor_is),
        Spec(f"{key}_p99", f"{name}, p99", "us", floor_is),
        Spec(f"{key}_cpu", f"{name}, server's CPU", "us", floor_is),
    ]


_SPECS = [
    *_specs("ping", "`ping`", _ECHO_IS),
    *_specs("get", "`session/get`", _ECHO_IS),
    *_specs("prompt", "`session/prompt`, queued durably", _INSERT_IS),
]


def measure(scale: Scale) -> list[Row]:
    """Measure the daemon, an echo, and an echo that inserts."""
    with temporary_home() as home, ExitStack() as stack:
        daemon = stack.enter_context(running(home))
        echo, inserting = home / "echo", home / "insert"
        pids = (
            stack.enter_context(process.running("echo", str(echo))),
            stack.enter_context(process.running("echo", str(inserting), str(home / "insert.db"))),
        )
        return rows(
            alternate(
                scale.pairs, lambda: _daemon(daemon, scale), lambda: _floor((echo, inserting), pids, scale)
            ),
            _SPECS,
        )


def _daemon(daemon: Daemon, scale: Scale) -> Sample:
    with daemon.connect() as connection:
        session_id = daemon.create_session(connection)
        connection.call("session/prompt", sessionId=session_id, content=_content(_HANG))
        calls, prompts = scale.of(*_CALLS), scale.of(*_PROMPTS)
        sample = {
            **_timed("ping", connection, daemon.pid, "ping", {}, calls),
            **_timed("get", connection, daemon.pid, "session/get", {"sessionId": session_id}, calls),
            **_timed("prompt", connection, daemon.pid, "session/prompt", _prompt(session_id), prompts),
        }
        connection.call("session/cancel", sessionId=session_id, clearQueue=True)
        connection.call("session/delete", sessionId=session_id)
    return sample


def _floor(sockets: tuple[Path, Path], pids: tuple[int, int], scale: Scale) -> Sample:
    sample: Sample = {}
    with Wire.connect(str(sockets[0])) as connection:
        for key, method in (("ping", "ping"), ("get", "session/get")):
            params = {"sessionId": "0" * 36} if key == "get" else {}
            sample |= _timed(key, connection, pids[0], method, params, scale.of(*_CALLS))
    with Wire.connect(str(sockets[1])) as connection:
        sample |= _timed(
            "prompt", connection, pids[1], "session/prompt", _prompt("0" * 36), scale.of(*_PROMPTS)
        )
    return sample


def _timed(key: str, connection: Wire, pid: int, method: str, params: dict[str, Any], calls: int) -> Sample:
    """Call so often; give p50 and p99 and the server's processor time for each, in us."""
    took: list[float] = []
    before_cpu = cpu_ns(pid)
    for number in range(100_000, 100_000 + calls):
        line = wire.request(number, method, params)
        mark = b'"id":%d' % number
        before = time.perf_counter_ns()
        connection.sock.sendall(line)
        while mark not in (answer := connection.line()):
            pass  # A notification.
        took.append((time.perf_counter_ns() - before) / 1000)
        if b'"error":{' in answer[:64]:
            raise RuntimeError(answer.decode())
    return {**spread(took, key), f"{key}_cpu": (cpu_ns(pid) - before_cpu) / calls / 1000}


def _prompt(session_id: str) -> dict[str, Any]:
    return {"sessionId": session_id, "content": _content("say nothing"), "delivery": "queue"}


def _content(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]
