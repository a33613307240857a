"""The bridge to editors: how soon it answers, and what it adds to each update an editor is sent.

A window is a process that writes a session's text to its stdout: the bridge, or, as its floor, one on the
client library that translates nothing. Ages are counted from the event's own time, which is in whole
milliseconds: half of one is in each.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import ROOT, wire
from benchmarks.clocks import cpu_ns, run_python
from benchmarks.daemon import Daemon, environ, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate, median
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import Wire

NAME = "acp"
TITLE = "an editor at `holdfast acp`"

_STARTS = (5, 1)
_DELTAS = (800, 80)
_DELTA_CHARS = 8
_DELAY_MS = 5

_HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
_FLOOR_IS = "a process on the client library that writes the same text, untranslated"
_SPECS = [
    Spec("cold_wall", "cold process to `initialize` answered, wall", "ms", "`python -c pass`", 100, "value"),
    Spec("cold_cpu", "the same, CPU", "ms", "`python -c pass`"),
    Spec("update_cpu", "CPU of the window per update", "us", _FLOOR_IS),
    Spec("age_p50", "age of a token when the window has written it, p50", "us", _FLOOR_IS),
    Spec("age_p99", "the same, p99", "us", _FLOOR_IS),
]


def measure(scale: Scale) -> list[Row]:
    """Measure the bridge against a bare interpreter, and against a window of our own."""
    with temporary_home() as home, running(home) as daemon:
        return rows(
            alternate(scale.pairs, lambda: _bridge(daemon, scale), lambda: _native(daemon, scale)), _SPECS
        )


def _bridge(daemon: Daemon, scale: Scale) -> Sample:
    starts = [_cold(daemon.home) for _ in range(scale.of(*_STARTS))]
    with daemon.connect() as connection:
        session_id = daemon.create_session(connection)
        with _window(daemon.home, [_HOLDFAST, "acp"]) as window:
            _tell(window, 1, "initialize", protocolVersion=1, clientCapabilities={})
            _tell(window, 2, "session/resume", sessionId=session_id, cwd=str(daemon.home / "work"))
            while b"available_commands_update" not in _line(window):
                pass  # The last thing a window says before there is something to say.
            sample = _stream(connection, session_id, window, _said_by_bridge, scale)
    return {
        "cold_wall": median([wall for wall, _ in starts]),
        "cold_cpu": median([cpu for _, cpu in starts]),
        **sample,
    }


def _native(daemon: Daemon, scale: Scale) -> Sample:
    bare = [run_python("pass") for _ in range(scale.of(*_STARTS))]
    with daemon.connect() as connection:
        session_id = daemon.create_session(connection)
        command = [sys.executable, "-m", "benchmarks.native_window", session_id]
        with _window(daemon.home, command) as window:
            _line(window)
            sample = _stream(connection, session_id, window, _said_by_native, scale)
    return {
        "cold_wall": median([cost.wall_ms for cost in bare]),
        "cold_cpu": median([cost.cpu_ms for cost in bare]),
        **sample,
    }


def _cold(home: Path) -> tuple[float, float]:
    """Start a bridge; give wall and processor time until it answered, in ms."""
    before = time.perf_counter_ns()
    with _window(home, [_HOLDFAST, "acp"]) as window:
        _tell(window, 1, "initialize", protocolVersion=1)
        answer = _line(window)
        took = (time.perf_counter_ns() - before) / 1e6, cpu_ns(window.pid) / 1e6
    assert "result" in json.loads(answer)
    return took


# Windows ----------------------------------------------------------------------------------------------------


@contextmanager
def _window(home: Path, command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environ(home), "PYTHONPATH": str(ROOT)},
        bufsize=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _tell(window: "subprocess.Popen[bytes]", number: int, method: str, **params: Any) -> None:
    assert window.stdin is not None
    window.stdin.write(wire.request(number, method, params))


def _line(window: "subprocess.Popen[bytes]") -> bytes:
    assert window.stdout is not None
    return window.stdout.readline()


def _stream(
    connection: Wire,
    session_id: str,
    window: "subprocess.Popen[bytes]",
    said: Callable[[bytes], str],
    scale: Scale,
) -> Sample:
    """Run a paced text; give what the window took for each piece of it, and how old it was then, in us."""
    deltas = scale.of(*_DELTAS)
    before = cpu_ns(window.pid)
    connection.call("session/prompt", sessionId=session_id, content=_script(deltas))
    came: list[int] = []  # When each character did, Unix ns.
    while len(came) < deltas * _DELTA_CHARS:
        line = _line(window)
        came.extend([time.time_ns()] * len(said(line)))
    cpu = (cpu_ns(window.pid) - before) / deltas / 1000
    ages = sorted((at - made) / 1000 for at, made in zip(came, _made(connection, session_id), strict=True))
    return {
        "update_cpu": cpu,
        "age_p50": ages[len(ages) // 2],
        "age_p99": ages[min(len(ages) - 1, len(ages) * 99 // 100)],
    }


def _script(deltas: int) -> list[dict[str, str]]:
    text = "".join(f"{number:0{_DELTA_CHARS - 1}d} " for number in range(deltas))
    how = f"delta_chars: {_DELTA_CHARS}, delay_ms: {_DELAY_MS}"
    return [{"type": "text", "text": f'script:\n  - text: {{value: "{text}", {how}}}\n'}]


def _made(connection: Wire, session_id: str) -> list[int]:
    """Give when each character of the text became an event, Unix ns, to the millisecond."""
    made: list[int] = []
    after, more = 0, True
    while more:
        page = connection.call("session/read", sessionId=session_id, types=["token_delta"], after=after)
        for event in page["events"]:
            made.extend([event["at"] * 1_000_000] * len(event["text"]))
        after, more = page["to"], page["more"]
    return made


def _said_by_bridge(line: bytes) -> str:
    update = (json.loads(line).get("params") or {}).get("update") or {}
    return update["content"]["text"] if update.get("sessionUpdate") == "agent_message_chunk" else ""


def _said_by_native(line: bytes) -> str:
    return str(json.loads(line))
