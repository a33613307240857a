"""A demo in a temporary directory of the test's own, so that what it leaves there is seen."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

WAIT_S = 60.0
"""The bound of every wait here: machines are shared, and a demo starts a dozen processes."""


class Stage:
    """Where a demo is run as a command. `tmp` is its TMPDIR, `users` the home of a user it must not touch."""

    def __init__(self, path: Path) -> None:
        self.tmp = path / "tmp"
        self.users = path / "users"
        self.tmp.mkdir()
        self.users.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.users),
            "TMPDIR": str(self.tmp),
            "HOLDFAST_HOME": str(self.users),
            "LANG": "C.UTF-8",
        }

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("holdfast")), *arguments]

    def run(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=WAIT_S,
            cwd=self.users,
            env={**self.environ, **env},
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.users,
            env=self.environ,
        )

    def files_left(self) -> list[str]:
        return [str(path) for place in (self.tmp, self.users) for path in place.rglob("*")]

    def processes_left(self) -> list[int]:
        """Give the processes that were started for a demo here: it is in their environment."""
        mark = f"TMPDIR={self.tmp}".encode()
        found: list[int] = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage; its path is short, because the kernel takes no long one for a socket."""
    path = Path(tempfile.mkdtemp(prefix="hf"))
    try:
        yield Stage(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
