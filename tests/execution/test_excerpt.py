"""Head and tail: never over the limit, nothing cut that fits, the same however the text comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.execution.excerpt import Excerpt, excerpt, sayable

texts = st.text(max_size=600)


def test_a_text_at_the_limit_is_whole_and_one_byte_more_is_cut() -> None:
    assert excerpt("x" * 200, 200) == "x" * 200
    cut = excerpt("a" * 100 + "b" * 101, 200)
    assert cut == "a" * 68 + "\n[… 65 bytes left out …]\n" + "b" * 68
    assert len(cut.encode()) <= 200


def test_bytes_are_counted_not_characters() -> None:
    assert excerpt("€" * 66, 198) == "€" * 66
    assert "left out" in excerpt("€" * 67, 198)


@given(texts, st.integers(128, 700))
def test_an_excerpt_is_within_its_limit_and_made_of_beginning_and_end(text: str, bytes_max: int) -> None:
    cut = excerpt(text, bytes_max)
    whole = sayable(text)
    assert len(cut.encode()) <= bytes_max
    if len(whole.encode()) <= bytes_max:
        assert cut == whole
    else:
        head, _, rest = cut.partition("\n[…")
        tail = rest.partition("…]\n")[2]
        assert whole.startswith(head)
        assert whole.endswith(tail)


@given(st.lists(texts, max_size=20), st.integers(128, 700))
def test_an_excerpt_does_not_depend_on_the_pieces(pieces: list[str], bytes_max: int) -> None:
    kept = Excerpt(bytes_max)
    for piece in pieces:
        kept.add(piece)
    assert kept.text() == excerpt("".join(pieces), bytes_max)


def test_memory_stays_bounded_while_text_goes_by() -> None:
    kept = Excerpt(1000)
    for _ in range(10_000):
        kept.add("x" * 100)
        assert len(kept._head) + len(kept._tail) <= 3000 + 100
    assert "[… 999" in kept.text()


@pytest.mark.parametrize(("text", "said"), [("a\ud800b", "a?b"), ("ü", "ü"), ("", "")])
def test_lone_surrogates_are_replaced(text: str, said: str) -> None:
    assert sayable(text) == said
