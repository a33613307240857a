"""Worker processes for plugins' functions: started when needed, used again, killed with all they started.

A worker serves one call at a time. One that was cancelled, failed, printed too much, answered nonsense, or
left threads or processes behind is not used again. Knows nothing of tools.
"""

import codecs
import secrets
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import anyio
import msgspec

from holdfast_daemon.extensions.child import Child, ChildPlace, LineReader, TooLong

ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""A worker cuts results at a megabyte of characters; no JSON of it is longer."""

SKILL_WORKER: Final = "holdfast_daemon.extensions.skill_worker"
_LAST_WORDS_S: Final = 0.2  # For what a dead worker wrote, if someone else holds its pipe.

Output = Callable[[str], Awaitable[None]]
"""Takes what a function prints; may wait."""


def python(module: str, *words: str) -> tuple[str, ...]:
    """Give the command that runs a module of ours as a process for foreign code."""
    return (sys.executable, "-P", "-B", "-u", "-X", "utf8", "-m", module, *words)


class WorkerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one pool.

    Attributes:
        workers_max: processes, busy or idle.
        idle_s: how long an idle one is kept.
        start_timeout_s: for a worker to be ready.
        output_bytes_max: what one call may print.
    """

    workers_max: int = 4
    idle_s: float = 60.0
    start_timeout_s: float = 10.0
    output_bytes_max: int = 16 * 1024 * 1024


class WorkerFailure(Exception):
    """A call was not answered as it should be; the message says why. The worker is gone.

    Args:
        message: a sentence.
        kind: `tool_failed`, or `output_too_large`.
    """

    def __init__(self, message: str, kind: str = "tool_failed") -> None:
        super().__init__(message)
        self.kind = kind


class PoolStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How full a pool is."""

    busy: int
    idle: int
    workers_max: int


class _Worker:
    """One process."""

    def __init__(self, folder: str, child: Child, limits: WorkerLimits) -> None:
        self.folder = folder
        self.idle_since = 0.0
        self._child = child
        self._limits = limits
        self._answers = LineReader(child.receive, ANSWER_BYTES_MAX)

    async def greet(self) -> None:
        """Wait until it is ready.

        Raises:
            WorkerFailure: it did not come up.
        """
        with anyio.move_on_after(self._limits.start_timeout_s):
            line = await self._answers.line()
            if line is not None:
                await self._child.settle()
                return
        error = (await self._child.receive_error())[-2048:].decode("utf-8", "replace") if self.dead else ""
        raise WorkerFailure(f"the worker process did not start {error}".strip())

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self._child.exit_code is not None

    async def ask(self, request: dict[str, Any], output: Output) -> dict[str, Any]:
        """Put a request; give the answer.

        Raises:
            WorkerFailure: there is none, or it makes no sense.
        """
        mark = f"\x1e{secrets.token_hex(16)}\n"
        printed = _Printed(self._child, mark.encode(), output, self._limits.output_bytes_max)
        answer: dict[str, Any] | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, group.cancel_scope)
                group.start_soon(printed.read)
                answer = await self._exchange({**request, "mark": mark})
                await printed.ended.wait()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            raise _sole(failures) from None
        if answer is None:
            raise WorkerFailure(f"the function ended its process{_code(self._child.exit_code)}")
        return answer

    async def clean(self, answer: dict[str, Any]) -> bool:
        """Tell whether it may be used again."""
        return not self.dead and not answer.get("threads") and not await self._child.left_behind()

    async def end(self) -> None:
        """End it and all it started."""
        await self._child.end()

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            await self._child.send(msgspec.json.encode(request) + b"\n")
            line = await self._answers.line()
            if line is None:
                await anyio.sleep_forever()  # It is dying; `_watch` sees its end.
            return msgspec.json.decode(line or b"", type=dict[str, Any])
        except BrokenPipeError:
            await anyio.sleep_forever()
            raise
        except (TooLong, msgspec.MsgspecError, UnicodeError) as error:
            raise WorkerFailure(f"the worker's answer makes no sense: {error}") from error

    async def _watch(self, scope: anyio.CancelScope) -> None:
        await self._child.exited()
        await anyio.sleep(_LAST_WORDS_S)
        scope.cancel()


class _Printed:
    """What one call prints: passed on until the mark."""

    def __init__(self, child: Child, mark: bytes, output: Output, bytes_max: int) -> None:
        self._child = child
        self._mark = mark
        self._output = output
        self._room = bytes_max
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.ended = anyio.Event()

    async def read(self) -> None:
        kept = b""  # May be the beginning of the mark.
        while data := await self._child.receive_error():
            kept += data
            before, mark, _ = kept.partition(self._mark)
            if mark:
                await self._give(before, final=True)
                self.ended.set()
                return
            at = kept.rfind(self._mark[:1], max(0, len(kept) - len(self._mark)))
            ready = len(kept) if at < 0 else at
            await self._give(kept[:ready])
            kept = kept[ready:]
        await self._give(kept, final=True)
        self.ended.set()

    async def _give(self, data: bytes, *, final: bool = False) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise WorkerFailure("the function printed too much and was stopped", kind="output_too_large")
        if text := self._decoder.decode(data, final=final):
            await self._output(text)


class WorkerPool:
    """The workers of one session, in one place; an async context manager whose end ends them all.

    Args:
        place: where they run; each sees the folder of its own plugin alone.
        limits: see `WorkerLimits`.
        module: what its processes run; speaks as `skill_worker` does.
    """

    def __init__(
        self, place: ChildPlace, limits: WorkerLimits | None = None, module: str = SKILL_WORKER
    ) -> None:
        self._place = place
        self._module = module
        self._limits = limits or WorkerLimits()
        self._turns = anyio.CapacityLimiter(self._limits.workers_max)
        self._idle: list[_Worker] = []  # The one idle for longest comes first.
        self._busy = 0
        self._changed = anyio.Event()  # Set when a worker becomes idle.
        self._retired = 0  # Counts calls of `retire`; a worker taken before is not used again.
        self._group = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._group.start_soon(self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(None, None, None)  # It would wrap the caller's error in a group.
        finally:
            await self.retire()

    def statistics(self) -> PoolStatistics:
        """Give how many workers there are."""
        return PoolStatistics(busy=self._busy, idle=len(self._idle), workers_max=self._limits.workers_max)

    async def ask(self, folder: str, request: dict[str, Any], output: Output) -> dict[str, Any]:
        """Have a worker answer; waits for a turn. A cancellation goes on once the worker is gone.

        Args:
            folder: the plugin's, absolute; modules are looked for there.
            request: see `skill_worker`.
            output: gets what is printed.

        Raises:
            WorkerFailure: no answer, or none that makes sense.
        """
        borrower = object()
        await self._turns.acquire_on_behalf_of(borrower)
        self._busy += 1
        try:
            return await self._ask(folder, request, output)
        finally:
            self._busy -= 1
            self._turns.release_on_behalf_of(borrower)

    async def retire(self) -> None:
        """End idle workers, and busy ones after their call: the code they loaded is old."""
        self._retired += 1
        while self._idle:
            await self._idle.pop().end()

    async def _ask(self, folder: str, request: dict[str, Any], output: Output) -> dict[str, Any]:
        worker = await self._take(folder)
        retired = self._retired
        reusable = False
        try:
            answer = await worker.ask(request, output)
            reusable = await worker.clean(answer) and retired == self._retired
        finally:
            if reusable:
                worker.idle_since = anyio.current_time()
                self._idle.append(worker)
                self._changed.set()
            else:
                await worker.end()
        return answer

    async def _take(self, folder: str) -> _Worker:
        for at in range(len(self._idle) - 1, -1, -1):
            if self._idle[at].folder == folder:
                worker = self._idle.pop(at)
                if not worker.dead:
                    return worker
                await worker.end()
        while self._idle and len(self._idle) + self._busy > self._limits.workers_max:
            await self._idle.pop(0).end()
        return await self._start(folder)

    async def _start(self, folder: str) -> _Worker:
        try:
            child = await Child.start(python(self._module, folder), self._place.showing(folder))
        except OSError as error:
            raise WorkerFailure(f"the worker process did not start: {error.strerror}") from error
        worker = _Worker(folder, child, self._limits)
        try:
            await worker.greet()
        except BaseException:
            await worker.end()
            raise
        return worker

    async def _expire(self) -> None:
        while True:
            if not self._idle:
                self._changed = anyio.Event()
                await self._changed.wait()
                continue
            oldest = self._idle[0]
            await anyio.sleep_until(oldest.idle_since + self._limits.idle_s)
            if self._idle and self._idle[0] is oldest:
                await self._idle.pop(0).end()


def _code(exit_code: int | None) -> str:
    if exit_code is None:
        return ""
    return f" (exit code {exit_code})" if exit_code >= 0 else f" (signal {-exit_code})"


def _sole(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    exceptions: tuple[BaseException, ...] = failures.exceptions
    return exceptions[0] if len(exceptions) == 1 else failures
