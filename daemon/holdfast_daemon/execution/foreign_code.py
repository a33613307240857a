"""Code that is not ours, run as a part of a tool call: nothing it lets out may end more than that call."""

import asyncio
import math

import anyio


def is_cancelled(error: BaseException) -> bool:
    """Tell whether an exception is a cancellation of the task we are in.

    A cancellation that foreign code let out, because something it waited for was cancelled, looks the same; a
    task group would take it for its own, and end without a word.
    """
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return False
    task = asyncio.current_task()
    return anyio.current_effective_deadline() == -math.inf or (task is not None and task.cancelling() > 0)
