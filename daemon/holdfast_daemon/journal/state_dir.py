"""The state directory: private, local, and held by one daemon at a time."""

import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast_protocol.file_systems import NETWORK_FILE_SYSTEMS, file_system_of

_NETWORK_FILE_SYSTEMS: Final = NETWORK_FILE_SYSTEMS


class StateDirError(Exception):
    """The directory cannot be used; the message says why and what to do."""


class StateInUse(StateDirError):
    """Another daemon holds the directory; it may be about to let go."""


class StateDir:
    """A state directory, locked while the context is entered.

    Raises:
        StateInUse: another daemon uses it; the message names its pid.
        StateDirError: it is not ours, or on a network file system.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(self.path)
            file_system = _file_system(self.path)
            if file_system in _NETWORK_FILE_SYSTEMS:
                raise StateDirError(
                    f"{self.path} is on a network file system ({file_system}); locks do not hold there."
                    " Set HOLDFAST_HOME or --state to a local directory."
                )
            self._lock = hold_lock(self.path / "daemon.lock")
        except OSError as error:
            raise StateDirError(f"Cannot use {self.path}: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)  # The kernel drops the lock; the file stays, nobody depends on it.
            self._lock = None


def hold_lock(path: Path) -> int:
    """Take a lock file for this process's life; give its descriptor, which holds the lock while it is open.

    Raises:
        StateInUse: another daemon holds it; the message names its pid.
        OSError: the file cannot be opened.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StateInUse(f"Another daemon (pid {holder}) uses {path.parent}.") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def check_private(path: Path) -> None:
    """Refuse a directory that others own or may enter; our own is tightened to 0700.

    Raises:
        StateDirError: it is not a directory of ours.
    """
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StateDirError(f"{path} is not a directory of this user.")
    if status.st_mode & 0o077:
        path.chmod(0o700)


def _file_system(path: Path) -> str:
    """Name the file system a path is on; empty where the kernel does not tell."""
    try:
        mounts = os.fsdecode(Path("/proc/self/mounts").read_bytes())
    except OSError:
        return ""
    return file_system_of(str(path.resolve()), mounts)
