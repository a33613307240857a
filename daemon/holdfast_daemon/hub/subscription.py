"""One connection's subscription to one session: a cursor, and how to move it."""

from enum import Enum
from typing import Protocol

import anyio

from holdfast_daemon.hub.filter import Filter
from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.framing import Framing
from holdfast_protocol.methods.subscribe import OnLag


class Outlet(Protocol):
    """A connection, as the hub sees it. Written to from the loop only."""

    @property
    def framing(self) -> Framing:
        """How it frames messages."""
        ...

    @property
    def paused(self) -> bool:
        """Whether its buffer is above the high-water mark; then events wait in the log."""
        ...

    def write(self, frame: bytes) -> None:
        """Send framed bytes. Never waits, never raises; ignored once the connection is lost."""
        ...


class Pace(Enum):
    """How a subscription is served now."""

    PENDING = "pending"  # Registered; its response is not sent yet.
    LIVE = "live"  # From the ring, as events are published.
    READING = "reading"  # From the store, by a task of its own.
    ENDED = "ended"


class Subscription:
    """A cursor on a session's log. The hub alone changes it.

    Attributes:
        cursor: the last seq the client was told of.
        position: the last seq that was looked at; ahead of the cursor when deltas were left out.
        answers: the kinds of requests somebody at this client can answer.
        behind: whether `session/caughtUp` is due when the head is reached.
    """

    __slots__ = ("_resumed", "answers", "behind", "cursor", "filter", "on_lag", "outlet", "pace", "position")

    def __init__(
        self,
        outlet: Outlet,
        cursor: int,
        wanted: Filter,
        on_lag: OnLag,
        answers: frozenset[RequestKind] = frozenset(),
    ) -> None:
        self.outlet = outlet
        self.answers = answers
        self.cursor = cursor
        self.position = cursor
        self.filter = wanted
        self.on_lag: OnLag = on_lag
        self.pace = Pace.PENDING
        self.behind = True
        self._resumed = anyio.Event()

    def resume(self) -> None:
        """Say that the outlet takes bytes again."""
        self._resumed.set()
        self._resumed = anyio.Event()

    async def writable(self) -> None:
        """Wait until the outlet takes bytes, or the subscription has ended."""
        while self.outlet.paused and self.pace is not Pace.ENDED:
            await self._resumed.wait()
