"""Exact replacement in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.tools.replacement import NotFound, NotUnique, Replaced, TooLong, named_lines, replaced

pieces = st.text(alphabet="ab\n", max_size=12)


@given(pieces, pieces.filter(bool), pieces)
def test_every_piece_is_replaced_and_said_to_begin_on_its_line(text: str, old: str, new: str) -> None:
    if old not in text:
        with pytest.raises(NotFound):
            replaced(text, old, new, every=True, chars_max=1000)
        return
    result = replaced(text, old, new, every=True, chars_max=1000)
    parts = text.split(old)
    assert result.text == new.join(parts)
    begins = [old.join(parts[: n + 1]).count("\n") + 1 for n in range(len(parts) - 1)]
    assert result.lines == tuple(begins)


@given(pieces, pieces.filter(bool), pieces)
def test_a_single_replacement_is_made_only_of_what_stands_there_once(text: str, old: str, new: str) -> None:
    try:
        result = replaced(text, old, new, every=False, chars_max=1000)
    except (NotFound, NotUnique):
        assert text.count(old) != 1
    else:
        assert result == Replaced(text.replace(old, new, 1), (text[: text.index(old)].count("\n") + 1,))


def test_a_text_may_grow_just_to_its_limit() -> None:
    assert replaced("aa", "a", "xyz", every=True, chars_max=6).text == "xyzxyz"
    with pytest.raises(TooLong) as refused:
        replaced("aa", "a", "xyz", every=True, chars_max=5)
    assert refused.value.chars == 6


def test_a_text_that_would_grow_without_measure_is_never_made() -> None:
    with pytest.raises(TooLong):
        replaced("a" * 100_000, "a", "b" * 100_000, every=True, chars_max=1_000_000)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((3,), "line 3"),
        ((3, 8), "lines 3 and 8"),
        (tuple(range(1, 11)), "lines 1, 2, 3, 4, 5, 6, 7, 8, 9 and 10"),
        (tuple(range(1, 13)), "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"),
    ],
)
def test_lines_are_named_and_many_are_counted(lines: tuple[int, ...], words: str) -> None:
    assert named_lines(lines) == words
