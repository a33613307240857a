"""The machine's processes, as procfs and the kernel show them, and a signal that hits the one that was seen.

Blocks for a few milliseconds. Linux only.
"""

import contextlib
import os
import resource
import signal
from pathlib import Path
from typing import NamedTuple


class ProcessEntry(NamedTuple):
    """One row of procfs. (pid, started) names a process for good; a pid alone may be used again."""

    pid: int
    started: int
    parent: int
    group: int
    session: int
    state: str

    @property
    def zombie(self) -> bool:
        """Whether it is dead and waits to be reaped."""
        return self.state in "ZX"


def process_table() -> dict[int, ProcessEntry]:
    """Give all processes there are, by pid.

    Raises:
        OSError: procfs cannot be read now, for want of descriptors for example.
    """
    table: dict[int, ProcessEntry] = {}
    for pid in pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            table[pid] = process_entry(pid)
    return table


def pids() -> list[int]:
    """Give the numbers of all processes.

    Raises:
        OSError: procfs cannot be read now.
    """
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names alone


def process_entry(pid: int) -> ProcessEntry:
    """Read one row.

    Raises:
        OSError: there is no such process.
    """
    data = Path(f"/proc/{pid}/stat").read_bytes()
    # The name in parentheses may hold anything, so fields are counted after its last one (proc(5)).
    fields = data[data.rindex(b")") + 2 :].split()
    return ProcessEntry(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode(),
    )


def brand_of(pid: int) -> int | None:
    """Give the number a process was branded with; None if it has none, or is gone or another user's.

    It may have lowered it, which is still a number: nobody without a privilege can take the limit away.
    """
    with contextlib.suppress(OSError):
        hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
        return None if hard == resource.RLIM_INFINITY else hard
    return None


def descendants(seeds: set[ProcessEntry], table: dict[int, ProcessEntry]) -> set[ProcessEntry]:
    """Give the processes and everything below them."""
    found: set[ProcessEntry] = set()
    grown = seeds
    while grown - found:
        found |= grown
        numbers = {entry.pid for entry in found}
        grown = {entry for entry in table.values() if entry.parent in numbers}
    return found


def send(entry: ProcessEntry, signum: signal.Signals) -> None:
    """Signal exactly this process, or nobody if its pid has gone to another."""
    with contextlib.suppress(OSError):  # Gone, another user's, or no descriptor left: the next round tells.
        descriptor = os.pidfd_open(entry.pid)
        try:
            if process_entry(entry.pid).started == entry.started:
                signal.pidfd_send_signal(descriptor, signum)
        finally:
            os.close(descriptor)
