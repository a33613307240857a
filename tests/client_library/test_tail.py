"""A reader's place in a log (design 1: a subscriber is a cursor; design 4: `from` is the cursor + 1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import EPOCH, batch, event, page, taken

from holdfast_client.core.tail import Tail
from holdfast_client.errors import LogChanged
from holdfast_protocol import events
from holdfast_protocol.errors import RemoteProtocolError


def tail_at(cursor=0, **options):
    return Tail("s", cursor, on_change=options.pop("on_change", lambda: None), **options)


def live_at(cursor=0, **options):
    tail = tail_at(cursor, epoch=EPOCH, **options)
    tail.join()
    return tail


def test_pages_that_follow_each_other_are_given_in_order():
    tail = tail_at()
    tail.put_page(page(1, 3, head=5))
    tail.put_page(page(4, 5))
    assert taken(tail) == [1, 2, 3, 4, 5]
    assert (tail.cursor, tail.position, tail.epoch) == (5, 5, EPOCH)


def test_the_position_is_what_was_taken_and_the_cursor_what_is_here():
    tail = tail_at()
    tail.put_page(page(1, 3))
    tail.take()
    assert (tail.position, tail.cursor) == (1, 3)


@pytest.mark.parametrize("first", [1, 2, 4, 9])
def test_a_page_that_does_not_go_on_at_the_cursor_is_refused(first):
    tail = tail_at(2)
    with pytest.raises(RemoteProtocolError):
        tail.put_page(page(first, 9))
    assert taken(tail) == []


def test_a_page_of_another_log_is_refused():
    tail = tail_at(2, epoch="other")
    with pytest.raises(LogChanged) as caught:
        tail.put_page(page(3, 4))
    assert (caught.value.expected, caught.value.found) == ("other", EPOCH)


def test_an_empty_page_moves_the_cursor_over_what_a_filter_left_out():
    tail = tail_at()
    empty = page(1, 7)
    tail.put_page(type(empty)(epoch=EPOCH, from_=1, to=7, head=7, events=(), more=False))
    assert (tail.cursor, tail.position) == (7, 7)


def test_what_a_batch_repeats_is_not_given_again():
    tail = live_at(4)
    assert tail.put_batch(batch(3, 6))
    assert taken(tail) == [5, 6]
    assert tail.put_batch(batch(2, 5))
    assert taken(tail) == []


def test_a_slow_reader_falls_back_to_its_cursor_and_loses_nothing():
    tail = live_at(buffer_bytes_max=1000)
    last = 0
    while tail.put_batch(batch(last + 1, last + 5)):
        last += 5
    assert not tail.live
    assert tail.dropped == 1
    assert tail.cursor == last
    assert taken(tail) == list(range(1, last + 1))
    tail.put_page(page(last + 1, last + 9))
    assert taken(tail) == list(range(last + 1, last + 10))


def test_what_a_live_tail_holds_is_bounded_by_its_limit_and_one_batch():
    tail, last = live_at(buffer_bytes_max=1000), 0
    one = tail_at()
    one.put_page(page(1, 5))
    while tail.put_batch(batch(last + 1, last + 5)):
        last += 5
    assert tail.buffered_bytes <= 1000 + one.buffered_bytes


def test_small_events_are_not_free():
    tail = live_at(buffer_bytes_max=2000)
    count = 0
    while tail.put_batch(batch(count + 1, count + 1, bodies=[event(count + 1, "x")])):
        count += 1
    assert count < 20


def test_only_wanted_types_are_given_and_the_position_passes_the_others():
    tail = live_at(types=("session_ended",))
    tail.put_batch(batch(1, 3, bodies=[event(1), event(2, "session_ended"), event(3)]))
    assert taken(tail) == [2]
    assert tail.position == 3


def test_deltas_can_be_left_out():
    tail = live_at(deltas=False)
    tail.put_batch(batch(1, 3, bodies=[event(1), event(2, "token_delta"), event(3)]))
    assert taken(tail) == [1, 3]


def test_an_event_of_a_newer_daemon_is_given_as_unknown():
    tail = live_at()
    tail.put_batch(batch(1, 1, bodies=[event(1, "from_the_future")]))
    assert tail.take() == events.UnknownEvent(type="from_the_future", seq=1, at=1)


def test_an_event_that_is_not_as_its_type_says_counts_as_unknown():
    tail = live_at()
    tail.put_batch(batch(1, 1, bodies=[event(1, "run_completed")]))
    assert tail.take() == events.UnknownEvent(type="run_completed", seq=1, at=1)


def test_a_change_is_told_of():
    told = []
    tail = tail_at(epoch=EPOCH, on_change=lambda: told.append(tail.live))
    tail.join()
    tail.put_batch(batch(1, 1))
    tail.drop()
    assert told == [True, True, False]


STEPS = st.lists(
    st.tuples(st.sampled_from(["batch", "page", "take", "lose"]), st.integers(1, 6), st.integers(0, 3)),
    max_size=50,
)


@given(STEPS, st.integers(200, 3000))
def test_whatever_happens_each_event_is_given_once_and_in_order(steps, buffer_bytes_max):
    tail, got, live_cursor = tail_at(buffer_bytes_max=buffer_bytes_max), [], 0
    for step, count, overlap in steps:
        if step == "take":
            got += [item.seq for item in [tail.take()] if item]
        elif step == "lose":
            tail.drop()
        elif tail.live:
            first = max(1, live_cursor + 1 - overlap)
            tail.put_batch(batch(first, live_cursor + count))
            live_cursor += count
        else:
            tail.put_page(page(tail.cursor + 1, tail.cursor + count))
            live_cursor = tail.cursor
            tail.join()
    got += taken(tail)
    assert got == list(range(1, tail.cursor + 1))
