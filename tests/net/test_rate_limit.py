"""A token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.net.rate_limit import RateLimit


def test_a_burst_passes_whole_and_the_next_has_to_wait() -> None:
    limit = RateLimit(10, 5)
    assert [limit.take(1.0) for _ in range(5)] == [0.0] * 5
    assert limit.take(1.0) == pytest.approx(0.1)


def test_it_fills_at_its_rate_and_never_above_its_burst() -> None:
    limit = RateLimit(10, 5)
    for _ in range(5):
        limit.take(1.0)
    assert limit.take(1.1) == 0.0
    assert limit.take(1.1) > 0
    assert [limit.take(100.0) for _ in range(6)].count(0.0) == 5


def test_being_refused_costs_nothing() -> None:
    limit = RateLimit(10, 1)
    assert limit.take(1.0) == 0.0
    for _ in range(100):
        assert limit.take(1.05) > 0
    assert limit.take(1.1) == 0.0


def test_waiting_as_long_as_it_says_is_enough() -> None:
    limit = RateLimit(3, 1)
    limit.take(1.0)
    wait_s = limit.take(1.2)
    assert limit.take(1.2 + wait_s + 1e-9) == 0.0


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=80),
    st.integers(1, 50),
    st.integers(1, 20),
)
def test_in_any_time_no_more_pass_than_the_burst_and_the_rate_allow(
    steps: list[float], per_second: int, burst: int
) -> None:
    limit, now, passed = RateLimit(per_second, burst), 1.0, []
    for step in steps:
        now += step
        if limit.take(now) == 0.0:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = burst + (passed[last] - passed[first]) * per_second
            assert last - first + 1 <= allowed + 1e-6
