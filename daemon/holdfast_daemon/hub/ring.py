"""The last events of a live session, kept as stored, so that a small lag needs no read from the store."""

from collections.abc import Sequence

from holdfast_daemon.journal.store import EventRow


class Ring:
    """A dense run of events that ends at the head; indexed by seq."""

    def __init__(self, head: int) -> None:
        self._rows: list[EventRow] = []
        self._start = 0  # Rows before this index are dropped and wait for compaction.
        self._next = head + 1
        self.bytes = 0

    @property
    def first(self) -> int:
        """The oldest seq held; the next one to come if there is none."""
        return self._next - (len(self._rows) - self._start)

    def append(self, rows: Sequence[EventRow], size: int) -> None:
        """Add events as they were committed, without a gap; their bodies have `size` bytes together."""
        if rows:
            assert (rows[0].seq, rows[-1].seq) == (self._next, self._next + len(rows) - 1)
            self._rows.extend(rows)
            self._next += len(rows)
            self.bytes += size

    def after(self, seq: int) -> list[EventRow]:
        """Give the events after `seq`, which must be `first - 1` or more."""
        return self._rows[self._start + seq + 1 - self.first :]

    def trim(self, bytes_max: int) -> int:
        """Drop the oldest events until `bytes_max` are left; give the bytes dropped."""
        rows, start, left = self._rows, self._start, self.bytes
        while left > bytes_max:
            left -= len(rows[start].body)
            start += 1
        dropped, self._start, self.bytes = self.bytes - left, start, left
        if start > len(rows) // 2:
            del rows[:start]
            self._start = 0
        return dropped
