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

_encoder: Final = msgspec.json.Encoder()

Rows = Callable[[int], Sequence[Change]]
"""Gives further row changes once the seq of a group's last event is known; must not raise or block."""


class Committed(NamedTuple):
    """An event in its place: what the fold takes, and the bytes everybody gets."""

    event: events.Event
    row: EventRow


class Group:
    """Events that are committed together or not at all, in order.

    Attributes:
        members: the events, in order.
        bodies: their JSON without seq and time; None for a delta, which may yet be merged.
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
        self.bodies: list[bytes | None] = []
        self.bytes = 0
        for event in group:
            if not awaited and isinstance(event, events.TokenDelta | events.ToolOutput):
                self.bodies.append(None)
                # Code points stand for bytes here: exact enough for a bound, and free.
                self.bytes += len(event.text) + _DELTA_OVERHEAD_BYTES
            else:
                body = _encoder.encode(event)
                self.bodies.append(body)
                self.bytes += len(body)

    @property
    def is_delta(self) -> bool:
        """Whether it is one event that may be merged with its neighbours."""
        return len(self.bodies) == 1 and self.bodies[0] is None

    def settle(self, last_seq: int, error: RpcError | None = None) -> None:
        """Say how it ended, once."""
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
    """One session's part of a transaction, and whom to tell which seq afterwards."""

    append: Append
    committed: list[Committed]
    groups: list[tuple[Group, int]]
    merged: int


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
            merged_bytes_max: how long the text of merged deltas may become.
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
            run = self._take_delta_run(merged_bytes_max) if group.is_delta else [self._groups.popleft()]
            size += sum(item.bytes for item in run)
            merged += len(run) - 1
            committed.extend(_number(run, head + len(committed) + 1, at, changes))
            last_seq = head + len(committed)
            groups.extend((item, last_seq) for item in run)
            if group.rows is not None:
                changes.extend(group.rows(last_seq))
        self.bytes -= size
        rows = [item.row for item in committed]
        return Taken(Append(session, rows, changes), committed, groups, merged)

    def _take_delta_run(self, merged_bytes_max: int) -> list[Group]:
        """Take consecutive deltas of one block or tool call that together stay under the limit."""
        run = [self._groups.popleft()]
        first = run[0].members[0]
        assert isinstance(first, events.TokenDelta | events.ToolOutput)
        length = len(first.text)
        while self._groups and self._groups[0].is_delta:
            following = self._groups[0].members[0]
            assert isinstance(following, events.TokenDelta | events.ToolOutput)
            if stream_of(following) != stream_of(first) or length + len(following.text) > merged_bytes_max:
                break
            length += len(following.text)
            run.append(self._groups.popleft())
        return run


def stream_of(event: events.Delta) -> str:
    """Name what a delta is a piece of: a block's id or a tool call's. The two never coincide."""
    return event.block_id if isinstance(event, events.TokenDelta) else event.tool_call_id


def _number(run: list[Group], seq: int, at: int, changes: list[Change]) -> list[Committed]:
    """Give the groups their places: a delta run becomes one event, any other group keeps its own."""
    first = run[0]
    if first.is_delta:
        delta = _merge(run)
        return [_place(delta, _encoder.encode(delta), seq, at)]
    placed: list[Committed] = []
    for offset, (event, body) in enumerate(zip(first.members, first.bodies, strict=True)):
        assert body is not None
        placed.append(_place(event, body, seq + offset, at))
        changes.extend(projections.changes_of(event, seq + offset, at))
    return placed


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
