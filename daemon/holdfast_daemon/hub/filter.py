"""What a subscription wants of a session's events."""

from collections.abc import Collection

import msgspec

from holdfast_daemon.journal.pending import DELTAS, stream_of
from holdfast_daemon.journal.store import EventRow
from holdfast_protocol import events


class Filter(msgspec.Struct, frozen=True):
    """Frozen and compared by value: subscribers with equal filters share their batches.

    Attributes:
        types: only these; None for all.
        deltas: whether deltas are wanted at all.
        settled_to: deltas up to this seq are left out …
        open_streams: … unless they are of one of these blocks or calls.
    """

    types: frozenset[str] | None = None
    deltas: bool = True
    settled_to: int = 0
    open_streams: frozenset[str] = frozenset()

    @property
    def passes_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self.types is None and self.deltas and not self.settled_to

    def passes(self, row: EventRow) -> bool:
        """Tell whether one event is wanted."""
        if self.types is not None and row.type not in self.types:
            return False
        if row.type not in events.DELTA_TAGS:
            return True
        return self.deltas and (row.seq > self.settled_to or _stream_of(row) in self.open_streams)

    def at(self, position: int) -> "Filter":
        """Give the filter for events after `position`: past the settled part it is like any other."""
        if self.settled_to and position >= self.settled_to:
            return Filter(self.types, self.deltas)
        return self

    def unwanted(self) -> Collection[str]:
        """Give types the store need not read."""
        return () if self.deltas else tuple(events.DELTA_TAGS)


def _stream_of(row: EventRow) -> str:
    """Name what a stored delta is a piece of; only a client that has just joined makes anybody ask."""
    event = events.decode(row.body)
    return stream_of(event) if isinstance(event, DELTAS) else ""
