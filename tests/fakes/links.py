"""Bytes to and from a daemon, over a unix socket, TCP or a pair of pipes.

Reads only when asked to: a client that does not read is a slow client, and nothing is read ahead for it.
"""

import os
import socket
from collections.abc import Callable

import anyio
import anyio.lowlevel

_PIECE_BYTES = 256 * 1024

SLOW_BUFFER_BYTES = 4096
"""Asked of the kernel as the receive buffer of a client that is to fall behind soon."""


class LinkClosed(Exception):
    """The daemon takes no more bytes."""


class Link:
    """A pair of descriptors, or one socket's twice.

    Args:
        reading: where bytes come from; non-blocking.
        writing: where they go; non-blocking.
        close: closes both; called once.
    """

    def __init__(self, reading: int, writing: int, close: Callable[[], None]) -> None:
        self._reading = reading
        self._writing = writing
        self._close: Callable[[], None] | None = close

    async def read(self) -> bytes:
        """Give what is there; waits for something. Empty at the end of the stream, also after a reset."""
        await anyio.lowlevel.checkpoint()  # A daemon that never pauses must not keep a deadline from passing.
        while True:
            try:
                return os.read(self._reading, _PIECE_BYTES)
            except BlockingIOError:
                await anyio.wait_readable(self._reading)
            except ConnectionResetError:
                return b""

    async def write(self, data: bytes) -> None:
        """Send all of it; waits for room.

        Raises:
            LinkClosed: the other end is gone.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._writing, left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._writing)
            except (BrokenPipeError, ConnectionResetError) as error:
                raise LinkClosed from error

    def close(self) -> None:
        """Close, once."""
        if self._close is not None:
            close, self._close = self._close, None
            close()


def connect_unix(path: str, *, slow: bool = False) -> Link:
    """Connect to a unix socket."""
    return _connect(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path, slow=slow)


def connect_tcp(host: str, port: int, *, slow: bool = False) -> Link:
    """Connect to a port."""
    connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _connect(connected, (host, port), slow=slow)


def pipes(reading: int, writing: int) -> Link:
    """Take two pipe ends over; both are closed with the link."""
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)

    def close() -> None:
        os.close(writing)
        os.close(reading)

    return Link(reading, writing, close)


def _connect(connected: socket.socket, address: str | tuple[str, int], *, slow: bool) -> Link:
    try:
        if slow:  # Before connecting: a TCP window is agreed on then.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        connected.connect(address)
    except OSError:
        connected.close()
        raise
    connected.setblocking(False)
    return Link(connected.fileno(), connected.fileno(), connected.close)
