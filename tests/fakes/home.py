"""Where a daemon under test lives: a directory of its own for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_IN_MEMORY: Final = Path("/dev/shm")
_FREE_BYTES_MIN: Final = 1 << 30
"""A daemon keeps 16 MiB of ballast, and many tests run beside each other."""


class Home(NamedTuple):
    """Directories of one daemon and its sessions, below one short path: socket paths are bounded."""

    path: Path

    @property
    def state(self) -> Path:
        """The log lives here."""
        return self.path / "state"

    @property
    def runtime(self) -> Path:
        """The socket and the discovery record live here."""
        return self.path / "run"

    @property
    def work(self) -> Path:
        """A directory for sessions to work in."""
        return self.path / "work"

    @property
    def wal(self) -> Path:
        """What was committed and not yet moved into the database."""
        return self.state / "journal.db-wal"

    def logged_errors(self) -> list[str]:
        """Give the errors a daemon process has written into its log: bugs, and faults it was made to meet."""
        log = self.state / "daemon.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if " ERROR " in line or " CRITICAL " in line]


@contextmanager
def temporary_home() -> Iterator[Home]:
    """Make a home, and remove it with all there is in it.

    It lies in memory where there is room: a killed process loses nothing there either, and what a power cut
    would do is another suite's matter.
    """
    in_memory = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _FREE_BYTES_MIN
    home = Home(Path(tempfile.mkdtemp(prefix="hf", dir=_IN_MEMORY if in_memory else None)))
    home.work.mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(home.path)
