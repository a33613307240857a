"""Daemons as processes of their own, each on a home of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.clocks import cpu_ns
from benchmarks.wire import WAIT_S, Wire

HOLDFASTD = str(Path(sys.executable).with_name("holdfastd"))
"""The command, of the environment the benchmarks run in."""


class Daemon:
    """A `holdfastd` process that serves."""

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]", record: dict[str, Any]) -> None:
        self.home = home
        self.process = process
        self.socket: str = record["unix"]
        self.token = (home / "state" / "token").read_text(encoding="ascii")

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def cpu_ns(self) -> int:
        """User and system time so far."""
        return cpu_ns(self.pid)

    def connect(self) -> Wire:
        """Connect and initialize."""
        wire = Wire.connect(self.socket)
        wire.initialize(self.token)
        return wire

    def create_session(self, wire: Wire) -> str:
        """Make a session in the home's directory for work."""
        return str(wire.call("session/create", cwd=str(self.home / "work"))["sessionId"])


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Make a home: its path is short, because the kernel takes no long one for a socket."""
    path = Path(tempfile.mkdtemp(prefix="hf"))
    (path / "work").mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def environ(home: Path) -> dict[str, str]:
    """Give the environment of a daemon and of commands that look for it."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "HOLDFAST_HOME": str(home), "LANG": "C.UTF-8"}


def places(home: Path) -> list[str]:
    """Give the flags that say where a daemon lives."""
    return ["--state", str(home / "state"), "--runtime", str(home / "run")]


@contextmanager
def running(home: Path, command: Sequence[str] = (HOLDFASTD,)) -> Iterator[Daemon]:
    """Run a daemon; it serves when this is entered, and has ended in order when it is left."""
    ready, ready_end = os.pipe()
    process = subprocess.Popen(
        [*command, *places(home), "--ready-fd", str(ready_end)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[ready_end],
        env=environ(home),
        cwd=ROOT,
    )
    os.close(ready_end)
    try:
        with open(ready, "rb") as lines:  # noqa: PTH123 - a descriptor
            line = lines.readline()
        if not line:
            raise RuntimeError("The daemon did not start.")
        yield Daemon(home, process, json.loads(line))
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        finally:
            process.kill()
            process.wait()
