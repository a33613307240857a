"""How a peer delimits messages: written from the protocol's text, sharing no code with the daemon.

Strict about what comes in: these read what the daemon writes, and whatever is sloppy there is an error here.
A transport that brings messages already cut (WebSocket) needs no framing; it is a `Channel` of its own
(`raw_client`).
"""

from typing import Protocol


class BadFrame(Exception):
    """The daemon wrote bytes that are no frame."""


class Framing(Protocol):
    """Cuts one direction of one connection into messages."""

    name: str

    def encode(self, body: bytes) -> bytes:
        """Delimit one message."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they came; give the messages they complete.

        Raises:
            BadFrame: they are none.
        """
        ...

    @property
    def unfinished(self) -> bytes:
        """What of a message has come so far."""
        ...


class Lines:
    """One JSON object per line."""

    name = "lines"

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # Of the line that has not ended: a large one comes in many pieces.

    def encode(self, body: bytes) -> bytes:
        return body + b"\n"

    def feed(self, data: bytes) -> list[bytes]:
        *ended, rest = data.split(b"\n")
        lines: list[bytes] = []
        for line in ended:
            self._parts.append(line)
            lines.append(b"".join(self._parts))
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        if any(not line or line != line.strip() for line in lines):
            raise BadFrame("a line is empty, or has white space around its message")
        return lines

    @property
    def unfinished(self) -> bytes:
        return b"".join(self._parts)


class Headers:
    """`Content-Length` headers, as in the base protocol of LSP."""

    name = "headers"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._missing = 0  # Bytes until the body is whole; 0 while a header is awaited.

    def encode(self, body: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n" % len(body) + body

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        bodies: list[bytes] = []
        while (body := self._next()) is not None:
            bodies.append(body)
        return bodies

    @property
    def unfinished(self) -> bytes:
        return bytes(self._buffer)

    def _next(self) -> bytes | None:
        if not self._missing:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._missing = _content_length(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
        if len(self._buffer) < self._missing:
            return None
        body = bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._missing = 0
        return body


def _content_length(block: bytes) -> int:
    lengths = [
        line.partition(b":")[2].strip()
        for line in block.split(b"\r\n")
        if line.partition(b":")[0].lower() == b"content-length"
    ]
    if len(lengths) != 1 or not lengths[0].isdigit() or int(lengths[0]) == 0:
        raise BadFrame(f"a header block without one Content-Length: {block[:200]!r}")
    return int(lengths[0])


FRAMINGS: dict[str, type[Lines] | type[Headers]] = {"lines": Lines, "headers": Headers}
