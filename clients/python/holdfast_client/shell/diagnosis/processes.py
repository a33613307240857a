"""What the kernel says about processes and locks, if it says anything. Signals nobody, locks nothing."""

import os
from typing import Final

from holdfast_client.shell.diagnosis.check import contents

_PROCESSES_MAX: Final = 20_000
_INIT: Final = 1


def lock_holder(path: str) -> int | None:
    """Give the process that holds a file's `flock`, 0 if it is not known which, None if none does.

    The lock is looked up, not tried: to try it would be in the way of a daemon that starts just then.
    """
    try:
        inode = os.stat(path).st_ino  # noqa: PTH116 - paths are strings here
    except OSError:
        return None
    for line in (contents("/proc/locks") or "").splitlines():
        # `1: FLOCK  ADVISORY  WRITE 4710 00:1b:395522 0 EOF`
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
            return int(words[4]) if words[4].isdecimal() and words[4] == (contents(path) or "").strip() else 0
    return None


def orphaned_sidecars() -> list[int]:
    """Give our processes that run `holdfastd --stdio` and whose parent is init: their programs are gone."""
    return [pid for pid in _our_processes() if _is_sidecar(pid) and _parent(pid) == _INIT and pid != _INIT]


def _our_processes() -> list[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - as above
    except OSError:
        return []
    return [
        int(name) for name in names[:_PROCESSES_MAX] if name.isdecimal() and _user(int(name)) == os.getuid()
    ]


def _is_sidecar(pid: int) -> bool:
    words = (contents(f"/proc/{pid}/cmdline") or "").split("\0")
    programs = [word.rpartition("/")[2] for word in words[:2]]  # An interpreter may come before it.
    return "holdfastd" in programs and "--stdio" in words


def _user(pid: int) -> int | None:
    return _status_number(pid, "Uid:")


def _parent(pid: int) -> int | None:
    return _status_number(pid, "PPid:")


def _status_number(pid: int, name: str) -> int | None:
    for line in (contents(f"/proc/{pid}/status") or "").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return None
