"""Whole texts of calls of which the model was shown a part; the `read` tool gives the rest, as `result:CALL`.

One directory for each session, in the daemon's own; the oldest go when there is too much. Knows nothing of
tools or sessions.
"""

import os
import re
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import anyio.to_thread

from holdfast_daemon.config import ExecutionLimits

PREFIX: Final = "result:"
"""What the path of a kept result begins with."""

SHOWN_BYTES_MAX: Final = 48 * 1024
"""What a tool shows of what it streams; what is no longer is whole in its result, and not kept."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


def kept_path(directory: str | None, path: str) -> str | None:
    """Give the file of a kept result; None if the path means none."""
    name = path.removeprefix(PREFIX)
    if directory is None or name == path or not _NAME.fullmatch(name):
        return None
    return os.path.join(directory, name)  # noqa: PTH118 - opened by name, never resolved


class WholeResult:
    """The text of one call, as it comes; in a file from where it is more than is shown.

    Args:
        directory: the session's; None keeps nothing.
        name: the call's id.
        limits: of files.
    """

    def __init__(self, directory: Path | None, name: str, limits: ExecutionLimits) -> None:
        self._path = directory / name if directory is not None and _NAME.fullmatch(name) else None
        self._limits = limits
        self._pending = bytearray()
        self._writing = anyio.Lock()
        self._over = False
        self._room = limits.kept_result_bytes_max
        self._file: BinaryIO | None = None

    @property
    def length(self) -> int:
        """How many bytes there are so far."""
        return self._limits.kept_result_bytes_max - self._room

    async def take(self, text: str) -> None:
        """Append text; what is over the limit is left out. Pieces given at once stand in their order."""
        if self._path is None or self._over or not self._room:
            return
        data = text.encode("utf-8", "replace")[: self._room]
        self._room -= len(data)
        async with self._writing:
            if self._over:  # Meanwhile: what comes so late is nobody's.
                return
            self._pending += data
            if self.length > SHOWN_BYTES_MAX and (self._file is None or len(self._pending) > SHOWN_BYTES_MAX):
                await anyio.to_thread.run_sync(self._write)

    async def keep(self) -> str | None:
        """Close the file; give what the rest is read by, None if there is no rest."""
        async with self._writing:
            self._over = True
            if self._file is None:
                return None
            await anyio.to_thread.run_sync(self._finish)
        assert self._path is not None
        return f"{PREFIX}{self._path.name}"

    async def drop(self) -> None:
        """Forget what there is, if it is not kept: nobody was told of it."""
        self._over = True
        with anyio.CancelScope(shield=True):
            async with self._writing:
                if self._file is not None:
                    await anyio.to_thread.run_sync(self._discard)

    def _discard(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        self.remove()

    def remove(self) -> None:
        """Remove the file of an earlier call, if there is one. Blocks."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        assert self._path is not None
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(self._path, "wb", opener=_private)  # noqa: SIM115 - closed by keep or drop
        self._file.write(self._pending)
        self._pending.clear()

    def _finish(self) -> None:
        assert self._file is not None
        assert self._path is not None
        self._write()
        self._file.close()
        self._file = None
        _prune(self._path.parent, self._path, self._limits.kept_results_bytes_max)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _prune(directory: Path, newest: Path, bytes_max: int) -> None:
    """Remove the oldest files until the rest is within the limit; the newest stays."""
    files = sorted(
        ((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(directory)),
        reverse=True,
    )
    total = 0
    for _, size, path in files:
        total += size
        if total > bytes_max and path != str(newest):
            Path(path).unlink()
