"""Time and processor time of other processes."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """What a process took, from being started to its end; `cpu_ms` is user and system together."""

    wall_ms: float
    cpu_ms: float


def cpu_ns(pid: int) -> int:
    """Give the processor time of a process and its threads so far, user and system.

    The clock of another process has the number the kernel's `clock_getcpuclockid` makes: to the nanosecond,
    where procfs counts in hundredths of a second.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end."""
    before = time.perf_counter_ns()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_ns = time.perf_counter_ns() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}.")
    return Cost(wall_ns / 1e6, (usage.ru_utime + usage.ru_stime) * 1000)


def run_python(source: str) -> Cost:
    """Run a line of Python, in the environment of these benchmarks."""
    return run([sys.executable, "-c", source])
