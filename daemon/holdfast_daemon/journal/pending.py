"""What waits to be committed, per session, and how it becomes rows.

Pure but for its own counters: no tasks, no clock, no I/O. The journal's pump takes from here.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeGuard

import anyio
import msgspec

from holdfast_daemon.journal import projections
from holdfast_daemon.journal.store import Append, Change, EventRow, event_row
from holdfast_protocol import events
from holdfast_protocol.errors import RpcError

_DELTA_BYTES: Final = 160
"""About what a delta's JSON has beside its text."""

_PLACE_BYTES: Final = 48
"""What an event's seq and time add to its JSON, at the most."""

_ESCAPED_BYTES_MAX: Final = 6
"""JSON bytes of one code point: `\\u0000`; what is not escaped takes four at most."""

_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode
_replace: Final = msgspec.structs.replace

DELTAS: Final = (events.TokenDelta, events.ToolOutput)
"""The types of `events.Delta`, in the form that is quickest to ask for."""

_TAGS: Final = {kind: str(kind.__struct_config__.tag) for kind in DELTAS}

Rows = Callable[[int], Sequence[Change]]
"""Gives further row changes once the seq of a group's last event is known; must not raise or block."""


class Committed(NamedTuple):
    """Events in their places, the rows whose bytes everybody gets, and how many bytes that is.

    Both lists have the same events, index by index. They are no list of pairs, because nearly all events are
    deltas, and of a delta each object more counts.
    """

    events: list[events.Event]
    rows: list[EventRow]
    bytes: int


class Group:
    """Events that are committed together or not at all, in order.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode; better here than in the pump.

    Attributes:
        members: the events, in order.
        bodies: their JSON without seq and time.
        bytes: about what they take in a transaction.
        rows: further changes in the same transaction.
        last_seq: the place of the last event; 0 until committed.
        error: why it was not committed.
    """

    __slots__ = ("_done", "bodies", "bytes", "error", "last_seq", "members", "rows")

    def __init__(
        self, group: tuple[events.Event, ...], rows: Rows | None = None, *, awaited: bool = False
    ) -> None:
        self.members = group
        self.rows = rows
        self.last_seq = 0
        self.error: RpcError | None = None
        self._done = anyio.Event() if awaited else None
        self.bodies = [_encoder.encode(event) for event in group]
        self.bytes = sum(len(body) for body in self.bodies) + _PLACE_BYTES * len(self.bodies)

    def has_event_over(self, bytes_max: int) -> bool:
        """Tell whether one of the events would be stored in more than `bytes_max`."""
        return any(len(body) + _PLACE_BYTES > bytes_max for body in self.bodies)

    def settle(self, last_seq: int, error: RpcError | None = None) -> None:
        """Say how it ended; the first word counts."""
        if self._done is not None and self._done.is_set():
            return
        self.last_seq = last_seq
        self.error = error
        if self._done is not None:
            self._done.set()

    async def wait(self) -> int:
        """Wait for the commit; give the last event's seq.

        Raises:
            RpcError: it was not committed.
        """
        assert self._done is not None
        await self._done.wait()
        if self.error is not None:
            raise self.error
        return self.last_seq


Waiting = Group | events.Delta
"""A delta nobody waits for stands for itself: it is encoded when it is known what it is joined with."""


class Taken(NamedTuple):
    """One session's part of a transaction.

    Attributes:
        append: what the store gets.
        committed: what the session gets afterwards.
        groups: whom to tell afterwards, and which seq.
        merged: how many deltas were joined to the one before.
        bytes: what it takes of a transaction.
    """

    append: Append
    committed: Committed
    groups: list[tuple[Group, int]]
    merged: int
    bytes: int


