"""The daemon of one conversation, the clients that talk to it, and what the conversation remembers."""

import sys
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from conversations.listener import Listener
from conversations.patterns import Variables
from fakes import mcp_server
from fakes.daemons import Daemon, ProcessDaemon
from fakes.framings import FRAMINGS
from fakes.home import Home
from fakes.links import Link, connect_tcp, connect_unix
from fakes.raw_client import Channel, RawClient, StreamChannel
from fakes.websocket import WebSocketChannel


class Wire(NamedTuple):
    """What a conversation runs over.

    On `stdio` the first client of each daemon is the sidecar's parent; further ones come in over TCP.
    """

    transport: Literal["unix", "tcp", "stdio", "ws"]
    framing: str

    def __str__(self) -> str:
        return f"{self.transport}-{self.framing}"


WIRES: Final = (*(Wire(*pair) for pair in product(("unix", "tcp", "stdio"), FRAMINGS)), Wire("ws", "frames"))
"""A further transport takes its place here, and in `World.connect`."""


class World:
    """One owner for what a conversation changes.

    Args:
        wire: what clients talk over.
        home: where the daemon lives.
        daemon: not started yet.

    Attributes:
        variables: what steps remember; from the start `$cwd`, `$home`, `$token`, and `$python` with
            `$mcp_server`, a program to be run with it.
        open: by name, the client that connected last under it and was not closed by a step.
        clients: all there ever were.
        alive: the daemon runs.
        relayed: clients talk by way of a library.
    """

    relayed = False

    def __init__(self, wire: Wire, home: Home, daemon: Daemon) -> None:
        self.variables: Variables = {
            "cwd": str(home.work.resolve()),
            "home": str(home.path.resolve()),
            "python": sys.executable,
            "mcp_server": mcp_server.__file__,
        }
        self.open: dict[str, Listener] = {}
        self.clients: list[RawClient] = []
        self.alive = False
        self._wire = wire
        self._home = home
        self._daemon = daemon
        self._first: str | None = None  # Connected first since the daemon started.
        self._parent: RawClient | None = None  # Who has the sidecar's stdin and stdout.
        self._calls: dict[str, tuple[Listener, Any]] = {}  # By tag: whose, and its id.

    # The daemon ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the daemon."""
        await self._daemon.start()
        self.alive = True
        self._first = self._parent = None
        self.variables["token"] = self._daemon.endpoint.token

    async def end(self, how: str) -> None:
        """See the daemon end: `stop` it in order, `kill` it, or wait until it `exits` by itself."""
        if how == "kill":
            assert isinstance(self._daemon, ProcessDaemon)
            await self._daemon.kill()
        else:
            if how == "stop":
                await self._daemon.stop()
            assert await self._daemon.exited() == 0
        self.alive = False
        for listener in self.open.values():  # What came before the end can still be looked at.
            await listener.hear_out()

    async def end_in_order(self) -> None:
        """See the daemon end as its kind does: a sidecar whose parent is gone ends by itself."""
        orphaned = self._parent is not None and self._parent.closed
        await self.end("exits" if orphaned else "stop")

    def fill_disk(self) -> None:
        """Let the log not grow any more."""
        assert isinstance(self._daemon, ProcessDaemon)
        self._daemon.limit_file_size(self._home.wal.stat().st_size)

    def free_disk(self) -> None:
        """Let the log grow again."""
        assert isinstance(self._daemon, ProcessDaemon)
        self._daemon.limit_file_size(None)

    def write(self, name: str, text: str) -> None:
        """Make a file in the sessions' directory."""
        path = self._home.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    # Clients -------------------------------------------------------------------------------------------

    def connect(self, name: str, *, slow: bool) -> tuple[Listener, bool]:
        """Connect a client; tell also whether its transport itself is the right to speak."""
        trusted = self._wire.transport == "stdio" and self._first is None
        client = RawClient(self._channel(name, trusted=trusted, slow=slow), name)
        self.clients.append(client)
        self.open[name] = listener = Listener(client)
        self._first = self._first or name
        if trusted:
            self._parent = client
        return listener, trusted or self._wire.transport == "ws"

    def listener(self, name: str | None) -> Listener:
        """Give a client by its name; the first one if it is None."""
        assert self._first is not None, "no client is connected"
        return self.open[name or self._first]

    def tag(self, tag: str, listener: Listener, request_id: Any) -> None:
        """Remember a call that is not answered yet."""
        self._calls[tag] = (listener, request_id)
        self.variables[f"id_{tag}"] = request_id

    def call(self, tag: str) -> tuple[Listener, Any]:
        """Give whose call it is, and its id."""
        return self._calls[tag]

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.close()

    def _channel(self, _name: str, *, trusted: bool, slow: bool) -> Channel:
        if self._wire.transport == "ws":
            endpoint = self._daemon.endpoint
            return WebSocketChannel(connect_tcp(*endpoint.ws, slow=slow), *endpoint.ws, endpoint.token)
        return StreamChannel(self._link(trusted=trusted, slow=slow), FRAMINGS[self._wire.framing]())

    def _link(self, *, trusted: bool, slow: bool) -> Link:
        endpoint = self._daemon.endpoint
        if trusted:
            return self._daemon.take_stdio()
        if self._wire.transport == "unix":
            return connect_unix(endpoint.unix, slow=slow)
        return connect_tcp(*endpoint.tcp, slow=slow)
