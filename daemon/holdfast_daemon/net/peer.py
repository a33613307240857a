"""One connection: bytes from a transport to requests, answers back to bytes.

Reads with asyncio's protocol callbacks and writes straight to the transport, because both are on the path
of every event. What a request means is the service's business; this module knows none of it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import anyio
from anyio.abc import TaskGroup

from holdfast_daemon.config import NetLimits
from holdfast_daemon.net.auth import Principal
from holdfast_daemon.net.rate_limit import RateLimit
from holdfast_protocol.connection import INITIALIZE, URGENT_METHODS, Connection, Side, State
from holdfast_protocol.errors import (
    InternalError,
    Overloaded,
    RemoteProtocolError,
    RequestCancelled,
    RpcError,
)
from holdfast_protocol.framing import Framing
from holdfast_protocol.jsonrpc import Id, Notification, Request, Response

_logger = logging.getLogger(__name__)


class Transport(Protocol):
    """What a peer writes to: an asyncio transport, or a pair of pipes."""

    def write(self, data: bytes) -> None:
        """Send, buffering what the other side does not take yet."""
        ...

    def get_write_buffer_size(self) -> int:
        """Tell how much is buffered."""
        ...

    def pause_reading(self) -> None:
        """Take no more from the other side."""
        ...

    def resume_reading(self) -> None:
        """Go on."""
        ...

    def close(self) -> None:
        """Send what is buffered, then close."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class Answer(NamedTuple):
    """A call's result, and what is to happen once it was written."""

    result: Any
    after: Callable[[], None] | None = None


class Service(Protocol):
    """What serves a peer's requests."""

    def opened(self, peer: "Peer", params: Any) -> Any:
        """Answer `initialize`, or raise RpcError; never waits."""
        ...

    def immediate(self, peer: "Peer", method: str, params: Any) -> Any | None:
        """Answer an urgent call at once, or raise RpcError; None: not an urgent one."""
        ...

    async def call(self, peer: "Peer", method: str, params: Any) -> Answer:
        """Answer any other call, or raise RpcError."""
        ...

    def survives(self, method: str) -> bool:
        """Tell whether a call goes on when its connection is lost: a mutation does."""
        ...

    def resumed(self, peer: "Peer") -> None:
        """The peer takes bytes again."""
        ...

    def closed(self, peer: "Peer") -> None:
        """The peer is gone."""
        ...


class _Call(NamedTuple):
    scope: anyio.CancelScope
    method: str


