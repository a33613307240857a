"""A reader of one session who keeps everything, and can be asked to wait for something."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from holdfast_client.aio import Session
from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo.broken import StoryBroken
from holdfast_protocol import events

_ENDS: Final = (
    events.RunCompleted,
    events.RunFailed,
    events.RunCancelled,
    events.RunInterrupted,
    events.SessionEnded,
)


class Watch:
    """Follows a session from its first event on. One task runs it, one waits.

    Args:
        session: whose events.
        on_event: called with each, in order. Must not raise and not wait.

    Attributes:
        seen: the events, oldest first.
    """

    def __init__(self, session: Session, on_event: Callable[[AnyEvent], None]) -> None:
        self._session = session
        self._on_event = on_event
        self._changed = anyio.Event()
        self.seen: list[AnyEvent] = []

    async def run(self) -> None:
        """Follow until cancelled."""
        async for event in self._session.events():
            self.seen.append(event)
            self._on_event(event)
            self._changed.set()
            self._changed = anyio.Event()

    async def find(self, wanted: Callable[[AnyEvent], bool]) -> AnyEvent:
        """Wait for the first event of a kind; it may have been seen before.

        Raises:
            StoryBroken: the run ended without it.
        """
        looked_at = 0
        while True:
            for event in self.seen[looked_at:]:
                if wanted(event):
                    return event
                if isinstance(event, _ENDS):
                    raise StoryBroken(_ending(self._session.id, event))
            looked_at = len(self.seen)
            await self._changed.wait()

    async def reach(self, seq: int) -> None:
        """Wait until an event has come, or a later one."""
        while not self.seen or self.seen[-1].seq < seq:
            await self._changed.wait()


@asynccontextmanager
async def watching(session: Session, on_event: Callable[[AnyEvent], None]) -> AsyncGenerator[Watch]:
    """Watch a session for as long as the block lasts."""
    watch = Watch(session, on_event)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        yield watch
        tasks.cancel_scope.cancel()


def _ending(session_id: str, event: AnyEvent) -> str:
    why = f": {event.error.message}" if isinstance(event, events.RunFailed) else ""
    kind = "run completed too early" if isinstance(event, events.RunCompleted) else "run was not completed"
    return f"session {session_id}: its {kind}{why}"
