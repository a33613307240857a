"""Deltas that arrived together as one. Pure.

What one read of the network brings is known at one moment: as separate events it would cost the agent, the
log and every client the work of each, and tell nobody anything sooner.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from holdfast_daemon.models.base import BlockDelta, StepEvent
from holdfast_daemon.models.errors import Fault

CHARS_MAX: Final = 16 * 1024
"""Of one delta made of several: as much as the log puts into one event."""


def joined(events: Iterable[StepEvent]) -> Iterator[StepEvent]:
    """Give the events with neighbouring deltas of one block joined.

    Raises:
        Fault: as `events` does, after what came before it.
    """
    index = chars = 0  # Of the run of deltas that is being joined.
    texts: list[str] = []
    fault: Fault | None = None
    try:
        for event in events:
            is_delta = type(event) is BlockDelta
            if texts and not (is_delta and event.index == index and chars + len(event.text) <= CHARS_MAX):
                yield BlockDelta(index=index, text="".join(texts))
                texts, chars = [], 0
            if is_delta:
                index = event.index
                texts.append(event.text)
                chars += len(event.text)
            else:
                yield event
    except Fault as raised:
        fault = raised
    if texts:
        yield BlockDelta(index=index, text="".join(texts))
    if fault is not None:
        raise fault