class Peer(asyncio.Protocol):
    """One connection, from accept to loss. Implements the hub's `Outlet`.

    Args:
        service: serves the requests.
        tasks: where its calls run.
        limits: of connections.
        framing: how the transport frames, if that is not for the peer to choose.
        principal: who is there, if the transport itself says so (stdio, a WebSocket's upgrade).

    Attributes:
        principal: who is there; None before that is known.
        initialized: whether `initialize` was accepted.
        requests: how many were received.
        last_answered: set when the peer sends no more and its last calls were answered.
        lost: set when the connection is gone.
    """

    def __init__(
        self,
        service: Service,
        tasks: TaskGroup,
        limits: NetLimits,
        principal: Principal | None = None,
        framing: Framing | None = None,
    ) -> None:
        self.principal = principal
        self.initialized = False
        self.requests = 0
        self.last_answered = anyio.Event()
        self.lost = anyio.Event()
        self.paused = False
        self._service = service
        self._tasks = tasks
        self._limits = limits
        self._connection = Connection(
            Side.SERVER,
            framing=framing,
            message_bytes_max=limits.message_bytes_max,
            requests_in_flight_max=limits.requests_in_flight_max,
            authenticated=principal is not None,
        )
        self._rate = RateLimit(limits.requests_per_second_max, limits.requests_burst_max)
        self._transport: Transport | None = None
        self._handshake: asyncio.TimerHandle | None = None
        self._calls: dict[Id, _Call] = {}
        self._unbegun = 0  # Calls that were read, and whose tasks have not had their first turn.
        self._reading_paused = False
        self._input_ended = False  # The peer sends no more; its last calls are being answered.

    @property
    def framing(self) -> Framing:
        """How the peer frames."""
        return self._connection.framing

    # asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin; the handshake has a deadline of its own that nothing extends."""
        self._transport = transport
        if self._connection.state is State.CLOSING:  # Closed before it began: the daemon stops.
            transport.abort()
            return
        if hasattr(transport, "set_write_buffer_limits"):
            transport.set_write_buffer_limits(high=self._limits.send_high_water_bytes)
        loop = asyncio.get_running_loop()
        self._handshake = loop.call_later(self._limits.handshake_timeout_s, self._handshake_expired)

    def data_received(self, data: bytes) -> None:
        """Take bytes; serve what they complete."""
        self._connection.receive_data(data)
        try:
            while (event := self._connection.next_event()) is not None:
                self._receive(event)
        except RemoteProtocolError as error:
            _logger.debug("connection closed: %s", error)
            self.close()
        self._write_replies()
        if self._connection.state is State.CLOSING:
            self.close()

    def pause_writing(self) -> None:
        """The buffer is above the high-water mark: events wait in the log."""
        self.paused = True

    def resume_writing(self) -> None:
        """The buffer has room again."""
        self.paused = False
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        if self.initialized:
            self._service.resumed(self)

    def eof_received(self) -> bool:
        """The peer has sent its last: answer what it asked, within bounds, then close.

        Returns:
            Whether the transport is to stay open for the answers.
        """
        self._connection.close()
        if not self._calls:
            self.last_answered.set()
            return False
        self._input_ended = True
        asyncio.get_running_loop().call_later(self._limits.last_answers_timeout_s, self._end_input)
        return True

    def _end_input(self) -> None:
        """The last calls are answered, or their time is over."""
        self.last_answered.set()
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; calls that only look are cancelled."""
        del exc
        if self.lost.is_set():
            return
        self._transport = None
        self._connection.close()
        self._end_handshake()
        for call in list(self._calls.values()):
            if not self._service.survives(call.method):
                call.scope.cancel()
        self.last_answered.set()
        self.lost.set()
        self._service.closed(self)

    # Sending -------------------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Send framed bytes; ignored once the connection is lost."""
        if self._transport is None or not frame:
            return
        self._transport.write(frame)
        limit = self._limits.send_high_water_bytes + self._limits.unsent_answer_bytes_max
        if not self._reading_paused and self._transport.get_write_buffer_size() > limit:
            self._reading_paused = True  # The peer asks faster than it reads.
            self._transport.pause_reading()

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._connection.close()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._connection.close()
        if self._transport is not None:
            self._transport.abort()

    # Receiving -----------------------------------------------------------------------------------------

    def _receive(self, event: Request | Notification | Response) -> None:
        match event:
            case Request():
                self.requests += 1
                self._write_replies()  # Refusals of earlier messages, in order.
                self._serve(event)
            case Notification(method="$/cancelRequest", params={"id": str() | int() as call_id}):
                call = self._calls.get(call_id)
                if call is not None:
                    call.scope.cancel()
            case _:
                pass  # Unknown notifications are ignored; we ask nothing, so no response is due.

    def _serve(self, request: Request) -> None:
        if request.method == INITIALIZE:
            self._initialize(request)
            return
        wait_s = self._rate.take(asyncio.get_running_loop().time())
        if wait_s and request.method not in URGENT_METHODS:
            limit = self._limits.requests_per_second_max
            error = Overloaded(
                "Too many requests a second.",
                limit="requests_per_second_max",
                limit_value=limit,
                retry_after_ms=max(1, int(wait_s * 1000)),
            )
            self.write(self._connection.error(request.id, error))
            return
        if request.method in URGENT_METHODS:
            self._serve_urgent(request)
        else:
            self._start(request)

    def _serve_urgent(self, request: Request) -> None:
        """Answer at once; but a cancel read right behind a prompt has to find it begun."""
        if self._unbegun:  # The loop begins what is ready in order: this comes behind those, before all else.
            asyncio.get_running_loop().call_soon(self._serve_now, request)
        else:
            self._serve_now(request)

    def _serve_now(self, request: Request) -> None:
        if self._transport is None:  # Lost while this waited for its turn.
            return
        try:
            result = self._service.immediate(self, request.method, request.params)
        except RpcError as error:
            self.write(self._connection.error(request.id, error))
            return
        if result is None:
            self._start(request)
        else:
            self.write(self._connection.result(request.id, result))

    def _start(self, request: Request) -> None:
        """Serve a call that may wait, in a task of its own."""
        scope = anyio.CancelScope()
        self._calls[request.id] = _Call(scope, request.method)
        self._unbegun += 1
        self._tasks.start_soon(self._call, request, scope)

    def _initialize(self, request: Request) -> None:
        try:
            result = self._service.opened(self, request.params)
        except RpcError as error:
            self.write(self._connection.error(request.id, error))
            return
        self._end_handshake()
        self.initialized = True
        self.write(self._connection.result(request.id, result))

    async def _call(self, request: Request, scope: anyio.CancelScope) -> None:
        """Serve one call in its own task; answered once, whatever happens."""
        self._unbegun -= 1
        after: Callable[[], None] | None = None
        error: RpcError = RequestCancelled("The call was cancelled.")
        answer: Answer | None = None
        try:
            with scope:
                answer = await self._service.call(self, request.method, request.params)
        except RpcError as refusal:
            error = refusal
        finally:
            self._calls.pop(request.id, None)
        if answer is None:
            frame = self._connection.error(request.id, error)
        else:
            frame, after = self._encode(request.id, answer)
        self.write(frame)
        if after is not None:
            after()
        if self._input_ended and not self._calls:
            self._end_input()

    def _encode(self, request_id: Id, answer: Answer) -> tuple[bytes, Callable[[], None] | None]:
        try:
            return self._connection.result(request_id, answer.result), answer.after
        except (TypeError, ValueError):  # No JSON: a bug, and the call is still to be answered.
            _logger.exception("result cannot be encoded")
            return self._connection.error(request_id, InternalError("A bug in the daemon.")), None

    def _write_replies(self) -> None:
        for frame in self._connection.take_replies():
            self.write(frame)

    def _handshake_expired(self) -> None:
        if not self.initialized:
            self.abort()

    def _end_handshake(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
