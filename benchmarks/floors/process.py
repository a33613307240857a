"""Starts a floor's process; it says `ready` when it serves."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import ROOT
from benchmarks.wire import WAIT_S


class Floor:
    """A floor that waits for a word."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def go(self) -> dict[str, Any]:
        """Let it work; give what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(module: str, *arguments: str) -> Iterator[int]:
    """Run a floor that serves until its stdin ends; give the process's id."""
    with _started(module, *arguments) as process:
        yield process.pid


@contextmanager
def commanded(module: str, *arguments: str) -> Iterator[Floor]:
    """Run a floor that does its work once."""
    with _started(module, *arguments) as process:
        yield Floor(process)


@contextmanager
def _started(module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.floors.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"The floor {module} did not start.")
            yield process
            process.stdin.close()
            process.wait(WAIT_S)
        finally:
            process.kill()
