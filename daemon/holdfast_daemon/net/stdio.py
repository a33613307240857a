"""One connection over the daemon's own stdin and stdout, for a program that embeds it as a child.

Descriptors 0 and 1 are moved away first: 0 then reads nothing and 1 is stderr, so that no stray print or
child process can write into the protocol.
"""

import asyncio
import os
import stat
from typing import Any

from holdfast_daemon.config import NetLimits
from holdfast_daemon.net.peer import Peer


class StdioError(Exception):
    """Stdin or stdout is nothing a client can be on the other side of."""


def take_stdio() -> tuple[int, int]:
    """Give private copies of stdin and stdout, and close the door behind them.

    Raises:
        StdioError: one is closed, or a plain file.
    """
    for descriptor, name in ((0, "stdin"), (1, "stdout")):
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:
            raise StdioError(f"{name} is closed") from None
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
            raise StdioError(f"{name} is neither a pipe, a socket nor a terminal")
    reading, writing = os.dup(0), os.dup(1)
    os.set_inheritable(reading, False)
    os.set_inheritable(writing, False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return reading, writing


class _WriteSide(asyncio.BaseProtocol):
    """Passes the write pipe's back-pressure on."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def pause_writing(self) -> None:
        self._peer.pause_writing()

    def resume_writing(self) -> None:
        self._peer.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """All is written, or nobody takes it any more: the connection is over."""
        self._peer.abort()
        self._peer.connection_lost(exc)


class PipePair:
    """Two pipe transports as one. Implements `Transport`."""

    def __init__(self, reading: asyncio.ReadTransport, writing: asyncio.WriteTransport) -> None:
        self._reading = reading
        self._writing = writing

    def write(self, data: bytes) -> None:
        """See `Transport`."""
        if not self._writing.is_closing():
            self._writing.write(data)

    def get_write_buffer_size(self) -> int:
        """See `Transport`."""
        return self._writing.get_write_buffer_size()

    def pause_reading(self) -> None:
        """See `Transport`."""
        self._reading.pause_reading()

    def resume_reading(self) -> None:
        """See `Transport`."""
        self._reading.resume_reading()

    def close(self) -> None:
        """See `Transport`."""
        self._writing.close()
        self._reading.close()

    def abort(self) -> None:
        """See `Transport`."""
        if not self._writing.is_closing() or self._writing.get_write_buffer_size():
            self._writing.abort()  # Else its end is under way, and asyncio would close it twice.
        self._reading.close()


class _ReadSide(asyncio.Protocol):
    """Hands what is read to the peer; the peer's transport is the pair."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        del transport  # The peer is told of the pair, once both sides stand.

    def data_received(self, data: bytes) -> None:
        self._peer.data_received(data)

    def eof_received(self) -> None:
        """The parent sends no more: the connection ends when its last calls are answered."""
        if not self._peer.eof_received():
            self._peer.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._peer.abort()


async def serve_stdio(peer: Peer, descriptors: tuple[int, int], limits: NetLimits) -> None:
    """Connect a peer to the descriptors `take_stdio` gave; returns when it is served.

    Raises:
        ValueError: a descriptor is neither pipe, socket nor terminal.
    """
    loop = asyncio.get_running_loop()
    reading, writing = descriptors
    write_transport, _ = await loop.connect_write_pipe(
        lambda: _WriteSide(peer), os.fdopen(writing, "wb", buffering=0)
    )
    write_transport.set_write_buffer_limits(high=limits.send_high_water_bytes)
    read_transport, _ = await loop.connect_read_pipe(
        lambda: _ReadSide(peer), os.fdopen(reading, "rb", buffering=0)
    )
    # No byte was read yet: the loop reads pipes only after this callback returns to it.
    pair: Any = PipePair(read_transport, write_transport)
    peer.connection_made(pair)
