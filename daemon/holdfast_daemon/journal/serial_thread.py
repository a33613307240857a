"""A thread that runs calls one after the other, for a resource only one thread may use at a time."""

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Call:
    """One call on its way through the thread, made and awaited on the loop."""

    __slots__ = ("_done", "_loop", "_work", "error", "result")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()  # And no event: each transaction waits for one.
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run on the thread; the outcome, whatever it is, goes back to the caller."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - re-raised in the caller by `wait`
            self.error = error
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._done.done():  # Cancelled: its caller waits no longer.
            self._done.set_result(None)

    async def wait(self) -> Any:
        await self._done
        if self.error is not None:
            raise self.error
        return self.result


class SerialThread:
    """A context manager; leaving it waits for the calls under way.

    Callers bound how many calls wait: the journal has one transaction in flight, readers one page each.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._calls.put(None)
        self._thread.join()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` on the thread; what it raises is raised here.

        Cancelling waits no longer; a call that has begun still ends on the thread.
        """
        call = _Call(partial(function, *args, **kwargs))
        self._calls.put(call)
        return await call.wait()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
