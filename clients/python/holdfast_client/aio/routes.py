"""Ways to a daemon: each gives a fresh byte stream whenever one is wanted. Knows no messages.

A stream is an `anyio.abc.ByteStream` with one promise more: each `send` carries exactly one framed message.
So a transport of messages can stand behind it: `websocket` sends what it is given without the newline, and
gives what it receives with one.
"""

import os
import socket
import struct
from typing import Any, Final, NamedTuple, Protocol

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from holdfast_client.aio.link import MESSAGE_BYTES_MAX
from holdfast_client.errors import DaemonNotRunning, DaemonUnreachable
from holdfast_client.shell import autostart, endpoint, exit_codes
from holdfast_protocol import discovery

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_CREDENTIALS: Final = "3i"  # struct ucred: pid, uid, gid.

START_AFTER_S: Final = 1.0
"""How long to leave the restart of a shared daemon to somebody whose task it may be."""


class Dialled(NamedTuple):
    """A fresh stream to a daemon, and the token to show there; None where the stream itself is the right."""

    stream: ByteStream
    token: str | None


class Route(Protocol):
    """A way to a daemon. One owner; dials one stream at a time."""

    @property
    def may_start(self) -> bool:
        """Whether it can start a daemon."""
        ...

    @property
    def start_after_s(self) -> float:
        """How long a lost daemon is to be left to others before `start` makes sense."""
        ...

    async def dial(self, *, start: bool) -> Dialled:
        """Give a stream.

        Args:
            start: start a daemon if none answers.

        Raises:
            DaemonNotRunning: nobody answers.
            DaemonUnreachable: something does that is not ours, or the daemon could not be started.
        """
        ...

    async def aclose(self) -> None:
        """End what the route itself started."""
        ...


class Fixed:
    """A daemon whose endpoint is known: `unix:PATH`, `tcp:HOST:PORT` or `ws://HOST:PORT/`.

    Raises:
        ValueError: the endpoint is none of these.
    """

    may_start = False
    start_after_s = 0.0

    def __init__(self, address: str, token: str | None) -> None:
        self._address = parse_address(address)
        self._token = token

    async def dial(self, *, start: bool) -> Dialled:
        """See `Route`."""
        del start
        stream = await open_stream(self._address)
        if isinstance(self._address, WebSocketAddress):
            stream = await _upgrade(stream, self._address, self._token)
        return Dialled(stream, self._token)

    async def aclose(self) -> None:
        """See `Route`."""


class Shared:
    """The user's daemon, found by its discovery record, which is read anew each time.

    Args:
        locations: whose; None: this process's user and environment.
        may_start: start the daemon if none answers.
    """

    start_after_s = START_AFTER_S

    def __init__(self, locations: discovery.Locations | None, *, may_start: bool) -> None:
        self._locations = locations or endpoint.locate()
        self.may_start = may_start

    async def dial(self, *, start: bool) -> Dialled:
        """See `Route`."""
        if start:
            await anyio.to_thread.run_sync(self._start, abandon_on_cancel=True)
        record = await anyio.to_thread.run_sync(self._read_record)
        return Dialled(await open_stream(_address_of(record)), record["token"])

    async def aclose(self) -> None:
        """See `Route`: a shared daemon goes on."""

    def _read_record(self) -> dict[str, Any]:
        try:
            return endpoint.read_record(self._locations.record)
        except exit_codes.NotRunning as error:
            raise DaemonNotRunning("No daemon runs, or none can be found.") from error
        except exit_codes.Unreachable as error:
            raise DaemonUnreachable(error.message) from error

    def _start(self) -> None:
        """Start a daemon unless one answers: the same lock and the same program as the command's."""
        try:
            autostart.connect_or_start(self._locations, endpoint.new_client_id()).wire.close()
        except exit_codes.CommandFailed as error:
            raise DaemonUnreachable(error.message) from error


# Streams ----------------------------------------------------------------------------------------------------


class UnixAddress(NamedTuple):
    """A unix socket."""

    path: str


class TcpAddress(NamedTuple):
    """A port on loopback."""

    host: str
    port: int


class WebSocketAddress(NamedTuple):
    """A port on loopback that speaks WebSocket."""

    host: str
    port: int


Address = UnixAddress | TcpAddress | WebSocketAddress


def parse_address(text: str) -> Address:
    """Read `unix:PATH`, `tcp:HOST:PORT` or `ws://HOST:PORT/`.

    Raises:
        ValueError: it is none of these, or the host is not loopback.
    """
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        return UnixAddress(rest)
    if scheme == "ws" and rest.startswith("//"):
        rest = rest.removeprefix("//").removesuffix("/")
    host, _, port = rest.rpartition(":")
    if scheme in ("tcp", "ws") and host in _LOOPBACK and port.isascii() and port.isdigit():
        return (TcpAddress if scheme == "tcp" else WebSocketAddress)(host, int(port))
    raise ValueError(f"Expected unix:PATH, tcp:HOST:PORT or ws://HOST:PORT/ on loopback, not {text!r}.")


async def open_stream(address: Address) -> ByteStream:
    """Connect.

    Raises:
        DaemonNotRunning: nobody listens there.
        DaemonUnreachable: another user does, or the system refuses.
    """
    try:
        if isinstance(address, UnixAddress):
            stream: SocketStream = await anyio.connect_unix(address.path)
            await _check_peer(stream, address.path)
            return stream
        return await anyio.connect_tcp(address.host, address.port)
    except (FileNotFoundError, ConnectionError, TimeoutError) as error:
        raise DaemonNotRunning(f"Nobody answers on {_name(address)}.") from error
    except OSError as error:
        raise DaemonUnreachable(f"Cannot connect to {_name(address)}: {error}") from error


async def _upgrade(stream: ByteStream, address: WebSocketAddress, token: str | None) -> ByteStream:
    try:
        from holdfast_client.aio import websocket  # noqa: PLC0415 - an extra, and only for these endpoints
    except ImportError as error:
        await stream.aclose()
        raise DaemonUnreachable("A ws: endpoint needs the extra holdfast-client[websocket].") from error
    url = f"ws://{address.host}:{address.port}/"
    return await websocket.upgrade(stream, url, token, message_bytes_max=MESSAGE_BYTES_MAX)


async def _check_peer(stream: SocketStream, path: str) -> None:
    """Refuse to show the token to another user's process."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - a socket, not a Django query
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    _pid, uid, _gid = struct.unpack(_CREDENTIALS, credentials)
    if uid != os.geteuid():
        await stream.aclose()
        raise DaemonUnreachable(f"Refusing {path}: another user listens on it.")


def _address_of(record: dict[str, Any]) -> Address:
    """Give where a record points: the unix socket, else loopback."""
    match record:
        case {"unix": str(path)}:
            return UnixAddress(path)
        case {"tcp": [str(host), int(port)]} if host in _LOOPBACK:
            return TcpAddress(host, port)
        case _:
            raise DaemonUnreachable("The discovery record names no endpoint that can be used.")


def _name(address: Address) -> str:
    return address.path if isinstance(address, UnixAddress) else f"{address.host}:{address.port}"
