"""Waits between tries (design 10: full jitter)."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.core.back_off import BASE_S, CAP_S, BackOff

draws = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(st.lists(draws, min_size=1, max_size=40))
def test_a_wait_is_anything_up_to_a_bound_that_doubles_to_a_cap(values):
    drawn = iter(values)
    back_off = BackOff(lambda: next(drawn))
    for tries, value in enumerate(values):
        assert back_off.next_s() == value * min(CAP_S, BASE_S * 2**tries)


def test_after_a_success_waits_are_short_again():
    back_off = BackOff(lambda: 1.0)
    first = [back_off.next_s() for _ in range(5)]
    back_off.reset()
    assert back_off.next_s() == first[0] < first[4]
