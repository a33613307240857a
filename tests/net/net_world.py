"""A daemon in the test's own loop with small limits, and connections to it as bytes."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from fakes.home import Home
from holdfast_daemon.app import App
from holdfast_daemon.config import Config, JournalLimits, NetLimits
from holdfast_protocol.discovery import Record
from holdfast_protocol.methods.daemon import NetStatistics

WAIT_S = 10.0
"""The bound of every wait: far above what it takes, for the machine may be shared."""


class Wire:
    """A connection: bytes out, JSON lines in. Closes with its context."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream
        self._unread = b""
        self._id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._stream.aclose()

    async def send(self, data: bytes) -> None:
        with anyio.fail_after(WAIT_S):
            await self._stream.send(data)

    async def receive(self) -> dict[str, Any] | None:
        """Give the next message; None if the daemon closed the connection."""
        with anyio.fail_after(WAIT_S):
            while b"\n" not in self._unread:
                try:
                    self._unread += await self._stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return None
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    async def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Call, and give the whole response; notifications before it are dropped."""
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        await self.send(json.dumps(message).encode() + b"\n")
        while True:
            answer = await self.receive()
            assert answer is not None, "closed without an answer"
            if answer.get("id") == self._id:
                return answer

    async def initialize(self, token: str | None) -> dict[str, Any]:
        return await self.request("initialize", **hello(token))

    async def is_closed_silently(self) -> bool:
        """Wait for the end; tell whether not a byte came before it."""
        with anyio.fail_after(WAIT_S):
            try:
                data = await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True
        assert data
        return False


def hello(token: str | None, **more: Any) -> dict[str, Any]:
    """Give the params of `initialize`."""
    params = {
        "protocol": "holdfast",
        "versions": [1],
        "client": {"id": "test", "name": "test", "version": "1"},
        "capabilities": {},
        **more,
    }
    return params if token is None else {**params, "token": token}


class Net:
    """A running daemon."""

    def __init__(self, app: App, record: Record) -> None:
        self.app = app
        self.record = record
        self.token = record["token"]
        self.knocking: list[socket.socket] = []

    @property
    def server(self) -> Any:
        return self.app._server

    async def connect(self) -> Wire:
        """Connect without a word."""
        unix = self.record["unix"]
        assert unix is not None
        return Wire(await anyio.connect_unix(unix))

    async def connect_tcp(self) -> Wire:
        tcp = self.record["tcp"]
        assert tcp is not None
        return Wire(await anyio.connect_tcp(str(tcp[0]), int(tcp[1])))

    async def client(self) -> Wire:
        """Connect and initialize."""
        wire = await self.connect()
        assert "result" in await wire.initialize(self.token)
        return wire

    def knock(self) -> socket.socket:
        """Connect as far as the kernel does it alone: the daemon has not accepted yet."""
        knocking = socket.socket(socket.AF_UNIX)
        knocking.settimeout(WAIT_S)
        self.knocking.append(knocking)
        knocking.connect(str(self.record["unix"]))
        return knocking

    async def until(self, condition: Callable[[NetStatistics], bool]) -> NetStatistics:
        """Let the loop turn until the daemon's statistics are as wanted; give them."""
        with anyio.fail_after(WAIT_S):
            while not condition(statistics := self.server.statistics()):
                await checkpoint()
        return statistics


def config(home: Home, **changes: Any) -> Config:
    """Give settings for a daemon of the tests; limits of the net by their own names."""
    net = {name: changes.pop(name) for name in list(changes) if name in NetLimits.__struct_fields__}
    defaults = Config(
        state_dir=str(home.state),
        runtime_dir=str(home.runtime),
        idle_exit_s=None,
        net=NetLimits(**net),
        journal=JournalLimits(ballast_bytes=0),
    )
    return msgspec.structs.replace(defaults, **changes)


@asynccontextmanager
async def serving(settings: Config) -> AsyncIterator[Net]:
    """Run a daemon; leaving stops it in order."""
    app = App(settings)
    ready = anyio.Event()
    records: list[Record] = []

    def on_ready(record: Record) -> None:
        records.append(record)
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app.run, on_ready)
        with anyio.fail_after(WAIT_S):
            await ready.wait()
        net = Net(app, records[0])
        try:
            yield net
        finally:
            for knocking in net.knocking:
                knocking.close()
            app.stop()


def mode(path: Path | str) -> int:
    """Give a file's permission bits."""
    return Path(path).lstat().st_mode & 0o777
