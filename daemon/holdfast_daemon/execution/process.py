"""Runs one child process: bounded, streamed, and gone with all its descendants when the call is over.

Knows nothing of tools, sessions or events. The child gets an empty stdin, the environment it is given and
nothing else, and a session of its own; stdout and stderr are one stream.
"""

import codecs
import ctypes
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import anyio
import anyio.to_thread
from anyio.abc import ByteReceiveStream, Process

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.family import Family
from holdfast_daemon.execution.shims import available_shims

_PR_SET_CHILD_SUBREAPER: Final = 36
_READ_BYTES: Final = 64 * 1024

_log = logging.getLogger(__name__)


class OutputTooLarge(Exception):
    """The child wrote more than `output_read_bytes_max`; it was killed."""


def become_subreaper() -> bool:
    """Make the daemon the parent of its orphaned descendants, so that it can find and reap them.

    Called once at start. Returns whether the system can.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


async def run_process(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    limits: ExecutionLimits,
    output: Callable[[str], Awaitable[None]],
    brand: int | None = None,
    descriptors: Collection[int] = (),
    contains: bool = False,
) -> int:
    """Run a program to its end.

    However this ends, no descendant of the child is left: they get SIGTERM, `grace_s`, SIGKILL. A process
    left in the background when the child exits is ended in the same way. On cancellation the ending is
    shielded and takes at most `grace_s` + `family.KILL_TIMEOUT_S`.

    Args:
        argv: the program, absolute, and its arguments.
        cwd: where it runs, absolute.
        env: its whole environment.
        limits: `grace_s` and `output_read_bytes_max` apply.
        output: gets stdout and stderr as text, bytes that are not UTF-8 as U+FFFD. The child waits for it.
        brand: marks it and all it starts; None: a number of its own.
        descriptors: it inherits these.
        contains: it holds what it starts in a pid namespace, see `Family`.

    Returns:
        The exit code; a negative one is the signal that ended the child.

    Raises:
        OutputTooLarge: it wrote too much.
        OSError: it could not be started; no process is left.
    """
    brand = brand or Brands.of_process().new()
    process, family = await _start(argv, cwd, env, brand, descriptors, contains=contains)
    assert process.stdout is not None
    reader = _OutputReader(process.stdout, output, limits.output_read_bytes_max)
    try:
        return await _follow(process, family, reader, limits.grace_s)
    finally:
        with anyio.CancelScope(shield=True):
            await family.end(limits.grace_s)
            await _close(process)


async def _start(
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    brand: int,
    descriptors: Collection[int],
    *,
    contains: bool,
) -> tuple[Process, Family]:
    shims = await anyio.to_thread.run_sync(available_shims)
    process: Process | None = None
    with anyio.CancelScope(shield=True):  # A child without its family would be nobody's.
        process = await anyio.open_process(
            [*shims.prefix(brand), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )
    assert process is not None
    return process, Family(process.pid, brand if shims.prlimit else None, contains=contains)


async def _follow(process: Process, family: Family, reader: "_OutputReader", grace_s: float) -> int:
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(reader.read)
            await process.wait()
            if not await reader.ended_within(grace_s):
                await family.end(grace_s)  # Someone in the background holds the pipe open.
                reader.give_up_after_silence(grace_s)
    except BaseExceptionGroup as failures:
        raise _sole(failures) from None
    assert process.returncode is not None
    return process.returncode


async def _close(process: Process) -> None:
    if process.returncode is None:
        # Waiting would hang the daemon on a process the kernel does not let die.
        with anyio.move_on_after(1.0):
            await process.wait()
    if process.returncode is None:
        _log.warning("process %d cannot be killed and is left behind", process.pid)
        return
    await process.aclose()


def _sole(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the one exception of a group, or the group: a caller expects what `output` raised."""
    exceptions: tuple[BaseException, ...] = failures.exceptions
    return exceptions[0] if len(exceptions) == 1 else failures


class _OutputReader:
    """Reads a pipe to its end, decodes, hands on."""

    def __init__(
        self, stream: ByteReceiveStream, output: Callable[[str], Awaitable[None]], bytes_max: int
    ) -> None:
        self._stream = stream
        self._output = output
        self._bytes_max = bytes_max
        self._bytes_read = 0
        self._ended = anyio.Event()
        self._silence_s = float("inf")  # How long the pipe may say nothing; finite once the child is dead.
        self._receiving = anyio.CancelScope()  # The wait for the next bytes.

    async def read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := await self._receive():
            self._bytes_read += len(data)
            if self._bytes_read > self._bytes_max:
                raise OutputTooLarge(f"more than {self._bytes_max} bytes of output (output_read_bytes_max)")
            if text := decoder.decode(data):
                await self._output(text)
        if text := decoder.decode(b"", final=True):
            await self._output(text)
        self._ended.set()

    async def ended_within(self, timeout_s: float) -> bool:
        with anyio.move_on_after(timeout_s):
            await self._ended.wait()
        return self._ended.is_set()

    def give_up_after_silence(self, silence_s: float) -> None:
        """End reading when nothing comes for so long: a stranger to the family may hold the pipe."""
        self._silence_s = silence_s
        self._receiving.deadline = anyio.current_time() + silence_s

    async def _receive(self) -> bytes:
        self._receiving = anyio.CancelScope(deadline=anyio.current_time() + self._silence_s)
        with self._receiving:
            try:
                return await self._stream.receive(_READ_BYTES)
            except anyio.EndOfStream:
                return b""
        return b""
