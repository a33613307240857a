"""Iterating from a thread what the async library iterates: fetched in pieces, given one by one."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, Generic, Self, TypeVar

from anyio.from_thread import BlockingPortal

from holdfast_client.blocking.twin import Twin, wait_for

T = TypeVar("T")
R = TypeVar("R")


class Pieces(Twin, Generic[T]):
    """Anything of the async library with `receive_some`. Iterate it; one thread at a time."""

    def __init__(self, portal: BlockingPortal, original: Any) -> None:
        super().__init__(portal, original)
        # What was fetched and not given. The thread of the original puts it here, so that an interrupted
        # wait loses nothing.
        self._ready: deque[T] = deque()
        self._fetching: Future[int] | None = None  # Outlives a wait that was not long enough for it.

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = self.receive()
        if item is None:
            raise StopIteration
        return item

    def receive(self, timeout_s: float | None = None) -> T | None:
        """Wait for the next one; None at the end.

        Raises:
            TimeoutError: none came within `timeout_s`; nothing is lost by that, nor has to begin again.
        """
        while not self._ready and self._wait(timeout_s):
            pass  # What was fetched meanwhile has been given.
        return self._ready.popleft() if self._ready else None

    def _wait(self, timeout_s: float | None) -> int:
        """Wait for what is being fetched; give how much it was, none at the end."""
        fetching = self._fetching or self.portal.start_task_soon(self._fetch)
        self._fetching = fetching
        try:
            wait((fetching,), timeout_s)
        except BaseException:  # Ctrl-C.
            fetching.cancel()
            self._fetching = None
            raise
        if not fetching.done():
            raise TimeoutError(f"Nothing came within {timeout_s} s.")
        self._fetching = None
        return fetching.result()

    async def _fetch(self) -> int:
        pieces = await self.original.receive_some()
        self._ready.extend(pieces)
        return len(pieces)

    def _look(self, read: Callable[[], R]) -> R:
        """Read what belongs to the thread of the original, which may be fetching."""
        if self._fetching is None or self._fetching.done():
            return read()
        return self.portal.call(read)


def each(portal: BlockingPortal, make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """Iterate an async iterator, one item at a time."""
    found: list[T] = []

    async def step(iterator: AsyncIterator[T]) -> None:
        async for item in iterator:
            found.append(item)
            return

    iterator = make()
    while True:
        wait_for(portal, step, iterator)
        if not found:
            return
        yield found.pop()
