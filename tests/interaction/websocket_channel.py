"""WebSocket from the client's side, by hand (RFC 6455): what a browser sends, and what none would.

Shares no code with the daemon's library. Control frames are kept, and answered only where a test does so.
"""

import base64
import hashlib
import os
from typing import NamedTuple

from fakes.links import Link, connect_tcp

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Response(NamedTuple):
    """An HTTP response. `rest` is what came behind its head."""

    status: int
    headers: list[tuple[str, str]]
    rest: bytes

    def header(self, name: str) -> str | None:
        """Give the value of a header that stands once."""
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) <= 1
        return found[0] if found else None


class Frame(NamedTuple):
    """A frame, unmasked."""

    opcode: int
    payload: bytes
    fin: bool


def upgrade_headers(port: int, **changes: str | None) -> list[tuple[str, str]]:
    """Give the headers of an upgrade; a change of None leaves one out. Names with `_` for `-`."""
    headers: dict[str, str | None] = {
        "host": f"127.0.0.1:{port}",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_key": base64.b64encode(os.urandom(16)).decode(),
        "sec_websocket_version": "13",
    } | changes
    return [(name.replace("_", "-"), value) for name, value in headers.items() if value is not None]


def request_bytes(headers: list[tuple[str, str]], start: str = "GET / HTTP/1.1") -> bytes:
    """Give a request's bytes."""
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def ask(port: int, request: bytes, *, slow: bool = False) -> tuple[Link, Response | None]:
    """Send a request on a new connection; give it and the response, None if it was closed without one."""
    link = connect_tcp("127.0.0.1", port, slow=slow)
    await link.write(request)
    return link, await read_response(link)


async def read_response(link: Link) -> Response | None:
    """Read a response's head."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await link.read()
        if not piece:
            assert data == b"", f"half a response: {data!r}"
            return None
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Response(int(first.split()[1]), headers, rest)


async def open_websocket(port: int, token: str, *, slow: bool = False) -> "WebSocketChannel":
    """Connect with a token in a header; the upgrade must be accepted."""
    headers = upgrade_headers(port, authorization=f"Bearer {token}")
    link, response = await ask(port, request_bytes(headers), slow=slow)
    assert response is not None
    assert response.status == 101
    key = dict(headers)["sec-websocket-key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    assert response.header("sec-websocket-accept") == accept
    assert response.header("sec-websocket-extensions") is None
    return WebSocketChannel(link, response.rest)


class WebSocketChannel:
    """Messages as text frames. Implements `Channel`.

    Attributes:
        bodies: every message received, as its bytes.
        controls: pings, pongs and the close, in the order they came.
    """

    def __init__(self, link: Link, data: bytes = b"") -> None:
        self.bodies: list[bytes] = []
        self.controls: list[Frame] = []
        self._link = link
        self._data = bytearray(data)
        self._fragments: list[bytes] = []

    @property
    def close_code(self) -> int | None:
        """The code the daemon closed with."""
        closes = [frame for frame in self.controls if frame.opcode == CLOSE]
        return int.from_bytes(closes[0].payload[:2], "big") if closes else None

    async def send(self, bodies: list[bytes]) -> None:
        """See `Channel`."""
        await self._link.write(b"".join(frame_bytes(TEXT, body) for body in bodies))

    async def send_frames(self, *frames: bytes) -> None:
        """Send frames as they are, in one write."""
        await self._link.write(b"".join(frames))

    async def send_bytes(self, data: bytes) -> None:
        """See `Channel`."""
        await self._link.write(data)

    async def receive(self) -> list[bytes] | None:
        """See `Channel`."""
        found = self._take()
        if not found and not any(frame.opcode == CLOSE for frame in self.controls):
            data = await self._link.read()
            if not data:
                return None
            self._data += data
            found = self._take()
        elif not found:
            return None
        self.bodies += found
        return found

    async def closed(self) -> int | None:
        """Read to the end; give the code the daemon closed with, None without one."""
        while await self.receive() is not None:
            pass
        return self.close_code

    def close(self) -> None:
        """See `Channel`."""
        self._link.close()

    @property
    def unfinished(self) -> bytes:
        """See `Channel`."""
        return bytes(self._data)

    def _take(self) -> list[bytes]:
        messages: list[bytes] = []
        while (frame := self._next()) is not None:
            if frame.opcode >= CLOSE:
                assert frame.fin
                self.controls.append(frame)
                continue
            assert frame.opcode == (CONTINUATION if self._fragments else TEXT)
            self._fragments.append(frame.payload)
            if frame.fin:
                messages.append(b"".join(self._fragments))
                self._fragments.clear()
        return messages

    def _next(self) -> Frame | None:
        data = self._data
        if len(data) < 2:
            return None
        assert not data[0] & 0x70, "a reserved bit"
        assert not data[1] & 0x80, "a server does not mask"
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start += 2 if size == 126 else 8
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        frame = Frame(data[0] & 0x0F, bytes(data[start : start + size]), bool(data[0] & 0x80))
        del data[: start + size]
        return frame


def frame_bytes(
    opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Give a frame as a client sends it."""
    size = len(payload)
    bits = 0x80 if masked else 0
    if size < 126:
        length = bytes([bits | size])
    elif size < 65536:
        length = bytes([bits | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bits | 127]) + size.to_bytes(8, "big")
    head = bytes([(0x80 if fin else 0) | reserved | opcode]) + length
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (size // 4 + 1))[:size]
    masked_payload = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked_payload.to_bytes(size, "big")
