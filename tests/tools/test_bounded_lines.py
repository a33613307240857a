"""Lines of a result, as many as fit."""

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.bounded_lines import LINES_BYTES_MAX, BoundedLines


def test_just_so_many_lines_fit_and_not_one_more() -> None:
    lines = BoundedLines(2)
    assert lines.add("a")
    assert lines.add("b")
    assert not lines.full
    assert not lines.add("c")
    assert lines.full
    assert lines.text() == "a\nb\n"


def test_just_so_many_bytes_fit_and_not_one_more() -> None:
    lines = BoundedLines(100)
    assert lines.add("x" * (LINES_BYTES_MAX - 4))
    assert lines.add("ü")
    assert not lines.add("")
    assert len(lines.text().encode()) == LINES_BYTES_MAX


def test_after_a_line_that_does_not_fit_nothing_is_taken() -> None:
    lines = BoundedLines(100)
    assert not lines.add("x" * LINES_BYTES_MAX)
    assert not lines.add("short")
    assert len(lines) == 0


def test_a_result_always_fits_the_executors_limit() -> None:
    assert ExecutionLimits().result_bytes_max > LINES_BYTES_MAX + 4096
