"""A WebSocket as a channel of messages: one text frame each, framed by a library and not by the daemon.

The upgrade is sent with the first use; the token stands in its `Authorization` header.
"""

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from fakes.links import Link

_MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Far above what a daemon may send: it is not the client that bounds it here."""


class WebSocketChannel:
    """Messages as text frames. Implements `Channel`.

    Args:
        link: connected to the port.
        host: of the port.
        port: it.
        token: the right to speak.
    """

    def __init__(self, link: Link, host: str, port: int, token: str) -> None:
        self._link = link
        self._token = token
        self._protocol = ClientProtocol(parse_uri(f"ws://{host}:{port}/"), max_size=_MESSAGE_BYTES_MAX)
        self._parts: list[bytes] = []  # Of the message whose last frame has not come.
        self._asked = False  # The upgrade was sent.

    async def send(self, bodies: list[bytes]) -> None:
        await self._open()
        for body in bodies:
            self._protocol.send_text(body)
        await self._flush()

    async def send_bytes(self, data: bytes) -> None:
        await self._open()
        await self._link.write(data)

    async def receive(self) -> list[bytes] | None:
        await self._open()
        messages = self._take()
        if messages:
            return messages
        if self._protocol.state is not State.OPEN:
            return None
        data = await self._link.read()
        if not data:
            return None
        self._protocol.receive_data(data)
        messages = self._take()
        return messages if messages or self._protocol.state is State.OPEN else None

    def close(self) -> None:
        self._link.close()

    @property
    def unfinished(self) -> bytes:
        return b"".join(self._parts)

    async def _open(self) -> None:
        if self._asked:
            return
        self._asked = True
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        self._protocol.send_request(request)
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            data = await self._link.read()
            assert data, "the daemon closed without accepting the upgrade"
            self._protocol.receive_data(data)
            assert self._protocol.handshake_exc is None, self._protocol.handshake_exc

    async def _flush(self) -> None:
        await self._link.write(b"".join(self._protocol.data_to_send()))

    def _take(self) -> list[bytes]:
        messages: list[bytes] = []
        for event in self._protocol.events_received():
            if isinstance(event, Response) or not isinstance(event, Frame):
                continue
            assert event.opcode is not Opcode.BINARY, "a message in a binary frame"
            if event.opcode not in {Opcode.TEXT, Opcode.CONT}:
                continue
            self._parts.append(bytes(event.data))
            if event.fin:
                messages.append(b"".join(self._parts))
                self._parts.clear()
        return messages
