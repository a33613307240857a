"""The last events of a live session, kept encoded, so that a small lag needs no read from the store."""

from typing import NamedTuple

from holdfast_daemon.journal.pending import Committed, stream_of
from holdfast_protocol import events


class Entry(NamedTuple):
    """One published event. `stream` names the block or tool call it is a delta of; None for the rest."""

    seq: int
    type: str
    body: bytes
    stream: str | None


class Ring:
    """A dense run of events that ends at the head; indexed by seq."""

    def __init__(self, head: int) -> None:
        self._entries: list[Entry] = []
        self._start = 0  # Entries before this index are dropped and wait for compaction.
        self._next = head + 1
        self.bytes = 0

    @property
    def first(self) -> int:
        """The oldest seq held; the next one to come if there is none."""
        return self._next - (len(self._entries) - self._start)

    def append(self, committed: list[Committed]) -> int:
        """Add events as they were committed; give their bytes."""
        added = 0
        for event, row in committed:
            assert row.seq == self._next
            stream = stream_of(event) if isinstance(event, events.TokenDelta | events.ToolOutput) else None
            self._entries.append(Entry(row.seq, row.type, row.body, stream))
            self._next += 1
            added += len(row.body)
        self.bytes += added
        return added

    def after(self, seq: int) -> list[Entry]:
        """Give the entries after `seq`, which must be `first - 1` or more."""
        return self._entries[self._start + seq + 1 - self.first :]

    def trim(self, bytes_max: int) -> int:
        """Drop the oldest entries until `bytes_max` are left; give the bytes dropped."""
        before = self.bytes
        while self.bytes > bytes_max:
            self.bytes -= len(self._entries[self._start].body)
            self._start += 1
        if self._start > len(self._entries) // 2:
            del self._entries[: self._start]
            self._start = 0
        return before - self.bytes
