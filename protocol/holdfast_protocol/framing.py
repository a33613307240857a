"""Frames on a byte stream: JSON lines and `Content-Length` headers, told apart by the first byte.

`{` or `[` means one JSON object per line; `C` or `c` means headers as in the LSP base protocol; any other
first byte is not ours and the connection closes without a word (PROTOCOL.md, "Framing").
Bytes in, frames out: no I/O. Feeding is linear in the bytes fed, however they are split.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

from holdfast_protocol.errors import RemoteProtocolError

HEADER_BYTES_MAX: Final = 8 * 1024
HEADERS_MAX: Final = 32

_LENGTH: Final = re.compile(rb"[0-9]{1,15}")  # int() would also take signs, spaces and underscores

_BLANK: Final = b" \t"


class Framing(Enum):
    """How messages are delimited on one connection, in both directions."""

    LINES = "lines"
    HEADERS = "headers"
    MESSAGES = "messages"  # The transport delimits: one message per WebSocket text frame, per `feed`.


class FrameTooLarge(Exception):
    """A frame is over the limit: known from its header, or from a line that does not end."""


def encode_frame(framing: Framing, body: bytes) -> bytes:
    """Delimit one encoded message; `body` has no newline outside strings, and none raw inside them."""
    if framing is Framing.MESSAGES:
        return body
    if framing is Framing.LINES:
        return body + b"\n"
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class FrameReader:
    """Cuts a byte stream into frames.

    Args:
        frame_bytes_max: the largest frame; may be raised later (`initialize` starts small).
        framing: None to detect it from the first byte.
    """

    def __init__(self, frame_bytes_max: int, framing: Framing | None = None) -> None:
        self.framing = framing
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()
        self._start = 0  # Where the next frame begins in the buffer.
        self._searched = 0  # No delimiter stands before this offset.
        self._body_bytes: int | None = None  # Set between a header block and its body.

    def feed(self, data: bytes) -> None:
        """Add bytes as they came; frames are taken with `frames`."""
        if self._start:
            del self._buffer[: self._start]
            self._searched = max(0, self._searched - self._start)
            self._start = 0
        self._buffer += data

    def frames(self) -> Iterator[bytes]:
        """Yield complete frames, in order. Blank lines between JSON lines are skipped, empty bodies are not.

        Raises:
            FrameTooLarge: the next frame is over `frame_bytes_max`.
            RemoteProtocolError: the bytes are neither framing.
        """
        while (frame := self._next()) is not None:
            if frame or self.framing is Framing.HEADERS:
                yield frame

    def _next(self) -> bytes | None:
        if self.framing is None:
            if len(self._buffer) <= self._start:
                return None
            self.framing = _detect(self._buffer[self._start])
        if self.framing is Framing.LINES:
            return self._next_line()
        if self.framing is Framing.MESSAGES:
            return self._next_message()
        return self._next_body()

    def _next_message(self) -> bytes | None:
        message = bytes(self._buffer[self._start :])
        self._start = len(self._buffer)
        if len(message) > self.frame_bytes_max:
            raise FrameTooLarge
        return message or None

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", max(self._start, self._searched))
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) - self._start > self.frame_bytes_max:
                raise FrameTooLarge
            return None
        line = bytes(self._buffer[self._start : end])
        self._start = self._searched = end + 1
        if len(line) > self.frame_bytes_max:
            raise FrameTooLarge
        return line.strip(b"\r\n\t ")

    def _next_body(self) -> bytes | None:
        if self._body_bytes is None:
            self._body_bytes = self._read_headers()
            if self._body_bytes is None:
                return None
            if self._body_bytes > self.frame_bytes_max:
                raise FrameTooLarge
        end = self._start + self._body_bytes
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[self._start : end])
        self._start = self._searched = end
        self._body_bytes = None
        return body

    def _read_headers(self) -> int | None:
        begin = max(self._start, self._searched - 3)  # The delimiter may straddle two feeds.
        end = self._buffer.find(b"\r\n\r\n", begin)
        block_bytes = (end if end >= 0 else len(self._buffer)) - self._start
        if block_bytes > HEADER_BYTES_MAX + (0 if end >= 0 else 3):  # The last 3 may begin the delimiter.
            raise RemoteProtocolError(f"A header block is at most {HEADER_BYTES_MAX} bytes.")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        block = bytes(self._buffer[self._start : end])
        self._start = self._searched = end + 4
        return _content_length(block)


def _detect(first: int) -> Framing:
    if first in b"{[":
        return Framing.LINES
    if first in b"Cc":
        return Framing.HEADERS
    raise RemoteProtocolError("The first byte is neither JSON nor a Content-Length header.")


def _content_length(block: bytes) -> int:
    """Read the one Content-Length of a header block; names in any case, other headers ignored."""
    lines = block.split(b"\r\n")
    if len(lines) > HEADERS_MAX:
        raise RemoteProtocolError(f"A header block has at most {HEADERS_MAX} headers.")
    length: int | None = None
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise RemoteProtocolError("A header line has no colon.")
        if name.strip(_BLANK).lower() == b"content-length":
            if length is not None or not _LENGTH.fullmatch(value.strip(_BLANK)):
                raise RemoteProtocolError("Content-Length must stand once and be a number.")
            length = int(value)
    if length is None:
        raise RemoteProtocolError("The header block has no Content-Length.")
    return length
