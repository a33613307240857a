"""Ends a daemon nobody uses: no connection and no run for a while."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio

from holdfast_daemon.endpoints import Endpoints
from holdfast_daemon.server import Server
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_protocol.discovery import Locations

_LOOKS: Final = 10
"""Looks in one idle time: it ends at most a tenth late."""


class IdleExit:
    """Watches for idleness.

    Args:
        idle_s: how long nothing may happen.
        endpoints: checked for clients who just knocked.
        server: has the connections.
        runs: has the runs.
    """

    def __init__(self, idle_s: float, endpoints: Endpoints, server: Server, runs: RunFactory) -> None:
        self._idle_s = idle_s
        self._endpoints = endpoints
        self._server = server
        self._runs = runs

    async def watch(self, stop: Callable[[], None]) -> None:
        """Call `stop` once the daemon has been idle; a jump of the wall clock or a sleep is no idleness."""
        idle_since = time.monotonic()
        while True:
            await anyio.sleep(self._idle_s / _LOOKS)
            if self._server.connections or self._runs.active:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._idle_s and self._leave():
                stop()
                return

    def _leave(self) -> bool:
        """Stop listening, unless a client is just starting a daemon or has just knocked."""
        with _start_lock(self._endpoints.record["unix"]) as held:
            if not held or self._endpoints.accept_waiting():
                return False
            self._endpoints.close()
            return True


@contextmanager
def _start_lock(unix: str | None) -> Generator[bool]:
    """Hold the lock clients start daemons under, if nobody else does."""
    if unix is None:
        yield True
        return
    path = Locations(config="", state="", runtime=str(Path(unix).parent)).start_lock
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
