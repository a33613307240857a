"""A vendor on this machine: HTTP/1.1 over loopback, answering as a script says, whatever API is asked for."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import SocketAttribute, SocketStream

from fakes.vendors.script import Reply, Vendor, for_vendor
from fakes.vendors.streams import events

_PATHS: dict[str, Vendor] = {
    "/v1/messages": "messages",
    "/v1/responses": "responses",
    "/v1/chat/completions": "chat",
}
_LINE_ENDINGS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}


class Request:
    """A request as it came."""

    def __init__(self, path: str, headers: dict[str, str], raw_body: bytes, connection: int) -> None:
        self.path = path
        self.headers = headers
        self.raw_body = raw_body
        self.connection = connection

    @property
    def body(self) -> Any:
        return json.loads(self.raw_body)


class VendorServer:
    """See the module.

    Attributes:
        requests: all that came, in order.
        answering: set when the body of an answer begins to be sent.
        left: set when a client closed its connection before the answer was whole.
        connections: how many were opened.
    """

    def __init__(self, replies: tuple[Reply, ...]) -> None:
        self._replies = replies
        self.requests: list[Request] = []
        self.answering = anyio.Event()
        self.left = anyio.Event()
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["VendorServer"]:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self.port = listener.extra(SocketAttribute.local_port)
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, self._serve)
                yield self
                group.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream, anyio.create_task_group() as group:
            connection = _Connection(stream, self.connections)
            group.start_soon(self._watch, connection, group.cancel_scope)
            try:
                while await self._answer(connection):
                    pass
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            group.cancel_scope.cancel()

    async def _watch(self, connection: "_Connection", scope: anyio.CancelScope) -> None:
        await connection.receive_all()
        if connection.busy:
            self.left.set()
        scope.cancel()

    async def _answer(self, connection: "_Connection") -> bool:
        request = await connection.request()
        if request is None:
            return False
        reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
        self.requests.append(request)
        # In a thread: what is measured on the loop is the client's work.
        reply = await anyio.to_thread.run_sync(_refusal, request) or reply
        connection.busy = True
        await anyio.sleep(reply.delay_s)
        if reply.raw is not None:
            await connection.send(reply.raw.encode())
            return False
        if reply.ends != "well" or reply.cut is not None:
            await self._send(connection, request, reply)
            return False
        await self._send(connection, request, reply)
        await connection.send(b"0\r\n\r\n")
        connection.busy = False
        return True

    async def _send(self, connection: "_Connection", request: Request, reply: Reply) -> None:
        streams = reply.status == 200 and reply.body is None
        headers = {
            "content-type": "text/event-stream; charset=utf-8" if streams else "application/json",
            "request-id": f"req_{len(self.requests)}",
            "x-request-id": f"req_{len(self.requests)}",
            "transfer-encoding": "chunked",
            **reply.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await connection.send(f"HTTP/1.1 {reply.status} Said\r\n{head}\r\n".encode())
        self.answering.set()
        vendor = _PATHS.get(request.path, "chat")
        if not streams:
            await connection.chunk(for_vendor(reply.body, vendor).encode())
        else:
            for piece in _pieces(_stream(vendor, reply), reply):
                await connection.chunk(piece)
                await anyio.sleep(reply.pause_s)
        await self._end(connection, reply)

    async def _end(self, connection: "_Connection", reply: Reply) -> None:
        if reply.ends == "hang":
            await anyio.sleep_forever()
        while reply.ends in {"pings", "endless"}:
            await connection.chunk(b": ping\n\n" if reply.ends == "pings" else b'data: {"' + b"x" * 65536)
            await anyio.sleep(0.005 if reply.ends == "pings" else 0)


class _Connection:
    """Bytes in both directions; what comes in is read at all times, so that a close is seen at once."""

    def __init__(self, stream: SocketStream, number: int) -> None:
        self._stream = stream
        self._buffer = b""
        self._ended = False
        self._changed = anyio.Event()
        self.number = number
        self.busy = False

    async def receive_all(self) -> None:
        try:
            while True:
                data = await self._stream.receive()
                self._buffer += data  # Not in one line: the buffer is emptied meanwhile.
                self._changed.set()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._ended = True
            self._changed.set()

    async def request(self) -> Request | None:
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))  # A GET has none.
        while len(self._buffer) < length:
            if not await self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Request(first.split(" ")[1], headers, body, self.number)

    async def _more(self) -> bool:
        if self._ended:
            return False
        self._changed = anyio.Event()
        await self._changed.wait()
        return True

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def chunk(self, data: bytes) -> None:
        if data:
            await self._stream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _refusal(request: Request) -> Reply | None:
    """Refuse what the real Messages API refuses: calls and results, and no tools."""
    if request.path != "/v1/messages" or request.body.get("tools"):
        return None
    contents = [message["content"] for message in request.body["messages"]]
    blocks = [block["type"] for content in contents if isinstance(content, list) for block in content]
    if not {"tool_use", "tool_result"}.intersection(blocks):
        return None
    message = "Requests which include `tool_use` or `tool_result` blocks must define tools."
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return Reply(status=400, body=json.dumps(error))


def _stream(vendor: Vendor, reply: Reply) -> bytes:
    """Write the whole stream of an answer."""
    between = for_vendor(reply.between, vendor)
    texts = [for_vendor(reply.before, vendor)]
    all_events = list(events(vendor, reply))
    if reply.cut is not None and reply.cut.events is not None:
        all_events = all_events[: reply.cut.events]
    for name, data in all_events:
        texts += [f"event: {name}\n" if name else "", f"data: {data}\n\n", between]
    texts.append(for_vendor(reply.after, vendor))
    return "".join(texts).replace("\n", _LINE_ENDINGS[reply.line_ending]).encode()


def _pieces(whole: bytes, reply: Reply) -> Iterator[bytes]:
    if reply.cut is not None and reply.cut.bytes is not None:
        whole = whole[: reply.cut.bytes]
    if reply.cut is not None and reply.cut.part is not None:
        whole = whole[: int(len(whole) * reply.cut.part)]
    size = reply.split_bytes or max(1, len(whole))
    return (whole[start : start + size] for start in range(0, len(whole), size))
