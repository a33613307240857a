"""Runs examples of protocol/PROTOCOL.md against a real daemon, in either framing.

Frames are cut and made here, by hand: the document is compared with what is on the wire, not with what our
own reader makes of it.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Self

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from protocol_examples import ANY, Mismatch, Step, fill, match, parse

from fakes.daemons import Home, InProcessDaemon

WAIT_S: Final = 20
"""The bound of a whole example; nothing in it waits for a clock."""

LINES, HEADERS = "lines", "headers"

_FRAME_BYTES_MAX: Final = 8 * 1024 * 1024


@asynccontextmanager
async def running_daemon(home: Home) -> AsyncGenerator[dict[str, Any]]:
    """Run a daemon in this process; gives its discovery record."""
    async with anyio.create_task_group() as tasks:
        daemon = InProcessDaemon(home, tasks)
        await daemon.start()
        yield json.loads(await anyio.Path(home.runtime / "daemon-v1.json").read_text())
        await daemon.stop()


class Wire:
    """Frames on a byte stream."""

    def __init__(self, stream: ByteStream, framing: str) -> None:
        self.stream = stream
        self._framing = framing
        self._reader = BufferedByteReceiveStream(stream)

    async def send(self, body: bytes) -> None:
        head = b"Content-Length: %d\r\n\r\n" % len(body) if self._framing == HEADERS else b""
        await self.stream.send(head + body + (b"" if head else b"\n"))

    async def receive(self) -> Any:
        """Give the next message; raises anyio.EndOfStream when the daemon has closed."""
        if self._framing == LINES:
            return json.loads(await self._receive_until(b"\n"))
        name, _, value = (await self._receive_until(b"\r\n\r\n")).partition(b": ")
        assert name == b"Content-Length"
        return json.loads(await self._reader.receive_exactly(int(value)))

    async def _receive_until(self, delimiter: bytes) -> bytes:
        try:
            return await self._reader.receive_until(delimiter, _FRAME_BYTES_MAX)
        except anyio.IncompleteRead:
            if self._reader.buffer:
                raise
            raise anyio.EndOfStream from None

    async def receive_exactly(self, size: int) -> bytes:
        return await self._reader.receive_exactly(size)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.aclose()


class Conversation:
    """One example being played.

    Answers are taken by their id and notifications in their order: how the two fall together is promised only
    where the document says so. Batches may be cut elsewhere than in the example: they say what they cover.
    """

    def __init__(
        self, wire: Wire, bound: dict[str, Any], connect: Callable[[], Awaitable[Wire]] | None = None
    ) -> None:
        self._wire = wire
        self._bound = bound
        self._connect = connect
        self._answers: list[dict[str, Any]] = []
        self._notifications: list[dict[str, Any]] = []
        self._shown: set[str] = set()
        self._anything = False  # `← …` was the last thing said about notifications.
        self._ids = count(1_000_000)

    async def play(self, steps: list[Step]) -> None:
        """Play all steps; what was left unsaid is a mismatch."""
        received = [parse(step.text) for step in steps if step.mark == "←" and step.text != ANY]
        self._shown = {message["method"] for message in received if "method" in message}
        ended = False
        for step in steps:
            ended = step.mark == "⊣" and step.text.startswith("the daemon")
            await self._play(step)
        if not ended and not self._anything:
            await self.call("ping")
            if self._notifications or self._answers:
                raise Mismatch(f"not in the example: {self._notifications or self._answers}")

    async def call(self, method: str, **params: Any) -> Any:
        """Make a call beside the example; gives its result."""
        call_id = next(self._ids)
        message = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        await self._wire.send(json.dumps(message).encode())
        answer = await self._next_answer(call_id)
        assert "result" in answer, answer
        return answer["result"]

    async def next_notification(self) -> dict[str, Any]:
        """Give the next one that is worth showing."""
        while not self._notifications:
            await self._receive()
        return self._notifications.pop(0)

    async def _play(self, step: Step) -> None:
        if step.mark == "→":
            await self._wire.send(self._to_send(step.text))
        elif step.mark == "⊣":
            await self._end(step.text)
        elif step.text == ANY:
            self._anything = True
        else:
            await self._expect(parse(step.text))

    def _to_send(self, text: str) -> bytes:
        try:
            message = parse(text)
        except ValueError:
            return text.encode()
        return json.dumps(fill(message, self._bound), ensure_ascii=False).encode()

    async def _expect(self, expected: dict[str, Any]) -> None:
        if "method" not in expected:
            match(expected, await self._next_answer(expected["id"]), self._bound)
            return
        while True:
            actual = await self.next_notification()
            try:
                if expected["method"] == "session/events" == actual["method"]:
                    actual = await self._batch(actual, expected["params"].get("to"))
                match(expected, actual, self._bound)
            except Mismatch:
                if self._anything:
                    continue
                raise
            self._anything = False
            return

    async def _batch(self, actual: dict[str, Any], to: Any) -> dict[str, Any]:
        """Join and split batches until one ends where the example's does."""
        params = actual["params"]
        while isinstance(to, int) and params["to"] < to:
            following = await self.next_notification()
            if following["method"] != "session/events" or following["params"]["from"] != params["to"] + 1:
                raise Mismatch(f"expected the batch after {params['to']}, got {following}")
            params["to"] = following["params"]["to"]
            params["events"] += following["params"]["events"]
        if isinstance(to, int) and params["to"] > to >= params["from"]:
            later = [event for event in params["events"] if event["seq"] > to]
            params["events"] = [event for event in params["events"] if event["seq"] <= to]
            rest = {**params, "from": to + 1, "events": later}
            self._notifications.insert(0, {**actual, "params": rest})
            params["to"] = to
        return actual

    async def _end(self, text: str) -> None:
        if text.startswith("the daemon"):
            while True:
                try:
                    message = await self._wire.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
                if "method" not in message:
                    raise Mismatch(f"expected the end of the connection, got {message}")
        assert self._connect is not None
        assert text.startswith("the connection is lost")
        await self._wire.stream.aclose()
        self._wire = await self._connect()
        self._notifications.clear()

    async def _next_answer(self, call_id: Any) -> dict[str, Any]:
        while True:
            for index, answer in enumerate(self._answers):
                if answer.get("id") == call_id:
                    return self._answers.pop(index)
            await self._receive()

    async def _receive(self) -> None:
        message = await self._wire.receive()
        if "method" not in message:
            self._answers.append(message)
        elif message["method"] != "sessions/changed" or "sessions/changed" in self._shown:
            self._notifications.append(message)


