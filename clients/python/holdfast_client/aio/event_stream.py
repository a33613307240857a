"""Iterating a session's events: from a cursor, each once, in order, for as long as one cares to.

    async for event in session.events(after=0): ...

Lost connections, restarted daemons and slow readers are not noticed: the stream holds a cursor and goes on.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Self

import anyio

from holdfast_client.aio.follower import Follower
from holdfast_client.aio.rpc import Rpc
from holdfast_client.core.tail import BUFFER_BYTES_MAX, AnyEvent, Tail
from holdfast_protocol import events
from holdfast_protocol.errors import CursorInvalid, NotFound

After = int | Literal["start", "head"]

_PAGE_EVENTS: Final = 500
"""Of a page of the log; a page is also bounded in bytes."""

_READY_EVENTS_MAX: Final = 1000


class Follow(NamedTuple):
    """How to follow a session.

    Attributes:
        after: the last seq one has; what follows it is given.
        epoch: of the log the cursor belongs to; None: of the log that is found.
        types: only these events.
        deltas: also deltas, which the end of their block repeats whole.
        buffer_bytes_max: how much may wait for a slow reader before it reads the log instead.
    """

    session_id: str
    after: After = 0
    epoch: str | None = None
    types: Sequence[str] | None = None
    deltas: bool = True
    buffer_bytes_max: int = BUFFER_BYTES_MAX


class EventStream:
    """A session's events, from a cursor on. Iterate it; one task at a time.

    It ends by itself only after `session_ended`. Entering it (`async with`) settles where it begins: needed
    with `after="head"`, else it begins with the first event that is asked for.

    Raises, when iterated:
        NotFound: there is no such session.
        LogChanged: the session was made anew: the cursor means nothing there.
        CursorInvalid: the cursor is beyond the log's head.
        ConnectionLost: no daemon came back in time. Iterating on tries again, from the same place.
    """

    def __init__(
        self, follow: Follow, rpc: Rpc, follower: Follower, wake: Callable[[], None] | None = None
    ) -> None:
        self._follow = follow
        self._rpc = rpc
        self._follower = follower
        self._changed = anyio.Event()
        self._wake = wake
        self._tail: Tail | None = None
        self._ended = False
        self._finishing = False  # It ends at the head instead of going live.
        self._at_end = False  # It has got there: what is here is the rest.

    @property
    def session_id(self) -> str:
        """Whose events."""
        return self._follow.session_id

    @property
    def cursor(self) -> int:
        """The last seq that needs not be given again; begin here the next time."""
        if self._tail is not None:
            return self._tail.position
        return self._follow.after if isinstance(self._follow.after, int) else 0

    @property
    def epoch(self) -> str | None:
        """Of the log; None until something was read."""
        return self._tail.epoch if self._tail else self._follow.epoch

    @property
    def times_behind(self) -> int:
        """How often this reader was too slow for live events, and read the log."""
        return self._tail.dropped if self._tail else 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEvent:
        event = await self.receive()
        if event is None:
            raise StopAsyncIteration
        return event

    async def open(self) -> None:
        """Settle where the stream begins."""
        if self._tail is not None:
            return
        after, epoch = self._follow.after, self._follow.epoch
        if after == "head":
            found = await self._rpc.session_get(session_id=self.session_id)
            after, epoch = found.snapshot.head, found.session.epoch
        self._tail = Tail(
            self.session_id,
            0 if after == "start" else after,
            epoch=epoch,
            types=self._follow.types,
            deltas=self._follow.deltas,
            on_change=self._tell,
            buffer_bytes_max=self._follow.buffer_bytes_max,
        )

    def close(self) -> None:
        """Let go of the session. Not closing does no harm: the next events end what nobody reads."""
        self._ended = True
        if self._tail is not None:
            self._follower.leave(self._tail)
            self._tell()

    async def receive(self) -> AnyEvent | None:
        """Wait for the next event; None at the end."""
        while True:
            event = self.receive_nowait()
            if event is not None or self._ended:
                return event
            await self.fill()

    def receive_nowait(self) -> AnyEvent | None:
        """Give the next event if it is here."""
        if self._tail is None or self._ended:
            return None
        event = self._tail.take()
        if isinstance(event, events.SessionEnded) or (event is None and self._at_end):
            self.close()
        return event

    async def receive_some(self, count: int = _READY_EVENTS_MAX) -> list[AnyEvent]:
        """Wait for an event, and give it with what else is here, at most `count`; none at the end."""
        first = await self.receive()
        some = [] if first is None else [first]
        while some and len(some) < count and (event := self.receive_nowait()) is not None:
            some.append(event)
        return some

    @property
    def is_live(self) -> bool:
        """Whether events come by themselves; else `fill` fetches them."""
        return self._tail is not None and self._tail.live

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will be given."""
        return self._ended

    @property
    def needs_page(self) -> bool:
        """Whether `fill` has to read the log for more."""
        return not (self._ended or self.is_live or (self._tail is not None and self._tail.buffered_bytes))

    def finish(self) -> None:
        """Give what the log has up to its present head, then end."""
        self._finishing = True
        if self._tail is not None:
            self._follower.leave(self._tail)

    async def fill(self) -> None:
        """Wait until there may be an event."""
        await self.open()
        assert self._tail is not None
        if not self._tail.live:
            await self._read_on(self._tail)
        elif not self._tail.buffered_bytes:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def resume(self) -> None:
        """Be live again on a new connection before it is used for anything else.

        Raises:
            RpcError: the session cannot be followed.
        """
        if self._tail is not None and self._tail.epoch is not None and not self._ended:
            await self._follower.join(self._tail, early=True)

    async def _read_on(self, tail: Tail) -> None:
        """Read a page of the log; at its end, become live."""
        asked = tail.cursor
        try:
            page = await self._rpc.session_read(
                session_id=tail.session_id, after=tail.cursor, types=tail.types, limit=_PAGE_EVENTS
            )
            if tail.live or tail.cursor != asked:
                return  # It was resumed meanwhile, and has all this already or is being given it.
            tail.put_page(page)
            if not page.more and self._finishing:
                self._at_end = True
            elif not page.more:
                await self._follower.join(tail)
        except NotFound:
            self.close()
            raise
        except CursorInvalid as invalid:
            if invalid.data.epoch is not None:
                tail.settle_epoch(invalid.data.epoch)  # Another log explains it better.
            raise

    def _tell(self) -> None:
        self._changed.set()
        if self._wake is not None:
            self._wake()
