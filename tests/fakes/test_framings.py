"""The test client's own framing: it has to find what a sloppy daemon would send (`framings`)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.framings import FRAMINGS, BadFrame

BODIES = st.lists(st.text(min_size=1).map(repr).map(str.encode), max_size=5)


@pytest.mark.parametrize("name", FRAMINGS)
@given(bodies=BODIES, cuts=st.lists(st.integers(0, 200), max_size=10))
def test_messages_come_out_as_they_went_in_however_their_bytes_are_split(
    name: str, bodies: list[bytes], cuts: list[int]
) -> None:
    framing = FRAMINGS[name]()
    data = b"".join(framing.encode(body) for body in bodies)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert [body for piece in pieces for body in framing.feed(piece)] == bodies
    assert framing.unfinished == b""


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_message_that_is_not_whole_is_known_to_be_unfinished(name: str) -> None:
    framing = FRAMINGS[name]()
    assert framing.feed(framing.encode(b"{}")[:-1]) == []
    assert framing.unfinished != b""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("lines", b"\n"),
        ("lines", b"{}\r\n"),
        ("lines", b" {}\n"),
        ("headers", b"\r\n\r\n{}"),
        ("headers", b"Content-Type: x\r\n\r\n{}"),
        ("headers", b"Content-Length: two\r\n\r\n{}"),
        ("headers", b"Content-Length: 0\r\n\r\n"),
        ("headers", b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    ],
)
def test_bytes_that_are_no_frame_are_an_error(name: str, data: bytes) -> None:
    with pytest.raises(BadFrame):
        FRAMINGS[name]().feed(data)
