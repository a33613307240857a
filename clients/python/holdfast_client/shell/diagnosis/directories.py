"""Directories and files: whose they are, who may enter, where they lie, and whether there is room."""

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from holdfast_client.shell import figures
from holdfast_client.shell.diagnosis.check import Check, Finding, Scene, contents
from holdfast_protocol.discovery import SUN_PATH_BYTES_MAX
from holdfast_protocol.file_systems import NETWORK_FILE_SYSTEMS, file_system_of

_ROOM_LITTLE_BYTES: Final = 1 << 30
_ROOM_TOO_LITTLE_BYTES: Final = 96 << 20
"""The ballast and a log's WAL at its largest."""

_PRIVATE_FILES: Final = ("token", "journal.db", "daemon.log", "daemon.lock")


def _config(scene: Scene) -> Finding:
    """The user's file may lie anywhere and be read by anyone, but nobody else may write it."""
    return _directory(scene.locations.config, 0o022)


def _state(scene: Scene) -> Finding:
    return _directory(scene.locations.state, 0o077)


def _runtime(scene: Scene) -> Finding:
    return _directory(scene.locations.runtime, 0o077)


def _directory(path: str, forbidden: int) -> Finding:
    """Judge a directory.

    Args:
        path: the directory.
        forbidden: the permissions nobody else may have; if they include reading, it must be no link either.
    """
    is_private = bool(forbidden & 0o044)
    try:
        status = os.lstat(path) if is_private else os.stat(path)  # noqa: PTH116 - paths are strings here
    except (FileNotFoundError, NotADirectoryError):
        return Finding("ok", f"{path} is not there yet; made when it is needed")
    if not stat.S_ISDIR(status.st_mode):
        return Finding("failed", f"{path} is not a directory", (), f"move {path} away")
    if status.st_uid != os.geteuid():
        summary = f"{path} belongs to user {status.st_uid}"
        return Finding("failed", summary, (), "set HOLDFAST_HOME to a directory of yours")
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        fix = f"chmod 700 {path}"
        return Finding(
            "failed", f"{path} is open to others (mode {mode:04o})", (), fix, _closing(path, 0o700)
        )
    return Finding("ok", f"{path} ({mode:04o})")


def _files(scene: Scene) -> Finding:
    """Files in the state directory that would tell others what they must not know."""
    open_ones = list(_open_files(scene.locations.state))
    if not open_ones:
        return Finding("ok", "the log and the token can be read by you alone")
    fix = f"chmod 600 {' '.join(open_ones)}"
    summary = f"others may read or write {os.path.basename(open_ones[0])}"  # noqa: PTH119 - as above

    def close_all() -> str:
        return "; ".join(_closing(path, 0o600)() for path in open_ones)

    return Finding("failed", summary, tuple(open_ones), fix, close_all)


def _open_files(state: str) -> Iterator[str]:
    for name in _PRIVATE_FILES:
        path = f"{state}/{name}"
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mode & 0o077:
            yield path


def _closing(path: str, mode: int) -> Callable[[], str]:
    return partial(_close, path, mode)


def _close(path: str, mode: int) -> str:
    """Change the mode of what was looked at, if it is no link by now and still ours."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return f"set the mode of {path} to {mode:04o}"


def _file_system(scene: Scene) -> Finding:
    mounts = _mounts()
    if not mounts:
        return Finding("ok", "this system does not say what is mounted")
    path = _existing(scene.locations.state)
    kind = file_system_of(os.path.realpath(path), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        summary = f"{path} is on a network file system ({kind}); locks do not hold there"
        return Finding("failed", summary, (), "set HOLDFAST_HOME to a local directory")
    return Finding("ok", f"the state directory is on {kind or 'a local file system'}")


def _mounts() -> str:
    return contents("/proc/self/mounts") or ""


def _socket_path(scene: Scene) -> Finding:
    length = len(os.fsencode(scene.locations.socket))
    if length > SUN_PATH_BYTES_MAX:
        summary = f"the socket's path has {length} bytes, the kernel takes {SUN_PATH_BYTES_MAX}"
        return Finding(
            "failed", summary, (scene.locations.socket,), "set HOLDFAST_HOME to a shorter directory"
        )
    return Finding("ok", f"the socket's path has {length} of {SUN_PATH_BYTES_MAX} bytes")


def _room(scene: Scene) -> Finding:
    path = _existing(scene.locations.state)
    system = os.statvfs(path)
    free = system.f_bavail * system.f_frsize
    summary = f"{figures.size(free)} free where the log is"
    if free < _ROOM_TOO_LITTLE_BYTES:
        return Finding("failed", summary, (path,), "make room: sessions halt when the log cannot be written")
    if free < _ROOM_LITTLE_BYTES:
        return Finding("warning", summary, (path,), "make room soon")
    return Finding("ok", summary, (path,))


def _existing(path: str) -> str:
    """Give the path, or the nearest directory above it that exists."""
    while not os.path.exists(path):  # noqa: PTH110 - as above
        path = os.path.dirname(path)  # noqa: PTH120 - as above
    return path


CHECKS: Final = (
    Check("configDirectory", "Directories", _config),
    Check("stateDirectory", "Directories", _state),
    Check("runtimeDirectory", "Directories", _runtime),
    Check("files", "Directories", _files),
    Check("fileSystem", "Directories", _file_system),
    Check("socketPath", "Directories", _socket_path),
    Check("room", "Directories", _room),
)
