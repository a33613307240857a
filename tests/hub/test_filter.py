"""What a subscription wants."""

import pytest
from journal_world import delta, notice, output, place

from holdfast_daemon.hub.filter import Filter
from holdfast_protocol import events

SETTLED = Filter(settled_to=10, open_streams=frozenset({"b2", "t2"}))


@pytest.mark.parametrize(
    ("wanted", "seq", "event", "passes"),
    [
        (Filter(), 1, notice(), True),
        (Filter(), 1, delta("a", block="b1"), True),
        (Filter(deltas=False), 1, delta("a", block="b1"), False),
        (Filter(deltas=False), 1, output("a", call="t1"), False),
        (Filter(deltas=False), 1, notice(), True),
        (Filter(types=frozenset({"notice"})), 1, notice(), True),
        (Filter(types=frozenset({"notice"})), 1, delta("a", block="b1"), False),
        (Filter(types=frozenset({"token_delta"})), 1, delta("a", block="b1"), True),
        (Filter(types=frozenset({"token_delta"})), 1, output("a", call="t1"), False),
        (Filter(types=frozenset({"token_delta"}), deltas=False), 1, delta("a", block="b1"), False),
        (Filter(types=frozenset()), 1, notice(), False),
        (SETTLED, 10, delta("a", block="b1"), False),
        (SETTLED, 10, delta("a", block="b2"), True),
        (SETTLED, 10, output("a", call="t1"), False),
        (SETTLED, 10, output("a", call="t2"), True),
        (SETTLED, 11, delta("a", block="b1"), True),
        (SETTLED, 3, notice(), True),
    ],
)
def test_an_event_passes_or_not(wanted: Filter, seq: int, event: events.Event, passes: bool) -> None:
    (row,) = place(event, head=seq - 1).rows
    assert wanted.passes(row) is passes


def test_past_the_settled_part_a_filter_is_like_any_other() -> None:
    assert SETTLED.at(9) is SETTLED
    assert SETTLED.at(10) == Filter() == Filter().at(5)
    typed = Filter(types=frozenset({"notice"}), settled_to=10)
    assert typed.at(10) == Filter(types=frozenset({"notice"}))


def test_equal_filters_are_one_key() -> None:
    assert len({Filter(types=frozenset({"a", "b"})), Filter(types=frozenset({"b", "a"}))}) == 1


def test_a_filter_that_leaves_nothing_out_says_so() -> None:
    assert Filter().passes_all
    for other in (Filter(deltas=False), Filter(types=frozenset({"notice"})), SETTLED):
        assert not other.passes_all


def test_the_store_is_spared_all_deltas_only_where_none_is_wanted() -> None:
    assert set(Filter(deltas=False).unwanted()) == events.DELTA_TAGS
    assert Filter().unwanted() == SETTLED.unwanted() == ()
