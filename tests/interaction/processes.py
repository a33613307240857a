"""The machine's processes, seen from outside, as a test must."""

import contextlib
import os
import secrets
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
                if mark.encode() in words:
                    found.append(int(path.name))
    return found


async def until_dead(pids: list[int]) -> None:
    """Wait until all of these processes have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)


def living(pids: list[int]) -> list[int]:
    """Give those of some processes that have not ended; zombies have."""
    return [pid for pid in pids if _state(pid) not in ("", "Z", "X")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
