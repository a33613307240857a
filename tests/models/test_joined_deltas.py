"""Joining what arrived together changes no block: the same text, in the same place among the others."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.models.base import BlockDelta, BlockEnded, BlockStarted, StepEvent
from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.joined_deltas import CHARS_MAX, joined

_INDEXES = st.integers(0, 2)
_DELTAS = st.builds(
    BlockDelta, index=_INDEXES, text=st.text(min_size=1, max_size=3) | st.just("x" * (CHARS_MAX // 2))
)
_OTHERS = st.builds(BlockStarted, index=_INDEXES, kind=st.just("text")) | st.builds(
    BlockEnded, index=_INDEXES
)


def _split(events: list[StepEvent]) -> list[StepEvent]:
    """Take all deltas apart, into characters."""
    return [
        each
        for event in events
        for each in (
            [BlockDelta(index=event.index, text=char) for char in event.text]
            if isinstance(event, BlockDelta)
            else [event]
        )
    ]


@given(events=st.lists(_DELTAS | _OTHERS, max_size=20))
def test_joined_deltas_say_the_same_in_the_same_order(events: list[StepEvent]) -> None:
    found = list(joined(events))
    assert _split(found) == _split(events)
    for one, other in pairwise(found):
        if isinstance(one, BlockDelta) and isinstance(other, BlockDelta) and one.index == other.index:
            assert len(one.text) + len(other.text) > CHARS_MAX
    assert all(len(event.text) <= CHARS_MAX for event in found if isinstance(event, BlockDelta))


def test_what_came_before_a_fault_is_given_before_it() -> None:
    def broken() -> Iterator[StepEvent]:
        yield BlockDelta(index=0, text="a")
        yield BlockDelta(index=0, text="b")
        raise Fault("truncated")

    events = joined(broken())
    assert next(events) == BlockDelta(index=0, text="ab")
    with pytest.raises(Fault):
        next(events)


def test_a_long_delta_by_itself_stays_whole() -> None:
    long = BlockDelta(index=0, text="x" * (2 * CHARS_MAX))
    assert list(joined([long, long])) == [long, long]
