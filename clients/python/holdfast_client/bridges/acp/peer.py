"""The editor: JSON-RPC both ways over its pipes. Knows no methods but `$/cancel_request`.

Inbound messages are handed over one after another, in the order in which they came. Everything outbound
stands in one outbox in the order in which it was said.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio
import msgspec

from holdfast_client.bridges.acp.refusals import PARSE_ERROR, Refusal
from holdfast_client.bridges.acp.stdio import Pipes
from holdfast_protocol import jsonrpc
from holdfast_protocol.errors import ErrorObject
from holdfast_protocol.foreign.acp import tolerance
from holdfast_protocol.jsonrpc import Id, InvalidMessage, Notification, Request, Response

_logger = logging.getLogger(__name__)

MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of one message, an image in it: as the SDKs have it. A longer one is refused and skipped."""

OUTBOX_BYTES_MAX: Final = 1024 * 1024
"""What may wait for a slow editor before its sessions' events are left in the log."""

CALLS_MAX: Final = 256
"""Calls of ours that are not answered; more wait."""

LAST_WORDS_S: Final = 5.0
"""How long an editor that has said its last gets answers that are on their way: a daemon's start, at most."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class CallRefused(Exception):
    """The editor answered a call of ours with an error.

    Attributes:
        error: the error.
    """

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


class Handler(Protocol):
    """Takes what the editor says. No method may raise; only `quiet` may wait."""

    def take_request(self, request: Request) -> None:
        """Take a request; it is answered exactly once with `answer` or `refuse`."""
        ...

    def take_notification(self, notification: Notification) -> None:
        """Take a notification."""
        ...

    async def quiet(self) -> None:
        """Wait until what is answered soon was answered."""
        ...


class _Call:
    """A call of ours that is not answered."""

    __slots__ = ("answered", "response")

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.response: Response | None = None


class Peer:
    """One editor. One owner, who runs it.

    Args:
        pipes: to it and from it.
        received: what was read from them before.
        skip_first: whether the first message was answered already; it is handed over all the same.

    Attributes:
        first_is_answered: see `skip_first`; the handler of `initialize` asks, once.
    """

    def __init__(self, pipes: Pipes, received: bytes = b"", *, skip_first: bool = False) -> None:
        self._pipes = pipes
        self._pieces = [received] if received else []
        self._size = len(received)
        self._skipping = False  # In a line that is too long.
        self.first_is_answered = skip_first
        self._calls: dict[int, _Call] = {}
        self._last_id = 0
        self._places = anyio.CapacityLimiter(CALLS_MAX)
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._to_send = anyio.Event()
        self._sent = anyio.Event()

    # Speaking ------------------------------------------------------------------------------------------

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._put({"jsonrpc": "2.0", "method": method, "params": params})

    def answer(self, call_id: Id, result: Any) -> None:
        """Answer a request."""
        self._put({"jsonrpc": "2.0", "id": call_id, "result": result})

    def refuse(self, call_id: Id | None, refusal: Refusal) -> None:
        """Answer a request with an error."""
        self._put({"jsonrpc": "2.0", "id": call_id, "error": refusal.error})

    async def call(self, method: str, params: Any, kind: type[T]) -> T:
        """Ask the editor for something. If that is cancelled it is told so, and a late answer is ignored.

        Raises:
            CallRefused: it answered with an error, or with something else.
        """
        async with self._calling(method, params) as call:
            await call.answered.wait()
        response = call.response
        assert response is not None
        if response.error is not None:
            raise CallRefused(response.error)
        try:
            return tolerance.convert({} if response.result is None else response.result, kind)
        except msgspec.ValidationError as error:
            raise CallRefused(ErrorObject(code=0, message=f"Not an answer to {method}: {error}")) from None

    @asynccontextmanager
    async def _calling(self, method: str, params: Any) -> AsyncGenerator[_Call]:
        async with self._places:
            self._last_id += 1
            call_id, call = self._last_id, _Call()
            self._calls[call_id] = call
            self._put({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})
            try:
                yield call
            finally:
                del self._calls[call_id]
                if call.response is None:
                    self.notify("$/cancel_request", {"requestId": call_id})

    async def flow(self) -> None:
        """Wait while the editor has too much before it."""
        while self._outbox_bytes > OUTBOX_BYTES_MAX:
            await self._sent.wait()

    def _put(self, message: Any) -> None:
        frame = _encode(message)
        self._outbox.append(frame)
        self._outbox_bytes += len(frame) + 1
        self._to_send.set()

    # Serving -------------------------------------------------------------------------------------------

    async def run(self, handler: Handler) -> None:
        """Serve until the editor ends its side, or takes nothing any more."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, tasks.cancel_scope)
            await self._read(handler)
            with anyio.move_on_after(LAST_WORDS_S):
                await handler.quiet()
                await self._drained()
            tasks.cancel_scope.cancel()

    async def _drained(self) -> None:
        while self._outbox_bytes:
            await self._sent.wait()

    async def _write(self, scope: anyio.CancelScope) -> None:
        while True:
            await self._to_send.wait()
            self._to_send = anyio.Event()
            frames, self._outbox = self._outbox, []
            data = b"\n".join([*frames, b""])
            try:
                await self._pipes.send(data)
            except OSError as error:
                _logger.info("the editor takes nothing any more: %s", error)
                scope.cancel()
                return
            self._outbox_bytes -= len(data)
            self._sent.set()
            self._sent = anyio.Event()

    async def _read(self, handler: Handler) -> None:
        if self._pieces:  # What was received before.
            first, self._pieces, self._size = self._pieces[0], [], 0
            self._take_bytes(first, handler)
        while data := await self._pipes.receive():
            self._take_bytes(data, handler)
            await anyio.lowlevel.checkpoint()

    def _take_bytes(self, data: bytes, handler: Handler) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join([*self._pieces, line])
            self._pieces, self._size = [], 0
            if self._skipping:
                self._skipping = False
            elif whole.strip():
                self._take_line(whole, handler)
        if rest and not self._skipping:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > MESSAGE_BYTES_MAX:
                self._pieces, self._size, self._skipping = [], 0, True
                self.refuse(None, Refusal(PARSE_ERROR, f"A message has at most {MESSAGE_BYTES_MAX} bytes."))

    def _take_line(self, line: bytes, handler: Handler) -> None:
        try:
            message = jsonrpc.decode(line)
        except InvalidMessage as invalid:
            self.refuse(invalid.id, Refusal(invalid.error.code, invalid.error.message))
            return
        match message:
            case Request():
                handler.take_request(message)
            case Notification():
                handler.take_notification(message)
            case Response():
                self._take_response(message)

    def _take_response(self, response: Response) -> None:
        call = self._calls.get(response.id) if isinstance(response.id, int) else None
        if call is not None and call.response is None:  # Else it came too late, and was taken back.
            call.response = response
            call.answered.set()
