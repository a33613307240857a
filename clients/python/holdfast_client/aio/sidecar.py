"""A private daemon: a child process spoken to over its stdin and stdout. Knows no messages.

The child ends when its stdin does, however this process ends. It has a state directory of its own, locked for
as long as it lives, so a new one is started only when the old one is gone.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, Process

from holdfast_client.aio.routes import Dialled, Shared
from holdfast_client.errors import DaemonNotRunning, DaemonUnreachable
from holdfast_client.shell import exit_codes, spawn

END_TIMEOUT_S: Final = 15.0
"""After its stdin ended a daemon interrupts its runs and writes that down; then it is killed."""

_COMPLAINT_BYTES_MAX: Final = 16 * 1024


class Sidecar:
    """A daemon of this program's own. Implements `Route`.

    Args:
        state: its state directory, made if need be; None: a temporary one, removed with the route.
        program: the path of `holdfastd`; None: it is looked for as the command does.
        arguments: further arguments for it.
        environ: its environment; None: this process's.
    """

    may_start = True
    start_after_s = 0.0

    def __init__(
        self,
        state: "str | os.PathLike[str] | None" = None,
        *,
        program: str | None = None,
        arguments: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if state is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="holdfast-")
            state = self._temporary.name
        self._state = str(Path(state).absolute())
        self._program = program
        self._arguments = arguments
        self._environ = environ
        self._child: Child | None = None

    async def dial(self, *, start: bool) -> Dialled:
        """See `Route`."""
        if not start:
            raise DaemonNotRunning("The sidecar has ended.")
        if self._child is not None:
            await self._child.aclose()  # It holds the state directory.
        command = [self._find(), "--stdio", "--state", self._state, *self._arguments]
        try:
            process = await anyio.open_process(
                command, stderr=subprocess.PIPE, env=self._environ, start_new_session=True
            )
        except OSError as error:
            raise DaemonUnreachable(f"Cannot execute {command[0]}: {error.strerror}") from error
        self._child = Child(process)
        return Dialled(self._child, None)

    async def aclose(self) -> None:
        """See `Route`."""
        if self._child is not None:
            await self._child.aclose()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _find(self) -> str:
        if self._program is not None:
            return self._program
        try:
            return spawn.find_daemon(self._environ or os.environ)
        except exit_codes.Unreachable as error:
            raise DaemonUnreachable(error.message) from error


class Auto:
    """The shared daemon if one runs when the first stream is wanted, else a sidecar; then always that one."""

    def __init__(self, shared: Shared, sidecar: Callable[[], Sidecar]) -> None:
        self._shared = shared
        self._make_sidecar = sidecar
        self._chosen: Shared | Sidecar | None = None

    @property
    def may_start(self) -> bool:
        """See `Route`."""
        return self._chosen is None or self._chosen.may_start

    @property
    def start_after_s(self) -> float:
        """See `Route`."""
        return 0.0 if self._chosen is None else self._chosen.start_after_s

    async def dial(self, *, start: bool) -> Dialled:
        """See `Route`."""
        if self._chosen is None and start:
            self._chosen = self._make_sidecar()
        if self._chosen is not None:
            return await self._chosen.dial(start=start)
        dialled = await self._shared.dial(start=False)
        self._chosen = self._shared
        return dialled

    async def aclose(self) -> None:
        """See `Route`."""
        if self._chosen is not None:
            await self._chosen.aclose()


class Child(ByteStream):
    """A child's stdin and stdout as one stream; closing it ends the child.

    What it writes to stderr is read all the time, so that it never waits for us; the end of it is kept, for
    the error if it cannot start.
    """

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin: ByteSendStream = process.stdin
        self._stdout: ByteReceiveStream = process.stdout
        self._stderr: ByteReceiveStream = process.stderr
        self._complaint = b""
        self._closed = False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """See `ByteStream`."""
        return await self._stdout.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """See `ByteStream`."""
        await self._stdin.send(item)

    async def send_eof(self) -> None:
        """See `ByteStream`."""
        await self._stdin.aclose()

    async def listen_to_complaints(self) -> None:
        """Read stderr until it ends."""
        try:
            async for chunk in self._stderr:
                self._complaint = (self._complaint + chunk)[-_COMPLAINT_BYTES_MAX:]
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass

    async def explain_end(self) -> str:
        """Say how the child ended, with its own last words."""
        with anyio.move_on_after(END_TIMEOUT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.listen_to_complaints)
                await self._process.wait()
        words = self._complaint.decode("utf-8", "replace").strip()
        return f"holdfastd ended with status {self._process.returncode}" + (f": {words}" if words else ".")

    async def aclose(self) -> None:
        """End the child: its stdin, then, if it does not end in time, itself. Never leaves it behind."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self._stdin.aclose()
            with anyio.move_on_after(END_TIMEOUT_S):
                await self._drain_and_wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            await self._stdout.aclose()
            await self._stderr.aclose()

    async def _drain_and_wait(self) -> None:
        """Wait for its end, reading what it still writes: it must not wait for us."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.listen_to_complaints)
            tasks.start_soon(self._drain)
            await self._process.wait()
            tasks.cancel_scope.cancel()

    async def _drain(self) -> None:
        try:
            async for _chunk in self._stdout:
                pass
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass
