"""Iterating from a thread what the async library iterates: fetched in pieces, given one by one."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from holdfast_client.blocking.twin import Twin, wait_for

T = TypeVar("T")


class Pieces(Twin, Generic[T]):
    """Anything of the async library with `receive_some`. Iterate it; one thread at a time."""

    def __init__(self, portal: BlockingPortal, original: Any) -> None:
        super().__init__(portal, original)
        # What was fetched and not given. The thread of the original puts it here, so that an interrupted
        # wait loses nothing.
        self._ready: deque[T] = deque()

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
            TimeoutError: none came within `timeout_s`; nothing is lost by that.
        """
        if not self._ready:
            wait_for(self.portal, self._fetch, timeout_s)
        return self._ready.popleft() if self._ready else None

    async def _fetch(self, timeout_s: float | None) -> None:
        with anyio.fail_after(timeout_s):
            self._ready.extend(await self.original.receive_some())


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
