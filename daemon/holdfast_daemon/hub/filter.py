"""What a subscription wants of a session's events."""

from collections.abc import Collection

import msgspec

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

    def passes(self, seq: int, kind: str, stream: str | None) -> bool:
        """Tell whether one event is wanted."""
        if self.types is not None and kind not in self.types:
            return False
        if stream is None:
            return True
        return self.deltas and (seq > self.settled_to or stream in self.open_streams)

    def at(self, position: int) -> "Filter":
        """Give the filter for events after `position`: past the settled part it is like any other."""
        if self.settled_to and position >= self.settled_to:
            return Filter(self.types, self.deltas)
        return self

    def unwanted(self) -> Collection[str]:
        """Give types the store need not read."""
        return () if self.deltas else tuple(events.DELTA_TAGS)
