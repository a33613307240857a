"""Functions of the program, called by the library: what they let out is theirs, a stray cancellation too."""

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio


class StrayCancellation(RuntimeError):
    """A function of the program was cancelled from within: something it waited for was."""


@contextmanager
def foreign_code() -> Generator[None]:
    """Run a function of the program.

    Raises:
        StrayCancellation: it let a cancellation out that is not ours; a task group would take it for its own
            and end the whole client without a word.
    """
    try:
        yield
    except anyio.get_cancelled_exc_class() as error:
        if anyio.current_effective_deadline() == -math.inf or _task_is_cancelled():
            raise
        raise StrayCancellation("The function was cancelled from within.") from error


def _task_is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # Trio: there, only scopes cancel.
        return False
    return task is not None and task.cancelling() > 0
