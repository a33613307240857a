"""WebSocket: the same peer behind text frames, one message each. Imported only if it is asked for.

    asyncio transport ↔ WebSocket (this module, framing by `websockets`, sans I/O) ↔ Peer

The peer, the hub's cursors and back-pressure are those of the other transports; a frame it writes becomes a
text frame. No compression: on loopback it costs and saves nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from holdfast_daemon.config import NetLimits
from holdfast_daemon.net.auth import Principal
from holdfast_daemon.net.peer import Peer
from holdfast_daemon.net.upgrade import SUBPROTOCOL, Gatekeeper, Refusal

_logger = logging.getLogger(__name__)

_REQUEST_BYTES_MAX: Final = 16 * 1024
_REQUEST_END: Final = b"\r\n\r\n"
_PING_S: Final = 20.0
_DEAD_S: Final = 60.0


def _select_subprotocol(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take ours if it is offered; the one with the token is never answered."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


class WebSocket(asyncio.Protocol):
    """One WebSocket connection, from its HTTP request on. Implements the peer's `Transport`.

    Args:
        gatekeeper: decides about the upgrade.
        make_peer: makes the peer of an accepted one.
        limits: of connections.
        on_closed: called once when the connection is gone.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        make_peer: Callable[[Principal], Peer],
        limits: NetLimits,
        on_closed: Callable[["WebSocket"], None],
    ) -> None:
        self._gatekeeper = gatekeeper
        self._make_peer = make_peer
        self._limits = limits
        self._on_closed = on_closed
        self._protocol = ServerProtocol(
            select_subprotocol=_select_subprotocol, max_size=limits.message_bytes_max
        )
        self._transport: Any = None
        self._peer: Peer | None = None
        self._principal: Principal | None = None
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._request_bytes = 0
        self._request_end = b""  # The last bytes of the request so far.
        self._closing = False  # We have said goodbye: what still comes is not served.
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0

    @property
    def upgraded(self) -> bool:
        """Whether it is a WebSocket by now; then its peer counts, not it."""
        return self._peer is not None

    # asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin; the request has the handshake's deadline."""
        self._transport = transport
        transport.set_write_buffer_limits(high=self._limits.send_high_water_bytes)
        self._timer = asyncio.get_running_loop().call_later(self._limits.handshake_timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes; serve what they complete."""
        self._heard_at = asyncio.get_running_loop().time()
        behind = b""
        if self._peer is None:
            self._request_bytes += len(data)
            if self._request_bytes > _REQUEST_BYTES_MAX:
                self._transport.abort()
                return
            data, behind = self._cut_request(data)
        self._receive(data)
        if behind and self._peer is not None:  # Behind a request that was refused comes nothing.
            self._receive(behind)

    def _cut_request(self, data: bytes) -> tuple[bytes, bytes]:
        """Give what belongs to the HTTP request and what comes behind it: that is for after the decision."""
        seen = self._request_end + data
        end = seen.find(_REQUEST_END)
        size = len(data) if end < 0 else end + len(_REQUEST_END) - len(self._request_end)
        self._request_end = seen[1 - len(_REQUEST_END) :]
        return data[:size], data[size:]

    def _receive(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._receive_request(event)
            elif not self._closing:
                self._receive_frame(event)
        self._flush()

    def eof_received(self) -> bool:
        """End with the other side."""
        self._protocol.receive_eof()
        self._flush()
        return False

    def pause_writing(self) -> None:
        """See `Peer.pause_writing`."""
        if self._peer is not None:
            self._peer.pause_writing()

    def resume_writing(self) -> None:
        """See `Peer.resume_writing`."""
        if self._peer is not None:
            self._peer.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._stop_timer()
        if self._peer is not None:
            self._peer.connection_lost(exc)
        self._on_closed(self)

    # Transport, for the peer ---------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send one message as a text frame."""
        try:
            self._protocol.send_text(data)
        except InvalidState:  # The other side has closed; what is left is for nobody.
            return
        self._flush()

    def get_write_buffer_size(self) -> int:
        """See `Transport`."""
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """See `Transport`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `Transport`."""
        self._transport.resume_reading()

    def close(self) -> None:
        """Say goodbye, then close."""
        self._close(CloseCode.GOING_AWAY)

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    # The upgrade ---------------------------------------------------------------------------------------

    def _receive_request(self, request: Request) -> None:
        decision = self._gatekeeper.decide(request)
        if isinstance(decision, Refusal):
            self._protocol.send_response(self._protocol.reject(decision.status, ""))
            return
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if self._protocol.state is not State.OPEN:
            return
        self._flush()  # The answer goes out before the first message.
        self._stop_timer()
        self._peer = self._make_peer(decision)
        self._peer.connection_made(self)
        self._keep_alive()

    # Frames --------------------------------------------------------------------------------------------

    def _receive_frame(self, event: Any) -> None:
        frame: Frame = event
        match frame.opcode:
            case Opcode.TEXT | Opcode.CONT:
                self._receive_text(frame)
            case Opcode.BINARY:
                self._close(CloseCode.UNSUPPORTED_DATA)
            case _:
                pass  # The library answers pings and closes by itself.

    def _receive_text(self, frame: Frame) -> None:
        self._fragments.append(bytes(frame.data))
        self._fragments_bytes += len(frame.data)
        too_many = len(self._fragments) > self._limits.fragments_max
        if too_many or self._fragments_bytes > self._limits.message_bytes_max:
            self._close(CloseCode.MESSAGE_TOO_BIG)
        elif frame.fin and self._peer is not None:
            message = b"".join(self._fragments)
            self._fragments.clear()
            self._fragments_bytes = 0
            self._peer.data_received(message)

    def _keep_alive(self) -> None:
        """Ping; a peer that says nothing for too long is dead."""
        loop = asyncio.get_running_loop()
        if self._heard_at and loop.time() - self._heard_at > _DEAD_S:
            self._transport.abort()
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._flush()
        self._timer = loop.call_later(_PING_S, self._keep_alive)

    def _close(self, code: CloseCode) -> None:
        self._closing = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._protocol.close_expected():
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
