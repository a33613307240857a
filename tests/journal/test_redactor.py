"""The seam all text passes; identity for now."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.journal.redactor import HOLD_BACK_MAX, Redactor


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=300))))
def test_what_is_fed_comes_out_whole_and_in_order_by_the_end(pieces: list[tuple[str, str]]) -> None:
    redactor = Redactor()
    given_text, text = {"a": "", "b": ""}, {"a": "", "b": ""}
    for stream, piece in pieces:
        given_text[stream] += piece
        text[stream] += redactor.feed(stream, piece)
        assert len(given_text[stream]) - len(text[stream]) <= HOLD_BACK_MAX
    for stream in text:
        text[stream] += redactor.finish(stream)
    assert text == given_text


def test_a_whole_text_without_secrets_stays_as_it_is() -> None:
    assert Redactor().whole("nothing to hide") == "nothing to hide"
