"""A WebSocket as a byte stream, one message per text frame. Imported only for a `ws:` endpoint.

Each `send` carries one framed message (see `routes`); it goes out without its newline, and what comes in is
given with one. Needs the package `websockets`, of which only the part without I/O is used.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidState, InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from holdfast_client.errors import DaemonUnreachable
from holdfast_protocol.errors import AuthRequired

_RECEIVE_BYTES: Final = 256 * 1024
_UPGRADE_S_MAX: Final = 10.0
_GOODBYE_S_MAX: Final = 1.0

_UNAUTHORIZED: Final = 401


async def upgrade(stream: ByteStream, url: str, token: str | None, *, message_bytes_max: int) -> ByteStream:
    """Make a WebSocket of a fresh TCP stream, which is closed if that fails.

    Args:
        stream: connected to the daemon.
        url: as `ws://127.0.0.1:PORT/`.
        token: shown in the upgrade.
        message_bytes_max: the largest message taken.

    Raises:
        AuthRequired: the token is not right.
        DaemonUnreachable: it refuses for another reason, or is no daemon.
    """
    socket = _WebSocketStream(stream, url, message_bytes_max)
    try:
        with anyio.fail_after(_UPGRADE_S_MAX):
            await socket.open(token)
    except BaseException as error:
        await anyio.aclose_forcefully(stream)
        if isinstance(error, InvalidStatus) and error.response.status_code == _UNAUTHORIZED:
            raise AuthRequired("The daemon does not know the token.") from error
        if isinstance(error, (InvalidHandshake, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError)):
            raise DaemonUnreachable(f"{url} takes no WebSocket of ours: {error}") from error
        raise
    return socket


class _WebSocketStream(ByteStream):
    def __init__(self, stream: ByteStream, url: str, message_bytes_max: int) -> None:
        self._stream = stream
        # Bounded by the connection above as well; this bound is what a single frame may make us hold.
        self._protocol = ClientProtocol(parse_uri(url), max_size=message_bytes_max)
        self._received: list[bytes] = []  # Of whole messages, each with a newline.
        self._pieces: list[bytes] = []  # Of the message that is coming in.
        self._sending = anyio.Lock()

    async def open(self, token: str | None) -> None:
        """Ask for the upgrade and wait for the answer."""
        request = self._protocol.connect()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        self._protocol.send_request(request)
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            self._protocol.receive_data(await self._stream.receive(_RECEIVE_BYTES))
            if self._protocol.handshake_exc is not None:
                raise self._protocol.handshake_exc
        self._take(self._protocol.events_received())

    async def send(self, item: bytes) -> None:
        try:
            self._protocol.send_text(item.rstrip(b"\n"))
        except (InvalidState, ConnectionClosed) as error:
            raise anyio.BrokenResourceError from error
        await self._flush()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Give whole messages, however large: `max_bytes` is what is read at once."""
        while not self._received:
            data = await self._stream.receive(max_bytes)
            self._protocol.receive_data(data)
            self._take(self._protocol.events_received())
            await self._flush()
            if not self._received and self._protocol.state is not State.OPEN:
                raise anyio.EndOfStream
        whole = b"".join(self._received)
        self._received.clear()
        return whole

    async def send_eof(self) -> None:
        """Say goodbye."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            await self._flush()

    async def aclose(self) -> None:
        with anyio.move_on_after(_GOODBYE_S_MAX, shield=True):
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # The other was faster.
                await self.send_eof()
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Any:
        attributes: Any = self._stream.extra_attributes  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return attributes

    def _take(self, events: Iterable[Any]) -> None:
        for event in events:
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._pieces.append(bytes(event.data))
                if event.fin:
                    self._received += [*self._pieces, b"\n"]
                    self._pieces.clear()

    async def _flush(self) -> None:
        """Send what the protocol has to say, in its order."""
        async with self._sending:
            for data in self._protocol.data_to_send():
                if data:
                    await self._stream.send(data)