class PendingEvents:
    """What waits for the pump in one session, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, group: Group) -> None:
        """Put a group behind the others."""
        self._waiting.append(group)
        self.bytes += group.bytes

    def add_delta(self, delta: events.Delta) -> None:
        """Put a delta that may be merged behind the others.

        Raises:
            UnicodeEncodeError: as `Group`.
        """
        size = _size_of(delta)  # Before it is put there: this may raise.
        self._waiting.append(delta)
        self.bytes += size

    def fits(self, *, events_max: int, bytes_max: int) -> bool:
        """Tell whether what comes next goes into what is left of a transaction."""
        item = self._waiting[0]
        if isinstance(item, Group):
            return len(item.members) <= events_max and item.bytes <= bytes_max
        return events_max >= 1 and _size_of(item) <= bytes_max

    def clear(self) -> list[Group]:
        """Take everything out; give the groups, whose members somebody may wait for."""
        groups = [item for item in self._waiting if isinstance(item, Group)]
        self._waiting.clear()
        self.bytes = 0
        return groups

    def take(
        self, session: int, head: int, at: int, *, events_max: int, bytes_max: int, merged_bytes_max: int
    ) -> Taken:
        """Take what comes next, merge, number, encode and project it.

        Takes at least one group or delta, whatever its size; after that stops before a limit.

        Args:
            session: the store's key of the session.
            head: the last committed seq; numbering goes on from here.
            at: Unix ms.
            events_max: the transaction's room left, in events.
            bytes_max: its room left, in bytes.
            merged_bytes_max: how long the text of merged deltas may become, in UTF-8.
        """
        waiting = self._waiting
        placed: list[events.Event] = []
        rows: list[EventRow] = []
        changes: list[Change] = []
        groups: list[tuple[Group, int]] = []
        seq, last_seq = head + 1, head + events_max
        merged = size = 0
        while waiting:
            item = waiting[0]
            count, needed = (
                (len(item.members), item.bytes) if isinstance(item, Group) else (1, _size_of(item))
            )
            if (rows or groups) and (size + needed > bytes_max or seq + count - 1 > last_seq):
                break
            waiting.popleft()
            self.bytes -= needed
            if isinstance(item, Group):
                _place_group(item, seq, at, placed, rows, changes)
                groups.append((item, seq + count - 1))
            else:
                if waiting and _continues(waiting[0], item):
                    item, joined, needed = self._join(
                        item, min(merged_bytes_max, bytes_max - size - _DELTA_BYTES)
                    )
                    merged += joined
                placed.append(_replace(item, seq=seq, at=at))
                body = _numbered(_encode(item), seq, at)
                rows.append(event_row((seq, _TAGS[type(item)], item.run_id, at, body)))
            seq += count
            size += needed
        committed = Committed(placed, rows, sum([len(row.body) for row in rows]))
        return Taken(Append(session, rows, changes), committed, groups, merged, size)

    def _join(self, first: events.Delta, text_bytes_max: int) -> tuple[events.Delta, int, int]:
        """Join a delta with those of its stream that follow and fit.

        Returns:
            The delta, how many were joined to it, and what it takes in a transaction.
        """
        texts = [first.text]
        size = _size_of(first)
        while self._waiting and _continues(following := self._waiting[0], first):
            more = _size_of(following)
            if size + more - 2 * _DELTA_BYTES > text_bytes_max:
                break
            self._waiting.popleft()
            self.bytes -= more
            size += more - _DELTA_BYTES
            texts.append(following.text)
        return _replace(first, text="".join(texts)), len(texts) - 1, size


def stream_of(event: events.Delta) -> str:
    """Name what a delta is a piece of: a block's id or a tool call's. The two never coincide."""
    return event.block_id if isinstance(event, events.TokenDelta) else event.tool_call_id


def is_over(delta: events.Delta, bytes_max: int) -> bool:
    """Tell whether a delta would be stored in more than `bytes_max`."""
    if len(delta.text) * _ESCAPED_BYTES_MAX + _DELTA_BYTES <= bytes_max:
        return False  # Nearly always: encoding it to know would cost the encoding.
    return len(_encode(delta)) + _PLACE_BYTES > bytes_max


def _size_of(delta: events.Delta) -> int:
    """Give about what a delta takes in a transaction."""
    text = delta.text
    return _DELTA_BYTES + (len(text) if text.isascii() else len(text.encode()))


def _continues(item: Waiting, delta: events.Delta) -> TypeGuard[events.Delta]:
    """Tell whether something is a delta of the same stream."""
    if isinstance(delta, events.TokenDelta):
        return isinstance(item, events.TokenDelta) and item.block_id == delta.block_id
    return isinstance(item, events.ToolOutput) and item.tool_call_id == delta.tool_call_id


def _numbered(body: bytes, seq: int, at: int) -> bytes:
    """Give an event's bytes with seq and time in front: encoding again would cost the encoding."""
    return b'{"seq":%d,"at":%d,%b' % (seq, at, body[1:])


def _place_group(
    group: Group,
    first: int,
    at: int,
    placed: list[events.Event],
    rows: list[EventRow],
    changes: list[Change],
) -> None:
    """Number a group's events and project them."""
    for seq, (event, body) in enumerate(zip(group.members, group.bodies, strict=True), first):
        placed.append(_replace(event, seq=seq, at=at))
        rows.append(EventRow(seq, events.type_of(event), event.run_id, at, _numbered(body, seq, at)))
        changes.extend(projections.changes_of(event, seq, at))
    if group.rows is not None:
        changes.extend(group.rows(first + len(group.members) - 1))
