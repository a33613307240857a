"""Starts the processes of tools: confined as far as this machine can, marked as this daemon's, and ended.

One for the daemon. Knows nothing of tools or sessions.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from holdfast_daemon.config import ExecutionLimits, SandboxSettings
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.leftovers import end_strayed
from holdfast_daemon.execution.process import run_process
from holdfast_daemon.execution.sandbox import Sandbox, Unconfined
from holdfast_protocol.events import SandboxInfo


class NotConfined(Exception):
    """The settings require a sandbox and there is none; the message says why."""


class LauncherStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many processes run."""

    running: int


class Start(NamedTuple):
    """How a process that is spoken to is to be started.

    Attributes:
        words: the program and its arguments, with whatever confines it.
        cwd: where `words` start.
        brand: marks the process and all it starts.
        descriptors: it inherits these.
        contains: it holds what it starts in a pid namespace, see `Family`.
    """

    words: tuple[str, ...]
    cwd: str
    brand: int
    descriptors: tuple[int, ...]
    contains: bool


class Launcher:
    """All processes that tools started and that still run.

    Args:
        sandbox: what confines them, or how to find it out when it is first needed; that may block.
        brands: the daemon's.
        settings: of the sandbox.
    """

    def __init__(
        self,
        sandbox: Sandbox | Callable[[], Sandbox] | None = None,
        brands: Brands | None = None,
        settings: SandboxSettings | None = None,
    ) -> None:
        self._detect = sandbox if callable(sandbox) else None
        self._found = None if callable(sandbox) else sandbox or Unconfined("no sandbox was asked for.")
        self._detecting = anyio.Lock()
        self._brands = brands or Brands.of_process()
        self._settings = settings or SandboxSettings()
        self._running: Counter[int] = Counter()  # By brand; read from a thread, replaced as a whole.
        self._lasting: Counter[int] = Counter()  # Of processes that outlive calls; likewise.

    async def ready(self) -> Sandbox:
        """Find out what confines the processes, once; nothing of it is known before."""
        if self._found is None:
            async with self._detecting:
                if self._found is None and self._detect is not None:
                    self._found = await anyio.to_thread.run_sync(self._detect)
        assert self._found is not None
        return self._found

    @property
    def sandbox(self) -> SandboxInfo:
        """What confines the processes, for `session_started`; after `ready`."""
        assert self._found is not None
        return self._found.info

    @property
    def confines(self) -> bool:
        """Whether a command may run without a question, see `gate`; after `ready`."""
        assert self._found is not None
        return self._found.confines

    def statistics(self) -> LauncherStatistics:
        """Give how many processes run."""
        return LauncherStatistics(running=self._running.total())

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        limits: ExecutionLimits,
        output: Callable[[str], Awaitable[None]],
        confinement: Confinement,
    ) -> int:
        """Run a program to its end, confined; see `run_process`.

        Args:
            argv: the program, absolute, and its arguments.
            cwd: where it runs, absolute; it must be visible in the confinement.
            env: its whole environment.
            limits: see `run_process`.
            output: see `run_process`.
            confinement: what it may; settings may allow more.

        Returns:
            The exit code. A sandbox gives 128 + N for a program that signal N ended, as shells do.

        Raises:
            NotConfined: the settings require a sandbox.
            OutputTooLarge: it wrote too much.
            OSError: it could not be started.
        """
        sandbox = await self.ready()
        confines = sandbox.confines
        if self._settings.mode == "require" and not confines:
            raise NotConfined(self.sandbox.detail or "there is no sandbox")
        brand = self._brands.new()
        async with (
            self._counted(brand),
            sandbox.command(argv, cwd, self._allowed(confinement)) as command,
        ):
            await anyio.to_thread.run_sync(_check_directory, cwd)
            return await run_process(
                command.words,
                cwd="/" if confines else cwd,
                env=env,
                limits=limits,
                output=output,
                brand=brand,
                descriptors=command.descriptors,
                contains=confines,
            )

    @asynccontextmanager
    async def started(self, argv: Sequence[str], cwd: str, confinement: Confinement) -> AsyncGenerator[Start]:
        """Say how to start a process that is spoken to and may outlive calls; whoever starts it ends it.

        The context is left when the process has ended, by whatever task.

        Raises:
            NotConfined: the settings require a sandbox.
            OSError: the directory is not there.
        """
        sandbox = await self.ready()
        confines = sandbox.confines
        if self._settings.mode == "require" and not confines:
            raise NotConfined(self.sandbox.detail or "there is no sandbox")
        brand = self._brands.new()
        async with sandbox.command(argv, cwd, self._allowed(confinement)) as command:
            await anyio.to_thread.run_sync(_check_directory, cwd)
            self._lasting[brand] += 1
            try:
                yield Start(command.words, "/" if confines else cwd, brand, command.descriptors, confines)
            finally:
                del self._lasting[brand]

    @asynccontextmanager
    async def _counted(self, brand: int) -> AsyncGenerator[None]:
        self._running[brand] += 1
        try:
            yield
        finally:
            del self._running[brand]
            if not self._running:
                with anyio.CancelScope(shield=True):
                    await end_strayed(
                        lambda: frozenset(self._running.copy()) | frozenset(self._lasting.copy())
                    )

    def _allowed(self, confinement: Confinement) -> Confinement:
        settings = self._settings
        return msgspec.structs.replace(
            confinement,
            network=confinement.network or settings.network,
            unix_sockets=confinement.unix_sockets or settings.unix_sockets,
        )


def _check_directory(path: str) -> None:
    """Raise what starting there would, before a sandbox says it in its own words."""
    if not Path(path).is_dir():
        raise FileNotFoundError(2, "No such directory", path)
