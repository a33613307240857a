"""Turns at changing a file: whoever changes one waits for whoever is at it, in any session.

Without turns, of two changes made at once to what both had read, one would be lost.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class _Turn:
    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.users = 0  # Calls that hold the lock or wait for it.


class Turns:
    """Turns by absolute path; holds only paths that calls are at."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def at(self, path: str) -> AsyncGenerator[None]:
        """Wait for the turn at a path, and hold it."""
        turn = self._turns.setdefault(path, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[path]
