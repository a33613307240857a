"""Looks at the machine's processes from outside, as a test must."""

import contextlib
import os
import secrets
import select
from pathlib import Path

import anyio


def new_mark() -> str:
    """Give an argument that `sleep` takes as hours of sleep and no other process has."""
    return f"99999.{secrets.randbelow(10**12):012d}"


def living_with(mark: str) -> list[int]:
    """Give the pids of living processes with that word on their command line."""
    found: list[int] = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if mark.encode() in words and int(path.name) != os.getpid():
                    found.append(int(path.name))
    return found


def unreaped_children() -> list[int]:
    """Give the pids of dead children of this process that nobody has waited for."""
    found: list[int] = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                fields = (path / "stat").read_bytes().rpartition(b")")[2].split()
                if fields[0] == b"Z" and int(fields[1]) == os.getpid():
                    found.append(int(path.name))
    return found


def is_dead(descriptor: int) -> bool:
    """Tell whether the process of a pidfd has ended."""
    return bool(select.select([descriptor], [], [], 0)[0])


async def until_dead(descriptor: int) -> None:
    """Wait until the process of a pidfd has ended."""
    with anyio.fail_after(10):
        await anyio.wait_readable(descriptor)


class Lines:
    """An output callback that lets a test wait for lines of output."""

    def __init__(self) -> None:
        self.text = ""
        self._more = anyio.Event()

    async def take(self, text: str) -> None:
        self.text += text
        self._more.set()

    async def until(self, count: int) -> list[str]:
        with anyio.fail_after(10):
            while self.text.count("\n") < count:
                self._more = anyio.Event()
                await self._more.wait()
        return self.text.splitlines()
