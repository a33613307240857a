"""Frames on a byte stream (PROTOCOL.md, "Framing")."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_protocol.errors import RemoteProtocolError
from holdfast_protocol.framing import (
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    FrameReader,
    FrameTooLarge,
    Framing,
    encode_frame,
)

BIG = 1 << 20

line_bodies = st.binary(min_size=1, max_size=40).map(
    lambda tail: b"{" + tail.replace(b"\n", b"").strip(b"\r\t ") + b"}"
)
header_bodies = st.binary(max_size=40)


def read(chunks, frame_bytes_max=BIG, framing=None):
    """Feed chunks; give the frames, and the type of the error that ended them, if any."""
    reader = FrameReader(frame_bytes_max, framing)
    frames = []
    for chunk in chunks:
        reader.feed(chunk)
        try:
            frames += reader.frames()
        except (FrameTooLarge, RemoteProtocolError) as error:
            return frames, type(error)
    return frames, None


def split(data, places):
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(cuts)] or [b""]


places = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(line_bodies, min_size=1, max_size=6), places, st.data())
def test_any_split_of_json_lines_gives_the_same_frames(bodies, places, data):
    ends = st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \t\r\n\r\n", b"\n   \n"])
    stream = b"".join(body + data.draw(ends) for body in bodies)
    assert read(split(stream, places)) == (bodies, None)


@given(st.lists(header_bodies, min_size=1, max_size=6), places, st.data())
def test_any_split_of_header_frames_gives_the_same_frames(bodies, places, data):
    names = st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH", b"cOnTeNt-LeNgTh"])
    spaces = st.sampled_from([b"", b" ", b"  ", b"\t"])
    extras = st.sampled_from(
        [b"", b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n", b"cx:\r\n"]
    )
    stream = b"".join(
        data.draw(extras)
        + b"%b:%b%d\r\n" % (data.draw(names), data.draw(spaces), len(body))
        + data.draw(extras)
        + b"\r\n"
        + body
        for body in bodies
    )
    assert read(split(stream, places)) == (bodies, None)


PIECES = [
    b"{",
    b"}",
    b"[",
    b"x" * 7,
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b":",
    b"Content-Length: 3\r\n\r\n{a}",
    b"Content-Length: 99\r\n\r\n",
    b"content-length:",
    b"0",
    b"16",
    b"C: " + b"y" * (HEADER_BYTES_MAX - 20),
    b"z" * 19,
    b"C:\r\n" * 15,
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), places)
def test_any_bytes_at_any_split_give_the_same_frames_and_the_same_error(stream, places):
    whole = read([stream], 16)
    assert read(split(stream, places), 16) == whole
    assert read([stream[place : place + 1] for place in range(min(len(stream), 300))], 16) == read(
        [stream[:300]], 16
    )


@pytest.mark.parametrize("framing", [Framing.LINES, Framing.HEADERS])
@given(bodies=st.lists(line_bodies, max_size=5))
def test_what_is_framed_is_read_back(framing, bodies):
    stream = b"".join(encode_frame(framing, body) for body in bodies)
    assert read([stream], framing=framing) == (bodies, None)


@pytest.mark.parametrize(
    ("first", "framing"),
    [(b"{", Framing.LINES), (b"[", Framing.LINES), (b"C", Framing.HEADERS), (b"c", Framing.HEADERS)],
)
def test_the_first_byte_tells_the_framing(first, framing):
    reader = FrameReader(BIG)
    reader.feed(first)
    assert list(reader.frames()) == []
    assert reader.framing is framing


@pytest.mark.parametrize(
    "first", [b"G", b"P", b" ", b"\n", b"\x00", b'"', b"1", b"\xef\xbb\xbf{", b"\x16\x03"]
)
def test_any_other_first_byte_is_not_ours(first):
    assert read([first]) == ([], RemoteProtocolError)


def test_nothing_is_detected_from_nothing():
    reader = FrameReader(BIG)
    reader.feed(b"")
    assert list(reader.frames()) == []
    assert reader.framing is None


def test_a_framing_once_given_is_not_detected():
    assert read([b'"x"\n'], framing=Framing.LINES) == ([b'"x"'], None)


def test_blank_lines_between_json_lines_are_skipped():
    assert read([b"{}\n\n\r\n  \t\n{1}\n"]) == ([b"{}", b"{1}"], None)


def test_an_empty_body_is_a_frame_because_it_must_be_answered():
    assert read([b"Content-Length: 0\r\n\r\n"]) == ([b""], None)


def test_a_line_at_the_limit_is_read():
    assert read([b"{" + b"x" * 15 + b"\n"], 16) == ([b"{" + b"x" * 15], None)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_one_past_the_limit_is_too_large_whether_it_ends_or_not(end):
    assert read([b"{" + b"x" * 16 + end], 16) == ([], FrameTooLarge)


def test_frames_before_one_that_is_too_large_are_read():
    assert read([b"{}\n{" + b"x" * 16], 16) == ([b"{}"], FrameTooLarge)


def test_a_body_at_the_limit_is_read():
    assert read([encode_frame(Framing.HEADERS, b"x" * 16)], 16) == ([b"x" * 16], None)


def test_a_body_one_past_the_limit_is_refused_from_its_header():
    assert read([b"Content-Length: 17\r\n\r\n"], 16) == ([], FrameTooLarge)


def test_a_raised_limit_holds_for_the_next_frame():
    reader = FrameReader(4)
    reader.feed(b"{}\n{12345}\n")
    frames = reader.frames()
    assert next(frames) == b"{}"
    reader.frame_bytes_max = 7
    assert list(frames) == [b"{12345}"]


def header_block(block_bytes):
    """Give a block of exactly so many bytes, its delimiter apart."""
    start = b"Content-Length: 2\r\nX: "
    return start + b"x" * (block_bytes - len(start)) + b"\r\n\r\n{}"


@pytest.mark.parametrize("step", [1, 7, BIG])
def test_a_header_block_at_the_limit_is_read_and_one_past_it_is_not(step):
    for block_bytes, expected in (
        (HEADER_BYTES_MAX, ([b"{}"], None)),
        (HEADER_BYTES_MAX + 1, ([], RemoteProtocolError)),
    ):
        stream = header_block(block_bytes)
        assert read([stream[at : at + step] for at in range(0, len(stream), step)]) == expected


def test_headers_that_never_end_are_refused():
    assert read([b"C" * (HEADER_BYTES_MAX + 4)]) == ([], RemoteProtocolError)


def test_the_number_of_headers_is_limited():
    extras = b"X: y\r\n" * (HEADERS_MAX - 1)
    assert read([extras.replace(b"X", b"C", 1) + b"Content-Length: 2\r\n\r\n{}"]) == ([b"{}"], None)
    assert read([b"C: y\r\n" + extras + b"Content-Length: 2\r\n\r\n{}"]) == ([], RemoteProtocolError)


@pytest.mark.parametrize(
    "block",
    [
        b"Content-Type: x",
        b"Content-Length 2",
        b"Content-Length:",
        b"Content-Length: ",
        b"Content-Length: -2",
        b"Content-Length: +2",
        b"Content-Length: 2_0",
        b"Content-Length: 2.0",
        b"Content-Length: 0x2",
        b"Content-Length: \xd9\xa2",
        b"Content-Length: 2 2",
        b"Content-Length: 2, 2",
        b"Content-Length: 1234567890123456",
        b"Content-Length: 2\r\nContent-Length: 2",
        b"Content-Length: 2\r\nno colon",
        b"Content-Length: 2\n",
    ],
)
def test_a_header_block_without_one_plain_length_is_refused(block):
    assert read([block + b"\r\n\r\n{}"]) == ([], RemoteProtocolError)


def test_consumed_frames_leave_no_bytes_behind():
    reader = FrameReader(BIG)
    for _ in range(1000):
        reader.feed(b'{"a":"' + b"x" * 100 + b'"}\n')
        assert len(list(reader.frames())) == 1
    assert len(reader._buffer) < 500


def test_where_the_transport_delimits_each_feed_is_one_frame() -> None:
    reader = FrameReader(1024, Framing.MESSAGES)
    frames: list[bytes] = []
    for message in (b'{"a":\n1}', b"", b"[2]"):
        reader.feed(encode_frame(Framing.MESSAGES, message))
        frames += list(reader.frames())

    assert frames == [b'{"a":\n1}', b"[2]"]


def test_where_the_transport_delimits_a_frame_over_the_limit_is_refused() -> None:
    reader = FrameReader(4, Framing.MESSAGES)
    reader.feed(b"1234")
    assert list(reader.frames()) == [b"1234"]
    reader.feed(b"12345")
    with pytest.raises(FrameTooLarge):
        list(reader.frames())