HELLO: Final = "script:\n  - text: Hello."
HANG: Final = "script:\n  - text: {value: Hello, end: false}\n    hang: true"
FAIL: Final = "script:\n  - error: {kind: overloaded, message: Too many people ask., retryable: true}"

# Where an example begins: what was prompted in `<sessionId>`, and the last event then.
STARTS: Final[dict[str, tuple[str, str] | None]] = {
    "session": None,
    "completed": (HELLO, "run_completed"),
    "running": (HANG, "token_delta"),
    "failed": (FAIL, "run_failed"),
}


async def prepare(info: str, wire: Wire, bound: dict[str, Any]) -> None:
    """Bring a fresh daemon to where an example begins."""
    if info == "connection":
        return
    hand = Conversation(wire, bound)
    params: dict[str, Any] = {"token": bound["<token>"]} if "<token>" in bound else {}
    client = {"id": "editor-1", "name": "Example", "version": "1.0"}
    await hand.call("initialize", protocol="holdfast", versions=[1], client=client, **params)
    if info not in STARTS:
        assert info in ("initialized", "stdio")
        return
    created = await hand.call("session/create", cwd=bound["<cwd>"])
    session_id = bound["<sessionId>"] = created["sessionId"]
    bound["<epoch>"] = created["epoch"]
    prompted = STARTS[info]
    if prompted is None:
        await hand.call("ping")  # What creating caused was sent before its answer.
        return
    await hand.call("session/subscribe", sessionId=session_id)
    await hand.call("session/prompt", sessionId=session_id, content=[{"type": "text", "text": prompted[0]}])
    while True:
        message = await hand.next_notification()
        types = [event["type"] for event in message["params"].get("events", ())]
        if prompted[1] in types:
            break
    await hand.call("session/unsubscribe", sessionId=session_id)
