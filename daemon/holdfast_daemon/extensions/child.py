"""A child process that is spoken to: pipes for stdin, stdout and stderr, and an end for all it started.

Beside `execution.process`, whose children only say something. Knows nothing of tools, plugins or protocols.
"""

import contextlib
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import ByteReceiveStream, Process

from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.family import Family
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.execution.shims import available_shims

_READ_BYTES: Final = 64 * 1024
_REAP_TIMEOUT_S: Final = 1.0

_log = logging.getLogger(__name__)


class ChildPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how children run.

    Attributes:
        cwd: absolute.
        env: a child's whole environment.
        confinement: what it may see and change.
        launcher: the daemon's, which must know of all children: it ends those it does not.
        grace_s: between SIGTERM and SIGKILL.
        folders: of plugins; a child is shown the one that is among its words, and no other.
    """

    cwd: str
    env: Mapping[str, str]
    confinement: Confinement = Confinement()
    launcher: Launcher = msgspec.field(default_factory=Launcher)
    grace_s: float = 0.5
    folders: tuple[str, ...] = ()

    def showing(self, *folders: str) -> "ChildPlace":
        """Give the place for a process of one plugin, which sees that plugin's folder and no other's."""
        confinement = msgspec.structs.replace(self.confinement, shown=folders)
        return msgspec.structs.replace(self, confinement=confinement, folders=())


class Child:
    """A running child; made by `start`, ended by `end`, which everyone who starts one must call."""

    def __init__(self, process: Process, family: Family, grace_s: float, started: AsyncExitStack) -> None:
        self._process = process
        self._family = family
        self._grace_s = grace_s
        self._started = started
        self._own: frozenset[int] = frozenset()  # The pids that belong to it while it is at rest.

    @classmethod
    async def start(cls, argv: tuple[str, ...], place: ChildPlace) -> "Child":
        """Start a program.

        Args:
            argv: the program, absolute, and its arguments.
            place: where it runs.

        Raises:
            OSError: it could not be started; nothing is left.
            ValueError: an argument has a NUL.
        """
        if place.folders:
            place = place.showing(*(folder for folder in place.folders if folder in argv))
        shims = await anyio.to_thread.run_sync(available_shims)
        async with AsyncExitStack() as stack:
            try:
                start = await stack.enter_async_context(
                    place.launcher.started(argv, place.cwd, place.confinement)
                )
            except NotConfined as error:
                raise PermissionError(errno.EPERM, f"it would not be confined: {error}") from error
            process: Process | None = None
            with anyio.CancelScope(shield=True):  # A child without its family would be nobody's.
                process = await anyio.open_process(
                    [*shims.prefix(start.brand), *start.words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=start.cwd,
                    env=dict(place.env),
                    start_new_session=True,
                    pass_fds=start.descriptors,
                )
            assert process is not None
            family = Family(process.pid, start.brand if shims.prlimit else None, contains=start.contains)
            return cls(process, family, place.grace_s, stack.pop_all())
        raise AssertionError("a context of ours swallowed an error")

    @property
    def pid(self) -> int:
        """The leader's pid; the child's own unless it is confined."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def send(self, data: bytes) -> None:
        """Write to its stdin; waits for the child to read.

        Raises:
            BrokenPipeError: it does not read any more.
        """
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise BrokenPipeError("the process does not read its input any more") from error

    async def close_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._process.stdin.aclose()

    async def receive(self) -> bytes:
        """Give the next bytes of its stdout; none at the end."""
        return await _received(self._process.stdout)

    async def receive_error(self) -> bytes:
        """Give the next bytes of its stderr; none at the end."""
        return await _received(self._process.stderr)

    async def exited(self) -> None:
        """Wait until the leader has exited, whoever holds its pipes."""
        if sys.platform != "linux":
            await self._process.wait()
            return
        if self._process.returncode is not None:
            return
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except ProcessLookupError:  # Reaped; its code is on the way.
            return
        try:
            await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)

    async def settle(self) -> None:
        """Take the processes there are now for its own; see `left_behind`."""
        self._own = await self._pids()

    async def left_behind(self) -> bool:
        """Tell whether it started processes since `settle` that still live."""
        return not await self._pids() <= self._own

    async def end(self) -> None:
        """End it and all its descendants; may be called again. Shielded; bounded as `Family.end`."""
        with anyio.CancelScope(shield=True):
            await self._family.end(self._grace_s)
            await self._started.aclose()
            if self._process.returncode is None:
                with anyio.move_on_after(_REAP_TIMEOUT_S):
                    await self._process.wait()
            if self._process.returncode is None:
                _log.warning("process %d cannot be killed and is left behind", self._process.pid)
                return
            with contextlib.suppress(anyio.BrokenResourceError, OSError):
                await self._process.aclose()

    async def _pids(self) -> frozenset[int]:
        if sys.platform != "linux":
            return frozenset()
        try:
            members = await anyio.to_thread.run_sync(self._family.members)
        except OSError:
            return frozenset({-1})  # Unknown is not "none".
        return frozenset(member.pid for member in members)


class TooLong(Exception):
    """A line is longer than the reader takes."""


class LineReader:
    """Cuts what a child writes into lines.

    Args:
        receive: gives bytes, none at the end.
        line_bytes_max: the longest line.
    """

    def __init__(self, receive: Callable[[], Awaitable[bytes]], line_bytes_max: int) -> None:
        self._receive = receive
        self._line_bytes_max = line_bytes_max
        self._buffer = bytearray()
        self._searched = 0  # No newline before this place of the buffer.

    async def line(self) -> bytes | None:
        """Give the next line without its end; None at the end, whose unfinished line is dropped.

        Raises:
            TooLong: it is too long; the reader is of no use any more.
        """
        while (at := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > self._line_bytes_max:
                raise TooLong(f"a line of more than {self._line_bytes_max} bytes")
            data = await self._receive()
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        self._searched = 0
        if len(line) > self._line_bytes_max:
            raise TooLong(f"a line of more than {self._line_bytes_max} bytes")
        return line


async def _received(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    try:
        return await stream.receive(_READ_BYTES)
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        return b""
