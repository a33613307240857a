"""One end of a holdfast connection, sans I/O: bytes in, messages out, for the daemon and clients alike.

    connection.receive_data(data)              feed what the transport gave
    while (event := connection.next_event()):  take what it means, one at a time
        ...                                    answer with the bytes of `result`, `error`, `notify` …
    connection.take_replies()                  refusals the connection decided by itself: write them

The connection owns the framing, the handshake state and the ids in flight. It knows no clock, tasks or
methods beyond the handshake; who executes a request is the caller's business. It answers by itself what
needs no decision: malformed frames, messages before `initialize`, too many requests in flight.

Server states: WAITING (only `initialize` is served, small frames only) → OPEN → CLOSING.
A client is OPEN at once.
"""

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from holdfast_protocol import jsonrpc
from holdfast_protocol.errors import (
    InvalidRequest,
    LocalProtocolError,
    NotInitialized,
    Overloaded,
    RemoteProtocolError,
    RpcError,
    TooLarge,
)
from holdfast_protocol.framing import FrameReader, FrameTooLarge, Framing, encode_frame
from holdfast_protocol.jsonrpc import Id, InvalidMessage, Notification, Request, Response

MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
HANDSHAKE_BYTES_MAX: Final = 16 * 1024
REQUESTS_IN_FLIGHT_MAX: Final = 64

URGENT_METHODS: Final = frozenset({"session/cancel", "ping"})
"""Served also when the connection has its full number of requests in flight."""

INITIALIZE: Final = "initialize"

ConnectionEvent = Request | Notification | Response


class Side(Enum):
    """Which end this is."""

    SERVER = "server"
    CLIENT = "client"


