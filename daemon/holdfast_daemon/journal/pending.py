"""What waits to be committed, per session, and how it becomes rows.

Pure but for its own counters: no tasks, no clock, no I/O. The journal's pump takes from here.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import anyio
import msgspec

from holdfast_daemon.journal import projections
from holdfast_daemon.journal.store import Append, Change, EventRow
from holdfast_protocol import events
from holdfast_protocol.errors import RpcError

_DELTA_OVERHEAD_BYTES: Final = 160
"""About what a delta's JSON has beside its text."""

_PLACE_BYTES: Final = 48
"""What an event's seq and time add to its JSON, at the most."""

_ESCAPE_BYTES_MAX: Final = 6
"""JSON bytes of one byte of text: `\\u0000`."""

_encoder: Final = msgspec.json.Encoder()

Rows = Callable[[int], Sequence[Change]]
"""Gives further row changes once the seq of a group's last event is known; must not raise or block."""


class Committed(NamedTuple):
    """An event in its place: what the fold takes, and the bytes everybody gets."""

    event: events.Event
    row: EventRow


class Group:
    """Events that are committed together or not at all, in order.

    Raises:
        UnicodeEncodeError: a text in it is no Unicode; better here than in the pump.

    Attributes:
        members: the events, in order.
        bodies: their JSON without seq and time; None for a delta that may yet be merged.
        bytes: about what they take in a transaction.
        stream: of a delta that may be merged, what it is a piece of (`stream_of`); None for all else.
        text_bytes: of such a delta, its text in UTF-8; 0 for all else.
        rows: further changes in the same transaction.
        last_seq: the place of the last event; 0 until committed.
        error: why it was not committed.
    """

    __slots__ = ("_done", "bodies", "bytes", "error", "last_seq", "members", "rows", "stream", "text_bytes")

    def __init__(
        self, group: tuple[events.Event, ...], rows: Rows | None = None, *, awaited: bool = False
    ) -> None:
        self.members = group
        self.rows = rows
        self.last_seq = 0
        self.error: RpcError | None = None
        self._done = anyio.Event() if awaited else None
        self.stream: str | None = None
        self.text_bytes = 0
        self.bodies: list[bytes | None]
        first = group[0] if len(group) == 1 and not awaited else None
        if isinstance(first, events.TokenDelta | events.ToolOutput):
            self.stream = stream_of(first)
            self.text_bytes = len(first.text) if first.text.isascii() else len(first.text.encode())
            self.bodies = [None]
            self.bytes = self.text_bytes + _DELTA_OVERHEAD_BYTES
        else:
            bodies = [_encoder.encode(event) for event in group]
            self.bodies = [*bodies]
            self.bytes = sum(len(body) for body in bodies) + _PLACE_BYTES * len(bodies)

    def has_event_over(self, bytes_max: int) -> bool:
        """Tell whether one of the events would be stored in more than `bytes_max`."""
        if (
            self.stream is not None
            and self.text_bytes * _ESCAPE_BYTES_MAX + _DELTA_OVERHEAD_BYTES <= bytes_max
        ):
            return False  # Nearly always: encoding it to know would cost the encoding.
        bodies = (body or _encoder.encode(self.members[0]) for body in self.bodies)
        return any(len(body) + _PLACE_BYTES > bytes_max for body in bodies)

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


class Taken(NamedTuple):
    """One session's part of a transaction, what it takes of it, and whom to tell which seq afterwards."""

    append: Append
    committed: list[Committed]
    groups: list[tuple[Group, int]]
    merged: int
    bytes: int


