"""How the blocking library is made of the async one: each method's twin runs it in the client's own thread.

So there is one implementation, and a blocking method has the parameters, results and errors of its original.
"""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
R = TypeVar("R")


class Twin:
    """An object of the async library, used from threads without an event loop.

    Args:
        portal: to the thread where the original lives.
        original: the object.
    """

    def __init__(self, portal: BlockingPortal, original: Any) -> None:
        self.portal = portal
        self.original = original

    def __repr__(self) -> str:
        return f"blocking {self.original!r}"


def wait_for(portal: BlockingPortal, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a function of the async library and wait for it.

    Whoever interrupts the waiting thread (Ctrl-C) cancels what it waits for.
    """
    future = portal.start_task_soon(functools.partial(function, *args, **kwargs))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def twin(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """Give the blocking twin of an async method."""

    @functools.wraps(method)
    def call(self: Twin, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return wait_for(self.portal, method, self.original, *args, **kwargs)

    return call