class State(Enum):
    """Where a connection stands; CLOSING means: write what there is, then close."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSING = "closing"


class Connection:
    """One end of one connection.

    Args:
        side: SERVER waits for `initialize`, CLIENT does not.
        framing: how to frame; None (servers only) to answer in the peer's framing.
        message_bytes_max: the largest incoming message.
        requests_in_flight_max: how many of the peer's requests may be unanswered, urgent ones apart.
        authenticated: the transport itself is the right (stdio): no small-frame limit before `initialize`.
        trusting: leave what messages carry encoded, as `msgspec.Raw` (`jsonrpc.decode_trusted`); for clients.
    """

    def __init__(
        self,
        side: Side,
        *,
        framing: Framing | None = None,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        requests_in_flight_max: int = REQUESTS_IN_FLIGHT_MAX,
        authenticated: bool = False,
        trusting: bool = False,
    ) -> None:
        if side is Side.CLIENT and framing is None:
            raise LocalProtocolError("A client chooses its framing.")
        self.side = side
        self.state = State.WAITING if side is Side.SERVER else State.OPEN
        self.requests_in_flight_max = requests_in_flight_max
        self._message_bytes_max = message_bytes_max
        self._decode = jsonrpc.decode_trusted if trusting else jsonrpc.decode
        small = self.state is State.WAITING and not authenticated
        self._reader = FrameReader(HANDSHAKE_BYTES_MAX if small else message_bytes_max, framing)
        self._frames: Iterator[bytes] = iter(())
        self._inbound: dict[Id, str] = {}  # The peer's requests we have not answered: id → method.
        self._outbound: dict[Id, str] = {}  # Ours the peer has not answered.
        self._next_id = 1
        self._replies: deque[bytes] = deque()
        self._initializing = False  # `initialize` was handed out and is not answered yet.

    @property
    def framing(self) -> Framing:
        """The framing in use; JSON lines while none is known."""
        return self._reader.framing or Framing.LINES

    @property
    def requests_in_flight(self) -> int:
        """How many of the peer's requests are unanswered."""
        return len(self._inbound)

    def receive_data(self, data: bytes) -> None:
        """Feed bytes from the transport; ignored when closing."""
        if self.state is not State.CLOSING:
            self._reader.feed(data)
            self._frames = self._reader.frames()

    def next_event(self) -> ConnectionEvent | None:
        """Take the next message, or None when more bytes are needed or the connection is closing.

        Raises:
            RemoteProtocolError: the peer's bytes deserve no answer; close.
        """
        while self.state is not State.CLOSING:
            try:
                frame = next(self._frames, None)
                event = None if frame is None else self._receive_frame(frame)
            except FrameTooLarge:
                self._refuse_too_large()
                return None
            except RemoteProtocolError:
                self.state = State.CLOSING
                raise
            if event is not None or frame is None:
                return event
        return None

    def take_replies(self) -> list[bytes]:
        """Take the framed refusals the connection decided by itself, oldest first."""
        replies = list(self._replies)
        self._replies.clear()
        return replies

    # Sending -----------------------------------------------------------------------------------------

    def request(self, method: str, params: Any) -> tuple[Id, bytes]:
        """Give a call's id and its framed bytes."""
        request_id = self._next_id
        self._next_id += 1
        self._outbound[request_id] = method
        return request_id, self._frame(jsonrpc.encode_request(request_id, method, params))

    def notify(self, method: str, params: Any) -> bytes:
        """Give a notification's framed bytes."""
        return self._frame(jsonrpc.encode_notification(method, params))

    def result(self, request_id: Id, result: Any) -> bytes:
        """Give the framed answer to a request of the peer.

        Raises:
            TypeError, ValueError: the result is no JSON; the request is still unanswered.
            LocalProtocolError: the request is unknown or answered already.
        """
        body = jsonrpc.encode_result(request_id, result)  # If it is no JSON, the request is still unanswered.
        self._settle(request_id)
        if self._initializing:
            self._initializing = False
            if self.state is State.WAITING:  # Not if it was closed meanwhile.
                self.state = State.OPEN
                self._reader.frame_bytes_max = self._message_bytes_max
        return self._frame(body)

    def error(self, request_id: Id, error: RpcError) -> bytes:
        """Give the framed refusal of a request of the peer; a refused `initialize` closes the connection.

        Raises:
            LocalProtocolError: the request is unknown or answered already.
        """
        self._settle(request_id)
        if self._initializing:
            self._initializing = False
            self.state = State.CLOSING
        return self._frame(jsonrpc.encode_error(request_id, error))

    def is_in_flight(self, request_id: Id) -> bool:
        """Tell whether a request of the peer still waits for its answer."""
        return request_id in self._inbound

    def close(self) -> None:
        """Take no more from the peer."""
        self.state = State.CLOSING

    # Receiving ---------------------------------------------------------------------------------------

    def _receive_frame(self, frame: bytes) -> ConnectionEvent | None:
        try:
            message = self._decode(frame)
        except InvalidMessage as invalid:
            if self.state is State.WAITING:
                raise RemoteProtocolError("Not a message, and before `initialize`.") from invalid
            # Under the id of a request in flight the refusal would look like that request's answer.
            reply_id = None if invalid.id is None or invalid.id in self._inbound else invalid.id
            self._reply(jsonrpc.encode_error(reply_id, invalid.error))
            return None
        if isinstance(message, Response):
            return self._receive_response(message)
        if self.state is State.WAITING:
            return self._receive_first(message)
        if isinstance(message, Request):
            return self._admit(message)
        return message

    def _receive_first(self, message: Request | Notification) -> Request | None:
        if isinstance(message, Notification):
            raise RemoteProtocolError("A notification before `initialize`.")
        if message.method != INITIALIZE or self._initializing:
            self._reply(jsonrpc.encode_error(message.id, NotInitialized("Call `initialize` first.")))
            self.state = State.CLOSING
            return None
        self._initializing = True
        self._inbound[message.id] = message.method
        return message

    def _admit(self, request: Request) -> Request | None:
        if request.id in self._inbound:
            # Answering under that id would look like the answer to the first request.
            error = InvalidRequest("This id is in flight already.", path="$.id", id=str(request.id))
            self._reply(jsonrpc.encode_error(None, error))
            return None
        if request.method == INITIALIZE and self.side is Side.SERVER:
            self._reply(jsonrpc.encode_error(request.id, InvalidRequest("Initialized already.")))
            return None
        if len(self._inbound) >= self.requests_in_flight_max and request.method not in URGENT_METHODS:
            error = Overloaded(
                "Too many requests in flight on this connection.",
                limit="requests_in_flight_max",
                limit_value=self.requests_in_flight_max,
                retry_after_ms=100,
            )
            self._reply(jsonrpc.encode_error(request.id, error))
            return None
        self._inbound[request.id] = request.method
        return request

    def _receive_response(self, response: Response) -> Response | None:
        if self.state is State.WAITING:
            raise RemoteProtocolError("A response before `initialize`.")
        if response.id is None:
            return response  # The peer could not read an id of ours: the caller may want to know.
        if self._outbound.pop(response.id, None) is None:
            return None  # Answered twice, or never asked: nothing waits for it.
        return response

    def _refuse_too_large(self) -> None:
        if self.state is State.WAITING:
            self.state = State.CLOSING
            raise RemoteProtocolError("Too large, and before `initialize`.")
        limit = self._reader.frame_bytes_max
        error = TooLarge(f"A message is at most {limit} bytes.", limit="message_bytes_max", limit_value=limit)
        self._reply(jsonrpc.encode_error(None, error))
        self.state = State.CLOSING

    def _settle(self, request_id: Id) -> None:
        if self._inbound.pop(request_id, None) is None:
            raise LocalProtocolError(f"Request {request_id!r} is unknown or answered already.")

    def _reply(self, body: bytes) -> None:
        self._replies.append(self._frame(body))

    def _frame(self, body: bytes) -> bytes:
        return encode_frame(self.framing, body)