class PendingEvents:
    """The groups of one session that wait for the pump, oldest first."""

    def __init__(self) -> None:
        self._groups: deque[Group] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, group: Group) -> None:
        """Put a group behind the others."""
        self._groups.append(group)
        self.bytes += group.bytes

    def fits(self, *, events_max: int, bytes_max: int) -> bool:
        """Tell whether the next group goes into what is left of a transaction."""
        group = self._groups[0]
        return len(group.members) <= events_max and group.bytes <= bytes_max

    def clear(self) -> list[Group]:
        """Take all groups out."""
        groups = list(self._groups)
        self._groups.clear()
        self.bytes = 0
        return groups

    def take(
        self, session: int, head: int, at: int, *, events_max: int, bytes_max: int, merged_bytes_max: int
    ) -> Taken:
        """Take the next groups, merge, number, encode and project them.

        Takes at least one group, whatever its size; after that stops before a limit.

        Args:
            session: the store's key of the session.
            head: the last committed seq; numbering goes on from here.
            at: Unix ms.
            events_max: the transaction's room left, in events.
            bytes_max: its room left, in bytes.
            merged_bytes_max: how long the text of merged deltas may become, in UTF-8.
        """
        committed: list[Committed] = []
        changes: list[Change] = []
        groups: list[tuple[Group, int]] = []
        merged = size = 0
        while self._groups:
            group = self._groups[0]
            if groups and (
                size + group.bytes > bytes_max or len(committed) + len(group.members) > events_max
            ):
                break
            run = self._take_run(min(merged_bytes_max, bytes_max - size - _DELTA_OVERHEAD_BYTES))
            if len(run) == 1:
                size += group.bytes
                self.bytes -= group.bytes
            else:
                size += sum([item.text_bytes for item in run]) + _DELTA_OVERHEAD_BYTES
                self.bytes -= sum([item.bytes for item in run])
                merged += len(run) - 1
            _number(run, head + len(committed) + 1, at, committed, changes)
            last_seq = head + len(committed)
            groups.extend([(item, last_seq) for item in run])
            if group.rows is not None:
                changes.extend(group.rows(last_seq))
        rows = [item.row for item in committed]
        return Taken(Append(session, rows, changes), committed, groups, merged, size)

    def _take_run(self, text_bytes_max: int) -> list[Group]:
        """Take the next group; if it is a delta, with those of its stream that follow and fit with it."""
        groups = self._groups
        first = groups.popleft()
        run = [first]
        if first.stream is None:
            return run
        text_bytes = first.text_bytes
        while groups and groups[0].stream == first.stream:
            text_bytes += groups[0].text_bytes
            if text_bytes > text_bytes_max:
                break
            run.append(groups.popleft())
        return run


def stream_of(event: events.Delta) -> str:
    """Name what a delta is a piece of: a block's id or a tool call's. The two never coincide."""
    return event.block_id if isinstance(event, events.TokenDelta) else event.tool_call_id


def _number(run: list[Group], seq: int, at: int, committed: list[Committed], changes: list[Change]) -> None:
    """Give the groups their places: a delta run becomes one event, any other group keeps its own."""
    first = run[0]
    if first.stream is not None:
        delta = _merge(run)
        committed.append(_place(delta, _encoder.encode(delta), seq, at))
        return
    for offset, (event, body) in enumerate(zip(first.members, first.bodies, strict=True)):
        assert body is not None
        committed.append(_place(event, body, seq + offset, at))
        changes.extend(projections.changes_of(event, seq + offset, at))


def _merge(run: list[Group]) -> events.Delta:
    first = run[0].members[0]
    assert isinstance(first, events.TokenDelta | events.ToolOutput)
    if len(run) == 1:
        return first
    text = "".join(_text(group) for group in run)
    return msgspec.structs.replace(first, text=text)


def _text(group: Group) -> str:
    delta = group.members[0]
    assert isinstance(delta, events.TokenDelta | events.ToolOutput)
    return delta.text


def _place(event: events.Event, body: bytes, seq: int, at: int) -> Committed:
    """Number an event. Its bytes get seq and time in front: encoding again would cost the encoding."""
    placed = msgspec.structs.replace(event, seq=seq, at=at)
    numbered = b'{"seq":%d,"at":%d,%b' % (seq, at, body[1:])
    return Committed(placed, EventRow(seq, events.type_of(event), event.run_id, at, numbered))
