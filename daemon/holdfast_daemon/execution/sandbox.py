"""What a way to confine processes is, and the one that confines none.

Knows nothing of sessions; how a process is run and ended is `launcher`'s and `process`'s.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from holdfast_daemon.execution.confinement import Confinement
from holdfast_protocol.events import SandboxInfo


class Command(NamedTuple):
    """A program to start.

    Attributes:
        words: it and its arguments.
        descriptors: it inherits these; they stay open until the context that gave them is left.
    """

    words: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


class Sandbox(Protocol):
    """A way to confine processes."""

    info: SandboxInfo
    confines: bool
    """Whether it does what `Confinement` says; if not, a command needs somebody's consent each time."""

    def command(
        self, argv: Sequence[str], cwd: str, confinement: Confinement
    ) -> AbstractAsyncContextManager[Command]:
        """Give the command that runs another one confined. The context is left when it has ended."""
        ...


class Unconfined:
    """No sandbox.

    Args:
        reason: why, for people.
    """

    confines = False

    def __init__(self, reason: str) -> None:
        self.info = SandboxInfo(kind="none", detail=f"Tools run with the daemon's own rights: {reason}")

    @asynccontextmanager
    async def command(
        self, argv: Sequence[str], cwd: str, confinement: Confinement
    ) -> AsyncGenerator[Command]:
        """Give the command as it is."""
        del cwd, confinement
        yield Command(tuple(argv))
