"""Listening sockets and an accept loop that survives running out of descriptors."""

import asyncio
import errno
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from holdfast_protocol.discovery import SUN_PATH_BYTES_MAX

_logger = logging.getLogger(__name__)

_BACKLOG: Final = 256
_RETRY_S: Final = 0.1

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

LOOPBACK: Final = "127.0.0.1"


class BindError(Exception):
    """A socket cannot be made; the message says which and why."""


def listen_unix(path: str) -> socket.socket:
    """Listen on a unix socket, 0600, in a directory that is ours alone. A stale socket is replaced.

    Raises:
        BindError: the path is too long, or cannot be bound.
    """
    if len(os.fsencode(path)) > SUN_PATH_BYTES_MAX:
        raise BindError(
            f"{path} is longer than {SUN_PATH_BYTES_MAX} bytes, which the kernel does not take for a socket."
            " Set HOLDFAST_HOME or --runtime to a shorter directory."
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(path).unlink(missing_ok=True)  # We hold the state lock: nobody serves there.
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BindError(f"Cannot listen on {path}: {error.strerror}") from error
    return listener


def listen_tcp(port: int) -> socket.socket:
    """Listen on loopback; 0 takes any free port.

    Raises:
        BindError: the port cannot be bound.
    """
    # With the protocol named: asyncio turns Nagle's delay off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BindError(f"Cannot listen on {LOOPBACK}:{port}: {error.strerror}") from error
    return listener


def is_same_user(connected: socket.socket) -> bool:
    """Tell whether the process at the other end of a unix socket is ours, where the kernel says so."""
    if connected.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return uid in (os.getuid(), 0)


class Listener:
    """Accepts connections of one listening socket until cancelled.

    Args:
        listening: non-blocking.
        admit: called with each connected, non-blocking socket; owns it from then on; must not wait.
    """

    def __init__(self, listening: socket.socket, admit: Callable[[socket.socket], None]) -> None:
        self._listening = listening
        self._admit = admit
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None  # Set while it serves.
        self._spare: int | None = _spare_descriptor()

    async def serve(self) -> None:
        """Accept; a lack of descriptors is waited out, and refused politely meanwhile."""
        self._loop = loop = asyncio.get_running_loop()
        try:
            while not self._closed:
                try:
                    connected, _address = await loop.sock_accept(self._listening)
                except OSError as error:
                    await self._survive(error)
                else:
                    if self._closed:  # In between, and whoever was admitted was let go of.
                        connected.close()
                        return
                    connected.setblocking(False)
                    self._admit(connected)
                    await checkpoint()  # While many knock, accepting never waits: the others get their turn.
        finally:
            self.close()

    def accept_waiting(self) -> int:
        """Accept whoever is in the backlog now; give how many."""
        count = 0
        while True:
            try:
                connected, _address = self._listening.accept()
            except OSError:
                return count
            connected.setblocking(False)
            self._admit(connected)
            count += 1

    def close(self) -> None:
        """Stop listening."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None:  # Else the loop would take the next file of this number for the listener.
            self._loop.remove_reader(self._listening)
        self._listening.close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    async def _survive(self, error: OSError) -> None:
        if error.errno not in _OUT_OF_RESOURCES:
            if error.errno not in (errno.ECONNABORTED, errno.EPROTO, errno.EINTR):
                raise error
            return
        _logger.warning("cannot accept: %s", error.strerror)
        self._refuse_one()
        await anyio.sleep(_RETRY_S)

    def _refuse_one(self) -> None:
        """Spend the spare descriptor to close one waiting connection, so that its client learns of it."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        try:
            refused, _address = self._listening.accept()
            refused.close()
        except OSError:
            pass
        try:
            self._spare = _spare_descriptor()
        except OSError:
            self._spare = None  # Taken by another thread; the next round tries again.


def _spare_descriptor() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
