"""Order among requests about one session: each begins when the one before it has. Knows no messages."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Lanes:
    """One lane for each session that somebody is in."""

    def __init__(self) -> None:
        self._lanes: dict[str, tuple[anyio.Lock, int]] = {}

    @asynccontextmanager
    async def into(self, session_id: str | None) -> AsyncGenerator[None]:
        """Wait for one's place in a session's lane, and have it; None is in no lane."""
        if session_id is None:
            yield
            return
        lock, users = self._lanes.get(session_id, (anyio.Lock(), 0))
        self._lanes[session_id] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._lanes.pop(session_id)
            if users > 1:
                self._lanes[session_id] = lock, users - 1
