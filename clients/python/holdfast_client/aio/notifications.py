"""Raw notifications, as they come: for programs that want what the daemon sends and not what it means."""

from collections import deque
from typing import Any, Final, Self

import anyio
import msgspec

from holdfast_client.errors import NotificationsLost
from holdfast_protocol.methods import TABLE

BUFFER_BYTES_MAX: Final = 8 * 1024 * 1024
"""What waits for a reader: some thirty of the largest batches. Notifications cannot be asked for again."""

_NOTIFICATION_BYTES: Final = 256  # What one costs beside its params; small ones must not come for free.


class Notified:
    """One notification.

    Attributes:
        method: as on the wire.
        raw: the params as they came.
    """

    __slots__ = ("method", "raw")

    def __init__(self, method: str, raw: msgspec.Raw) -> None:
        self.method = method
        self.raw = raw

    def __repr__(self) -> str:
        return f"Notified({self.method!r}, {bytes(self.raw)!r})"

    @property
    def params(self) -> Any:
        """The params as plain JSON values."""
        return msgspec.json.decode(self.raw)

    def decoded(self) -> Any:
        """The params as the Struct of the method table, `SessionEventsParams` for example.

        Raises:
            KeyError: the table does not know the method.
            msgspec.ValidationError: they do not fit.
        """
        return msgspec.json.decode(self.raw, type=TABLE[self.method].params)


class NotificationStream:
    """Notifications from its making on. Iterate it; one task at a time. It ends with its client.

    Raises, when iterated:
        NotificationsLost: they came faster than they were taken; iterating on goes on.
    """

    def __init__(self, methods: tuple[str, ...]) -> None:
        self._methods = frozenset(methods)
        self._buffer: deque[Notified] = deque()
        self._buffer_bytes = 0
        self._lost = 0
        self._changed = anyio.Event()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notified:
        notified = await self.receive()
        if notified is None:
            raise StopAsyncIteration
        return notified

    async def receive(self) -> Notified | None:
        """Wait for the next one; None after `close`."""
        while not (self._buffer or self._lost or self._ended):
            self._changed = anyio.Event()
            await self._changed.wait()
        return self.receive_nowait()

    def receive_nowait(self) -> Notified | None:
        """Give the next one if it is here."""
        if self._buffer:
            notified = self._buffer.popleft()
            self._buffer_bytes -= _size(notified)
            return notified
        if self._lost:
            count, self._lost = self._lost, 0
            raise NotificationsLost(count)
        return None

    async def receive_some(self, count: int = 1000) -> list[Notified]:
        """Wait for one, and give it with what else is here, at most `count`; none after `close`."""
        first = await self.receive()
        some = [] if first is None else [first]
        while some and len(some) < count and self._buffer:
            some.append(self._buffer.popleft())
            self._buffer_bytes -= _size(some[-1])
        return some

    def put(self, notified: Notified) -> None:
        """Take one in, if it is wanted; one too many is dropped, and so are all until the reader was told."""
        if self._methods and notified.method not in self._methods:
            return
        size = _size(notified)
        if self._lost or self._buffer_bytes + size > BUFFER_BYTES_MAX:
            self._lost += 1
        else:
            self._buffer.append(notified)
            self._buffer_bytes += size
        self._changed.set()

    def close(self) -> None:
        """Take no more."""
        self._ended = True
        self._changed.set()


def _size(notified: Notified) -> int:
    return len(memoryview(notified.raw)) + _NOTIFICATION_BYTES
