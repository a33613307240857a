"""Any splitting of a stream's bytes gives the same events (WHATWG, "Server-sent events")."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.models.sse import SseDecoder, SseEvent, SseTooLarge

_TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=12)
_EVENTS = st.lists(st.tuples(_TEXTS.map(str.strip), st.lists(_TEXTS, min_size=1, max_size=3)), max_size=6)
_ENDINGS = st.sampled_from(("\n", "\r\n", "\r"))


def _decode(data: bytes, cuts: list[int]) -> list[SseEvent]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = SseDecoder()
    return [event for start, end in pairwise(places) for event in decoder.feed(data[start:end])]


@given(
    written=_EVENTS,
    ending=_ENDINGS,
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_events_come_out_as_they_went_in_however_the_bytes_are_split(
    written: list[tuple[str, list[str]]], ending: str, cuts: list[int]
) -> None:
    lines: list[str] = []
    for name, data in written:
        lines += [
            ": a comment",
            *([f"event: {name}"] if name else []),
            *(f"data: {line}" for line in data),
            "",
        ]
    stream = "".join(line + ending for line in lines).encode()
    expected = [SseEvent(name.encode(), "\n".join(data).encode()) for name, data in written]
    assert _decode(stream, cuts) == expected
    assert _decode(stream, list(range(len(stream)))) == expected


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=20))
def test_bytes_of_any_kind_give_the_same_events_in_one_piece_and_in_many(
    data: bytes, cuts: list[int]
) -> None:
    assert _decode(data, cuts) == _decode(data, [])


@given(
    data=st.lists(st.sampled_from([b"data", b":", b" ", b"x", b"\r", b"\n", b"\r\n", b"event"]), max_size=40),
    cuts=st.lists(st.integers(0, 100), max_size=20),
)
def test_fields_and_line_endings_in_any_order_give_the_same_events(
    data: list[bytes], cuts: list[int]
) -> None:
    joined = b"".join(data)
    assert _decode(joined, cuts) == _decode(joined, [])


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data:a\n\ndata:  b\n\n", [(b"", b"a"), (b"", b" b")]),
        (b"data\n\n", [(b"", b"")]),
        (b"event: x\n\ndata: a\n\n", [(b"", b"a")]),
        (b"event: x\nid: 1\nretry: 5\nunknown: y\ndata: a\n\n", [(b"x", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\r", [(b"", b"a"), (b"", b"b")]),
        (b"data: a\n", []),
    ],
)
def test_a_stream_is_read_by_the_rules(stream: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert [(event.name, event.data) for event in SseDecoder().feed(stream)] == expected


def test_an_event_after_a_lone_cr_comes_at_once_and_not_with_the_next_byte() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r\r") == [SseEvent(b"", b"a")]
    assert decoder.feed(b"\ndata: b\r\n\r") == [SseEvent(b"", b"b")]


def _feed(decoder: SseDecoder, pieces: list[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


@pytest.mark.parametrize("pieces", [[b"x" * 101], [b"x" * 60, b"x" * 60], [b"x" * 101 + b"\n"]])
def test_a_line_over_its_limit_is_refused_whether_it_has_ended_or_not(pieces: list[bytes]) -> None:
    decoder = SseDecoder(line_bytes_max=100)
    with pytest.raises(SseTooLarge):
        _feed(decoder, pieces)


def test_an_event_over_its_limit_is_refused() -> None:
    decoder = SseDecoder(event_bytes_max=100)
    with pytest.raises(SseTooLarge):
        decoder.feed(b"data: 0123456789\n" * 11)
