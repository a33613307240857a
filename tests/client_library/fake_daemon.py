"""A daemon that keeps logs in memory, and misbehaves when a test wants it to.

It speaks the real protocol on a unix socket; what sessions do is up to the test.
"""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from anyio.abc import ByteStream

from holdfast_client import aio
from holdfast_protocol import events
from holdfast_protocol.capabilities import Limits, ServerCapabilities
from holdfast_protocol.connection import Connection, Side, State
from holdfast_protocol.errors import CursorInvalid, MethodNotFound, NotFound, RpcError
from holdfast_protocol.jsonrpc import Notification, Request
from holdfast_protocol.methods.connection import InitializeResult, ServerInfo

EPOCH = "e1"

UNANSWERED = object()
"""What an answer gives that is never to be given."""

Answer = Callable[[dict[str, Any]], Any]

LIMITS = Limits(
    message_bytes_max=1024 * 1024,
    event_bytes_max=1024 * 1024,
    batch_bytes_max=1024 * 1024,
    snapshot_bytes_max=1024 * 1024,
    depth_max=128,
    members_max=10_000,
    requests_in_flight_max=64,
    requests_per_second_max=5000,
    subscribers_per_session_max=256,
    queued_prompts_max=256,
    read_events_max=1000,
)


class FakeDaemon:
    """The daemon's side of all its connections.

    Attributes:
        path: of its socket.
        answers: by method; each gives a result, raises RpcError, or gives `UNANSWERED`.
        received: calls and notifications in order, as (method, params).
        version: it says it is of.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.version = "0.1.0"
        self.received: list[tuple[str, Any]] = []
        self.logs: dict[str, list[events.EventBase]] = {}
        self.answers: dict[str, Answer] = {
            "initialize": self._initialize,
            "ping": lambda _params: {},
            "session/read": self._read,
            "session/subscribe": self._subscribe,
            "session/unsubscribe": self._unsubscribe,
            "session/get": self._get,
        }
        self.subscribed: set[str] = set()
        self._streams: list[tuple[ByteStream, Connection]] = []
        self._changed = anyio.Event()

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Give the params of the calls of a method, in order."""
        return [params for name, params in self.received if name == method]

    async def received_enough(self, method: str, count: int = 1) -> None:
        """Wait until a method was called so many times."""
        while len(self.calls(method)) < count:
            self._changed = anyio.Event()
            await self._changed.wait()

    def append(self, session_id: str, *happened: events.EventBase) -> tuple[int, int]:
        """Put events into a log; give the range."""
        log = self.logs.setdefault(session_id, [])
        first = len(log) + 1
        log += [msgspec.structs.replace(event, seq=seq, at=1) for seq, event in enumerate(happened, first)]
        return first, len(log)

    async def emit(self, session_id: str, *happened: events.EventBase) -> None:
        """Put events into a log, and send them to who is subscribed."""
        first, last = self.append(session_id, *happened)
        if session_id in self.subscribed:
            await self.send_batch(session_id, first, last)

    async def send_batch(self, session_id: str, first: int, last: int) -> None:
        """Send a batch of a log, whether it is due or not."""
        params = {
            "sessionId": session_id,
            "epoch": EPOCH,
            "from": first,
            "to": last,
            "events": self.logs[session_id][first - 1 : last],
        }
        await self.notify("session/events", params)

    async def notify(self, method: str, params: Any) -> None:
        """Notify the newest connection."""
        stream, connection = self._streams[-1]
        await stream.send(connection.notify(method, params))

    async def send_bytes(self, data: bytes) -> None:
        """Send anything on the newest connection."""
        await self._streams[-1][0].send(data)

    async def serve(self, stream: ByteStream) -> None:
        """Serve one connection to its end."""
        connection = Connection(Side.SERVER)
        self._streams.append((stream, connection))
        self.subscribed.clear()
        async with stream:
            try:
                while connection.state is not State.CLOSING:
                    connection.receive_data(await stream.receive())
                    for message in iter(connection.next_event, None):
                        await self._take(stream, connection, message)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    async def _take(self, stream: ByteStream, connection: Connection, message: Any) -> None:
        self.received.append((message.method, message.params))
        self._changed.set()
        if isinstance(message, Notification):
            return
        assert isinstance(message, Request)
        try:
            answer = self.answers.get(message.method)
            if answer is None:
                raise MethodNotFound(f"No {message.method} here.")
            result = answer(message.params or {})
        except RpcError as error:
            await stream.send(connection.error(message.id, error))
        else:
            if result is not UNANSWERED:
                await stream.send(connection.result(message.id, result))

    def _initialize(self, _params: Any) -> InitializeResult:
        server = ServerInfo(name="fake", version=self.version, instance_id="i1", pid=1, started_at=1)
        return InitializeResult(
            version=1,
            server=server,
            capabilities=ServerCapabilities(deliveries=("queue",), transports=()),
            limits=LIMITS,
            role="controller",
        )

    def _log(self, params: dict[str, Any]) -> list[events.EventBase]:
        if params["sessionId"] not in self.logs:
            raise NotFound("No such session.", resource="session", id=params["sessionId"])
        return self.logs[params["sessionId"]]

    def _read(self, params: dict[str, Any]) -> dict[str, Any]:
        log, after = self._log(params), params.get("after", 0)
        if after > len(log):
            raise CursorInvalid("Beyond the head.", head=len(log), epoch=EPOCH)
        page = log[after : after + params.get("limit", 200)]
        last = after + len(page)
        wanted = params.get("types")
        given = [event for event in page if wanted is None or events.type_of(event) in wanted]
        return {
            "epoch": EPOCH,
            "from": after + 1,
            "to": last,
            "head": len(log),
            "events": given,
            "more": last < len(log),
        }

    def _subscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        log, after = self._log(params), params["after"]
        assert after == len(log), "this daemon cannot catch up"
        self.subscribed.add(params["sessionId"])
        return {"epoch": EPOCH, "from": after + 1, "head": len(log), "oldest": 1}

    def _unsubscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        self.subscribed.discard(params["sessionId"])
        return {}

    def _get(self, params: dict[str, Any]) -> dict[str, Any]:
        head = len(self._log(params))
        row = {
            "sessionId": params["sessionId"],
            "epoch": EPOCH,
            "cwd": "/",
            "agent": "a",
            "model": "m",
            "status": "idle",
            "head": head,
            "createdAt": 1,
            "updatedAt": 1,
        }
        return {"session": row, "snapshot": {"head": head, "status": "idle"}}


@asynccontextmanager
async def fake_daemon() -> AsyncIterator[FakeDaemon]:
    """Run a fake daemon."""
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        daemon = FakeDaemon(f"{directory}/s")
        async with (
            await anyio.create_unix_listener(daemon.path) as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, daemon.serve)
            yield daemon
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def client_of_fake(daemon: FakeDaemon, **options: Any) -> AsyncIterator[aio.Client]:
    """Attach to a fake daemon."""
    async with aio.connect(endpoint=f"unix:{daemon.path}", token="t", **options) as client:
        yield client
