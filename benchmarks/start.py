"""Starting: from `holdfastd` being executed to `initialize` answered, on a state directory that exists."""

import json
import os
import subprocess
import time
from pathlib import Path

from benchmarks import wire
from benchmarks.clocks import cpu_ns, run_python
from benchmarks.daemon import HOLDFASTD, environ, places, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate, median
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import WAIT_S, Wire

NAME = "start"
TITLE = "second start to `initialize` answered"

_STARTS = (5, 1)
_FLOOR_IS = '`python -c "import asyncio, msgspec"`, whole process'
_SPECS = [
    Spec("stdio_cpu", "sidecar over stdio, CPU", "ms", _FLOOR_IS, 2),
    Spec("stdio_wall", "sidecar over stdio, wall", "ms", _FLOOR_IS, 2),
    Spec("unix_cpu", "daemon over unix socket, CPU", "ms", _FLOOR_IS, 2),
    Spec("unix_wall", "daemon over unix socket, wall", "ms", _FLOOR_IS, 2),
]


def measure(scale: Scale) -> list[Row]:
    """Measure both ways of starting against the bare imports."""
    with temporary_home() as home:
        with running(home):
            pass  # The first start makes the state directory.
        starts = scale.of(*_STARTS)
        return rows(alternate(scale.pairs, lambda: _starts(home, starts), lambda: _floor(starts)), _SPECS)


def _starts(home: Path, count: int) -> Sample:
    sidecars = [_sidecar(home) for _ in range(count)]
    daemons = [_daemon(home) for _ in range(count)]
    return {
        "stdio_wall": median([wall for wall, _ in sidecars]),
        "stdio_cpu": median([cpu for _, cpu in sidecars]),
        "unix_wall": median([wall for wall, _ in daemons]),
        "unix_cpu": median([cpu for _, cpu in daemons]),
    }


def _floor(count: int) -> Sample:
    costs = [run_python("import asyncio, msgspec") for _ in range(count)]
    wall, cpu = median([cost.wall_ms for cost in costs]), median([cost.cpu_ms for cost in costs])
    return {"stdio_wall": wall, "stdio_cpu": cpu, "unix_wall": wall, "unix_cpu": cpu}


def _sidecar(home: Path) -> tuple[float, float]:
    """Start a sidecar; give wall and processor time until it answered, in ms."""
    hello = wire.request(1, "initialize", wire.hello(None))
    before = time.perf_counter_ns()
    process = subprocess.Popen(
        [HOLDFASTD, "--stdio", "--state", str(home / "state")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ(home),
        bufsize=0,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(hello)
        answer = process.stdout.readline()
        took = _took_ms(before, process.pid)
        process.stdin.close()
        process.wait(WAIT_S)
    assert "result" in json.loads(answer)
    return took


def _daemon(home: Path) -> tuple[float, float]:
    """Start a daemon, connect when it says it is ready; give the same."""
    ready, ready_end = os.pipe()
    before = time.perf_counter_ns()
    with subprocess.Popen(
        [HOLDFASTD, *places(home), "--ready-fd", str(ready_end)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[ready_end],
        env=environ(home),
    ) as process:
        os.close(ready_end)
        with open(ready, "rb") as lines:  # noqa: PTH123 - a descriptor
            record = json.loads(lines.readline())
        with Wire.connect(record["unix"]) as connection:
            connection.initialize((home / "state" / "token").read_text(encoding="ascii"))
            took = _took_ms(before, process.pid)
        process.terminate()
        process.wait(WAIT_S)
    return took


def _took_ms(before_ns: int, pid: int) -> tuple[float, float]:
    return (time.perf_counter_ns() - before_ns) / 1e6, cpu_ns(pid) / 1e6
