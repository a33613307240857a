"""A client as bytes on descriptors.

It reads only when it is asked to, so that a test decides who is slow. Events are kept as the bytes in which
they stood in the frame. Shares no code with the daemon's side of the wire.
"""

import fcntl
import itertools
import json
import os
import re
import socket
import sys
import termios
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, Self

import anyio
import anyio.lowlevel
import msgspec

TERMINAL = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})

Framing = Literal["lines", "headers"]

_READ_BYTES = 256 * 1024

_HEADER = re.compile(rb"Content-Length: ([0-9]+)\r\n\r\n")


class CallError(Exception):
    """A call was refused."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']} {error['message']} {error.get('data')}")
        self.code: int = error["code"]
        self.data: dict[str, Any] = error["data"]


class ConnectionClosed(Exception):
    """The daemon closed the connection."""


class Batch(msgspec.Struct):
    """A `session/events`, its events as the bytes of the frame."""

    session_id: str = msgspec.field(name="sessionId")
    epoch: str
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    events: list[msgspec.Raw]


class Message(msgspec.Struct):
    """Any message of the daemon, not decoded further."""

    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] | None = None

    def decoded_params(self) -> dict[str, Any]:
        return json.loads(bytes(self.params))


_message_decoder = msgspec.json.Decoder(Message)
_batch_decoder = msgspec.json.Decoder(Batch)


def decode_batch(message: Message) -> Batch:
    return _batch_decoder.decode(message.params)


class Log:
    """One subscriber's copy of a session's log; each batch must go on where the copy ends."""

    def __init__(self, session_id: str, epoch: str, cursor: int = 0) -> None:
        self.session_id = session_id
        self.epoch = epoch
        self.cursor = cursor
        self.caught_up = False
        self.bodies: list[bytes] = []

    def take(self, batch: Batch) -> None:
        assert batch.epoch == self.epoch
        assert batch.first == self.cursor + 1, "a gap or a duplicate"
        assert len(batch.events) == batch.last - batch.first + 1, "nothing is filtered here"
        self.bodies.extend(bytes(body) for body in batch.events)
        self.cursor = batch.last

    def reach_head(self, head: int) -> None:
        assert head == self.cursor
        self.caught_up = True

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]


class Client:
    """One connection.

    Args:
        reading: descriptor, not blocking; closed with the client.
        writing: descriptor, not blocking; may be the same.
        framing: how both sides frame.
    """

    def __init__(self, reading: int, writing: int, framing: Framing) -> None:
        self.reading = reading
        self.writing = writing
        self.framing: Framing = framing
        self.logs: dict[str, Log] = {}  # What is subscribed to, by session.
        self.notifications: list[Message] = []  # All others.
        self.limits: dict[str, Any] = {}
        self._buffer = bytearray()
        self._ids = itertools.count(1)
        self._answers: dict[int | str, Message] = {}
        self._closed = False

    @classmethod
    def of_socket(cls, sock: socket.socket, framing: Framing) -> Self:
        sock.setblocking(False)
        descriptor = sock.detach()
        return cls(descriptor, descriptor, framing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close at once; what is unread is lost, and the daemon's end gets a reset."""
        if not self._closed:
            self._closed = True
            for descriptor in {self.reading, self.writing}:
                os.close(descriptor)

    def end_writing(self) -> None:
        """Close the writing end of a pair of pipes; the other goes on."""
        assert self.writing != self.reading
        os.close(self.writing)
        self.writing = self.reading

    # Bytes ---------------------------------------------------------------------------------------------

    def unread_bytes(self) -> int:
        """Give how much the kernel holds for this client."""
        answer = fcntl.ioctl(self.reading, termios.FIONREAD, b"\0\0\0\0")
        return int.from_bytes(answer, sys.byteorder)

    async def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            ConnectionClosed: the other end takes no more.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.writing, view[:_READ_BYTES]) :]
            except BlockingIOError:
                await anyio.wait_writable(self.writing)
            except (BrokenPipeError, ConnectionResetError):
                raise ConnectionClosed from None

    def frame(self, body: bytes) -> bytes:
        if self.framing == "lines":
            return body + b"\n"
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    async def next_message(self) -> Message:
        """Read the next message.

        Raises:
            ConnectionClosed: there is none.
        """
        while (body := self._cut()) is None:
            self._buffer += await self._read()
        return _message_decoder.decode(body)

    async def _read(self) -> bytes:
        while True:
            try:
                data = os.read(self.reading, _READ_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self.reading)
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                raise ConnectionClosed
            await anyio.lowlevel.checkpoint()
            return data

    def _cut(self) -> bytes | None:
        """Cut one frame's body off the buffer."""
        if self.framing == "lines":
            end = self._buffer.find(b"\n")
            start, after = 0, end + 1
        else:
            header = _HEADER.match(self._buffer)
            start = header.end() if header else 0
            end = after = start + int(header[1]) if header and len(self._buffer) else -1
        if end < 0 or end > len(self._buffer):
            return None
        body = bytes(self._buffer[start:end])
        del self._buffer[:after]
        return body

    # Messages ------------------------------------------------------------------------------------------

    async def send(self, method: str, **params: Any) -> int:
        """Send a call; give its id."""
        call_id = next(self._ids)
        await self.write(self.frame(self.encode(call_id, method, **params)))
        return call_id

    def encode(self, call_id: int, method: str, **params: Any) -> bytes:
        call = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()

    async def read_one(self) -> None:
        """Read a message: what is about a log goes there, the rest is kept."""
        message = await self.next_message()
        if message.method is None:
            assert message.id is not None, message.error
            assert message.id not in self._answers, "answered twice"
            self._answers[message.id] = message
        elif message.method == "session/events":
            batch = decode_batch(message)
            if (log := self.logs.get(batch.session_id)) is not None:
                log.take(batch)
        elif message.method == "session/caughtUp":
            params = message.decoded_params()
            if (log := self.logs.get(params["sessionId"])) is not None:
                log.reach_head(params["head"])
        else:
            assert message.method not in {"session/gap", "session/halted"}, message.decoded_params()
            self.notifications.append(message)

    async def answer(self, call_id: int | str) -> Any:
        """Read on until a call is answered.

        Raises:
            CallError: it was refused.
        """
        return json.loads(await self.raw_answer(call_id))

    async def raw_answer(self, call_id: int | str) -> bytes:
        """As `answer`, without decoding."""
        while call_id not in self._answers:
            await self.read_one()
        message = self._answers.pop(call_id)
        if message.error is not None:
            raise CallError(message.error)
        return bytes(message.result)

    async def call(self, method: str, **params: Any) -> Any:
        return await self.answer(await self.send(method, **params))

    # Conversations -------------------------------------------------------------------------------------

    async def initialize(self, token: str | None, client_id: str = "test") -> Any:
        params: dict[str, Any] = {"token": token} if token is not None else {}
        result = await self.call(
            "initialize",
            protocol="holdfast",
            versions=[1],
            client={"id": client_id, "name": "test", "version": "1"},
            **params,
        )
        self.limits = result["limits"]
        return result

    async def create_session(self, cwd: Path, **settings: Any) -> str:
        return (await self.call("session/create", cwd=str(cwd), **settings))["sessionId"]

    async def subscribe(self, session_id: str, after: int = 0) -> Log:
        """Subscribe; give the log, which fills as this client reads."""
        log = Log(session_id, "", after)
        await self.resume(log)
        return log

    async def resume(self, log: Log) -> None:
        """Subscribe from where a log ends, maybe a log of another connection."""
        epoch = {"epoch": log.epoch} if log.epoch else {}
        result = await self.call("session/subscribe", sessionId=log.session_id, after=log.cursor, **epoch)
        assert result["from"] == log.cursor + 1
        assert log.epoch in {"", result["epoch"]}
        log.epoch, log.caught_up = result["epoch"], False
        self.logs[log.session_id] = log

    async def prompt(self, session_id: str, text: str, **more: Any) -> Any:
        content = [{"type": "text", "text": text}]
        return await self.call("session/prompt", sessionId=session_id, content=content, **more)

    async def read_until(self, true: Callable[[], bool]) -> None:
        """Read until something holds."""
        while not true():
            await self.read_one()

    async def read_to_event(self, log: Log, run_id: str, types: Collection[str]) -> dict[str, Any]:
        """Read until a log has an event of the run with one of the types; give the first such event."""
        looked = 0
        while True:
            for body in log.bodies[looked:]:
                looked += 1
                event = json.loads(body)
                if event["type"] in types and event["runId"] == run_id:
                    return event
            await self.read_one()

    async def read_to_end(self, log: Log, run_id: str) -> dict[str, Any]:
        """Read until a run has ended; give its terminal event."""
        return await self.read_to_event(log, run_id, TERMINAL)

    async def read_log(self, session_id: str) -> list[bytes]:
        """Read a whole log page by page, without a subscription."""
        bodies: list[bytes] = []
        after, more = 0, True
        while more:
            call_id = await self.send("session/read", sessionId=session_id, after=after, limit=1000)
            page = msgspec.json.decode(await self.raw_answer(call_id), type=_Page)
            assert page.first == after + 1
            bodies.extend(bytes(body) for body in page.events)
            after, more = page.last, page.more
        return bodies

    async def export(self, session_id: str) -> list[str]:
        """Give a session's whole export, line by line."""
        lines: list[str] = []
        after: int | None = 0
        while after is not None:
            page = await self.call("session/export", sessionId=session_id, after=after)
            lines += page["lines"]
            after = page.get("next")
        return lines


class _Page(msgspec.Struct):
    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    events: list[msgspec.Raw]
    more: bool
