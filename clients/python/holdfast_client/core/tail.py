"""One reader's place in a session's log, and what came after it that was not taken yet. No I/O.

A tail is *live* while batches of the session's subscription are put into it. It is not when it is new, when
its connection is lost, and when its reader takes too slowly: then it holds a cursor, and goes on from there
with pages of the log (`session/read`) until it has caught up. So its memory is bounded, and nothing is lost.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from holdfast_client.errors import LogChanged
from holdfast_protocol import events
from holdfast_protocol.errors import RemoteProtocolError
from holdfast_protocol.methods.subscribe import SessionEventsParams, SessionReadResult

BUFFER_BYTES_MAX: Final = 1024 * 1024
"""What a live tail holds for a reader that is busy: a few seconds of a fast run."""

_EVENT_BYTES: Final = 128  # What an event costs beside its body; small ones must not come for free.

AnyEvent = events.Event | events.UnknownEvent


class _Head(msgspec.Struct, frozen=True):
    """Of an event, what is needed to place it."""

    type: str
    seq: int


_head_decoder = msgspec.json.Decoder(_Head)


class Tail:
    """A cursor and the events after it.

    Args:
        session_id: whose log.
        cursor: the last seq the reader has; what comes after it is given.
        epoch: of the log the cursor belongs to; None: the log that is found.
        types: only these events; None for all.
        deltas: whether to give deltas, which the end of their block repeats whole.
        on_change: called when there is something new to look at. Must not raise and not wait.
        buffer_bytes_max: how much a live tail may hold.

    Attributes:
        live: whether batches are put into it.
        cursor: the last seq that was put into it or is known to concern nobody.
        dropped: how often it ceased to be live because its reader was slow.
    """

    def __init__(
        self,
        session_id: str,
        cursor: int,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        on_change: Callable[[], None],
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.types = tuple(types) if types is not None else None
        self.live = False
        self.cursor = cursor
        self.dropped = 0
        self._on_change = on_change
        self._buffer_bytes_max = buffer_bytes_max
        self._unwanted = frozenset[str]() if deltas else events.DELTA_TAGS
        self._wanted = frozenset(self.types) if self.types is not None else None
        self._taken = cursor
        self._buffer: deque[tuple[_Head, msgspec.Raw]] = deque()
        self._buffer_bytes = 0

    @property
    def position(self) -> int:
        """The cursor of the reader: nothing up to here is still to be taken."""
        return self._taken if self._buffer else self.cursor

    @property
    def buffered_bytes(self) -> int:
        """How much it holds."""
        return self._buffer_bytes

    def take(self) -> AnyEvent | None:
        """Take the next event, decoded now; None if there is none here."""
        while self._buffer:
            head, body = self._buffer.popleft()
            self._buffer_bytes -= _size(body)
            self._taken = head.seq
            if self._passes(head.type):
                return _decode(bytes(body))
        return None

    # Filling -------------------------------------------------------------------------------------------

    def put_page(self, page: SessionReadResult) -> None:
        """Take a page of the log that was asked for after `cursor`.

        Raises:
            LogChanged: it is of another log.
            RemoteProtocolError: it does not begin after the cursor.
            msgspec.ValidationError: what it has are no events.
        """
        self.settle_epoch(page.epoch)
        if page.from_ != self.cursor + 1 or page.to < self.cursor:
            raise RemoteProtocolError(
                f"Asked for what follows {self.cursor}, the daemon gave {page.from_} to {page.to}."
            )
        self._put(page.events, page.to)

    def put_batch(self, batch: SessionEventsParams) -> bool:
        """Take a batch that goes on at or before the cursor; tell whether it is still live.

        Raises:
            msgspec.ValidationError: what it has are no events; nothing of it was taken.
        """
        if batch.to <= self.cursor:
            return True
        assert self.live
        assert batch.from_ <= self.cursor + 1
        if self._buffer_bytes > self._buffer_bytes_max:
            self.dropped += 1
            self.drop()
            return False
        self._put(batch.events, batch.to)
        self._on_change()
        return True

    def join(self) -> None:
        """Become live: batches follow from the cursor on."""
        self.live = True
        self._on_change()

    def drop(self) -> None:
        """Cease to be live; what it holds is still to be taken."""
        self.live = False
        self._on_change()

    def settle_epoch(self, epoch: str) -> None:
        """Note the log's epoch, or check it.

        Raises:
            LogChanged: it is another one.
        """
        if self.epoch not in (None, epoch):
            raise LogChanged(self.session_id, self.epoch or "", epoch)
        self.epoch = epoch

    def _put(self, bodies: Sequence[msgspec.Raw], last: int) -> None:
        """Take bodies in that cover up to `last`, all or none; what was here already is left out."""
        heads = [_head_decoder.decode(body) for body in bodies]
        for head, body in zip(heads, bodies, strict=True):
            if head.seq > self.cursor:
                self._buffer.append((head, body))
                self._buffer_bytes += _size(body)
        self.cursor = last

    def _passes(self, event_type: str) -> bool:
        return event_type not in self._unwanted and (self._wanted is None or event_type in self._wanted)


def _decode(body: bytes) -> AnyEvent:
    """Decode an event; one that is not as this build knows it counts as unknown."""
    try:
        return events.decode(body)
    except msgspec.ValidationError:
        return msgspec.json.decode(body, type=events.UnknownEvent)


def _size(body: msgspec.Raw) -> int:
    return len(memoryview(body)) + _EVENT_BYTES
