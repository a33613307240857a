"""What confines the processes of tools on this machine, found out by trying, and said to whoever asks.

    bubblewrap works here → each process in namespaces of its own, as `Confinement` says
    it does not, or is off → the process with the daemon's own rights; `SandboxInfo` says so and why

There is nothing in between: a sandbox that cannot hold what it promises is not used. Imported when the first
session needs to know.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.bubblewrap import Surroundings, mounts
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.execution.sandbox import Command, Unconfined
from holdfast_daemon.execution.seccomp import filter_program
from holdfast_daemon.execution.secret_places import secret_places
from holdfast_protocol.events import SandboxInfo

_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"  # Fixed: the distribution's, which alone may have the rights.
_PROBE_TIMEOUT_S: Final = 5.0
_PROBE: Final = ("/bin/sh", "-c", "while read -r line; do echo $line; done < /proc/self/status")
_HELD: Final = {"NoNewPrivs:": "1", "CapEff:": "0" * 16, "CapBnd:": "0" * 16, "Seccomp:": "2"}
_DETAIL_CHARS_MAX: Final = 300


class Bubblewrap:
    """Bubblewrap, by the distribution's own `bwrap`.

    Args:
        bwrap: the program, absolute.
        prlimit: likewise, for limits that count inside alone.
        settings: what every process may.
        surroundings: what every process does not see.
        points: the daemon's.
    """

    confines = True

    def __init__(
        self,
        bwrap: str,
        prlimit: str,
        settings: SandboxSettings,
        surroundings: Surroundings,
        points: MountPoints,
    ) -> None:
        self._bwrap = bwrap
        self._limits = (prlimit, *_limits(settings), "--")
        self._surroundings = surroundings
        self._points = points
        network = "the machine's network" if settings.network else "no network"
        sockets = ", unix sockets" if settings.unix_sockets else ""
        self.info = SandboxInfo(
            kind="bubblewrap",
            detail=f"Tools change files in the session's directories only; {network}{sockets}.",
        )

    @asynccontextmanager
    async def command(
        self, argv: Sequence[str], cwd: str, confinement: Confinement
    ) -> AsyncGenerator[Command]:
        """Give the command that runs another one confined."""
        look = functools.partial(mounts, confinement, self._surroundings, cwd)
        async with self._points.held(look) as found:
            with self.words(found.words, argv, unix_sockets=confinement.unix_sockets) as command:
                yield command

    @contextmanager
    def words(self, told: Iterable[str], argv: Sequence[str], *, unix_sockets: bool) -> Generator[Command]:
        """Give the command; what `bwrap` is told lies in descriptors, for anybody can read a command line."""
        program = filter_program(unix_sockets=unix_sockets)
        assert program is not None, "probed"
        with _memory_file(program) as filtering:
            told = (*told, "--seccomp", str(filtering))
            with _memory_file(b"\0".join(os.fsencode(word) for word in told)) as telling:
                words = (self._bwrap, "--args", str(telling), "--", *self._limits, *argv)
                yield Command(words, (telling, filtering))

    def failure(self) -> str | None:
        """Try it on a command that looks at itself; give what is wrong. Blocks for some 10 ms."""
        found = mounts(Confinement(), self._surroundings, "/")
        try:
            with self.words(found.words, _PROBE, unix_sockets=False) as command:
                done = subprocess.run(  # noqa: S603 - fixed words, no input of anybody
                    command.words,
                    pass_fds=command.descriptors,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    cwd="/",
                    env={},
                    timeout=_PROBE_TIMEOUT_S,
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap cannot be tried: {error}"
        if done.returncode != 0:
            return f"bubblewrap does not work: {_first_line(done.stderr)}"
        status = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines() if " " in line)
        missing = [name for name, value in _HELD.items() if status.get(name) != value]
        return f"bubblewrap does not hold {' '.join(missing)}" if missing else None


def detect_sandbox(
    settings: SandboxSettings,
    points: MountPoints,
    home: Path,
    environ: Mapping[str, str],
    own: tuple[str, ...] = (),
) -> Bubblewrap | Unconfined:
    """Find out what works here, by running a command in it once. Blocks for some 10 ms.

    Args:
        settings: of the daemon.
        points: of the daemon.
        home: of the user it runs as.
        environ: its own.
        own: the daemon's directories.
    """
    if settings.mode == "off":
        return Unconfined("the sandbox is off (sandbox.mode).")
    if sys.platform != "linux":
        return Unconfined(f"there is no sandbox for {sys.platform} yet.")
    bwrap, prlimit = (shutil.which(name, path=_PATH) for name in ("bwrap", "prlimit"))
    if bwrap is None or prlimit is None:
        return Unconfined(f"{'prlimit' if bwrap else 'bubblewrap'} is not installed.")
    if filter_program(unix_sockets=False) is None:
        return Unconfined("the system call filter does not know this machine's numbers.")
    surroundings = Surroundings(str(home), secret_places(home, environ), own)
    sandbox = Bubblewrap(bwrap, prlimit, settings, surroundings, points)
    failure = sandbox.failure()
    return sandbox if failure is None else Unconfined(f"{failure}.")


def _limits(settings: SandboxSettings) -> tuple[str, ...]:
    return (
        f"--nproc={settings.processes_max}",
        f"--data={settings.memory_bytes_max}",
        f"--fsize={settings.file_bytes_max}",
        "--core=0",
    )


@contextmanager
def _memory_file(data: bytes) -> Generator[int]:
    """Give a descriptor from which the data can be read once."""
    descriptor = os.memfd_create("holdfast")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _first_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[0][:_DETAIL_CHARS_MAX] if lines else "it says nothing"
