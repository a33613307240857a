"""Start the daemon if none answers, once, however many clients ask at the same time.

    connect; if nobody answers, take the start lock, connect again, execute `holdfastd`, wait for ready.

The lock is the kernel's (`flock`), so what a lock file contains, and whether its writer lives, means nothing.
The daemon is found and executed as a program; nothing of it is imported.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Generator
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from holdfast_client.shell import endpoint, spawn
from holdfast_client.shell.exit_codes import NotRunning, Unreachable
from holdfast_protocol import discovery

READY_TIMEOUT_S: Final = 30.0
"""A cold start takes a tenth of a second; a starved machine has needed many."""

LOCK_TIMEOUT_S: Final = 60.0
"""Longer than a start may take, so that who waits learns how it ended."""

_LOCK_POLL_S: Final = 0.02

_PREDECESSOR_TIMEOUT_S: Final = 15.0
"""How long a daemon that closed its socket may keep its log locked before a new one can have it."""

_PREDECESSOR_POLL_S: Final = 0.25


def connect_or_start(
    locations: discovery.Locations, client_id: str, answers: tuple[str, ...] = ()
) -> endpoint.Connection:
    """Connect to the user's daemon; start it if none answers. Takes what `endpoint.connect` takes.

    Raises:
        Unreachable: it could not be started (the message has its own words), or does not serve us.
    """
    try:
        return endpoint.connect(locations, client_id, answers)
    except NotRunning:
        pass
    _make_private_directory(locations.runtime)
    with _start_lock(locations.start_lock):
        return _connect_or_start_locked(locations, client_id, answers)


def _connect_or_start_locked(
    locations: discovery.Locations, client_id: str, answers: tuple[str, ...]
) -> endpoint.Connection:
    give_up_at = monotonic() + _PREDECESSOR_TIMEOUT_S
    while True:
        try:
            return endpoint.connect(locations, client_id, answers)
        except NotRunning:
            pass
        try:
            spawn.start(locations, READY_TIMEOUT_S)
        except spawn.StateInUse as in_use:
            # A daemon that no longer answers, or does not answer yet, holds the log.
            if monotonic() > give_up_at:
                raise in_use from None
            sleep(_PREDECESSOR_POLL_S)
        else:
            return _connect_to_started(locations, client_id, answers)


def _connect_to_started(
    locations: discovery.Locations, client_id: str, answers: tuple[str, ...]
) -> endpoint.Connection:
    try:
        return endpoint.connect(locations, client_id, answers)
    except NotRunning:
        message = f"the daemon started, but does not answer; its log is {locations.log}"
        raise Unreachable(message, "start_failed") from None


def _make_private_directory(path: str) -> None:
    """Create the runtime directory, 0700; what is there already must be private too.

    Raises:
        Unreachable: it cannot be created, or others could put a socket of theirs into it.
    """
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            Path(path).mkdir(mode=0o700)
        status = os.lstat(path)
    except OSError as error:
        raise Unreachable(f"cannot create {path}: {error.strerror}", "start_failed") from None
    if not stat.S_ISDIR(status.st_mode) or not endpoint.is_private(status):
        raise Unreachable(f"refusing {path}: it must be a directory of yours with mode 0700", "start_failed")


@contextlib.contextmanager
def _start_lock(path: str) -> Generator[None]:
    """Hold the start lock.

    Raises:
        Unreachable: the lock file is not a private file of this user, or the lock was not to be had.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise Unreachable(f"cannot open {path}: {error.strerror}", "start_failed") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not endpoint.is_private(status):
            raise Unreachable(f"refusing {path}: it must be a file of yours with mode 0600", "start_failed")
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)  # Releases the lock.


def _take(descriptor: int, path: str) -> None:
    deadline = monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                message = f"another client has held {path} for {LOCK_TIMEOUT_S:g} s"
                raise Unreachable(message, "start_failed") from None
            sleep(_LOCK_POLL_S)
        else:
            return
