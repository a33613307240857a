"""Empty directories made where something is missing, so that a sandbox can cover the place; gone afterwards.

One owner for the daemon: calls at the same time may need the same one. What is made is written down first,
so that a daemon that is killed leaves none behind for good. Only empty directories are ever removed.
"""

import contextlib
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from holdfast_daemon.execution.bubblewrap import Mounts


_RECORD_BYTES_MAX: Final = 1024 * 1024


class MountPoints:
    """The directories there are now.

    Args:
        record: the file they are written down in; None: nowhere.
    """

    def __init__(self, record: Path | None = None) -> None:
        self._record = record
        self._users: Counter[str] = Counter()  # Only of what was made here.
        self._turn = anyio.CapacityLimiter(1)  # One change at a time: what one call needs, another removes.

    @asynccontextmanager
    async def held(self, look: Callable[[], "Mounts"]) -> "AsyncGenerator[Mounts]":
        """Have the directories exist that some mounts need; give the mounts.

        Args:
            look: says what is needed. Blocks; called once, in a thread, while no other call changes anything.

        Raises:
            OSError: one cannot be made.
        """
        held: list[str] = []
        found: list[Mounts] = []

        def hold() -> None:
            found.append(look())
            self._hold(found[0], held)

        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(hold, limiter=self._turn)
            yield found[0]
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._release, held, limiter=self._turn)

    def remove_left_behind(self) -> None:
        """Remove what a killed daemon made. Blocks; called before the first call."""
        if self._record is None or not self._record.exists():
            return
        with self._record.open("rb") as file:
            paths = file.read(_RECORD_BYTES_MAX).split(b"\0")
        for path in paths:
            with contextlib.suppress(OSError):
                os.rmdir(path)  # noqa: PTH106 - bytes
        self._record.unlink()

    def _hold(self, mounts: "Mounts", held: list[str]) -> None:
        self._write_down([*self._users, *mounts.missing])
        for path in mounts.missing:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o755)  # noqa: PTH102 - one component, no parents
            self._users[path] += 1
            held.append(path)
        for path in mounts.present:
            if self._users[path]:
                self._users[path] += 1
                held.append(path)

    def _release(self, held: list[str]) -> None:
        for path in held:
            self._users[path] -= 1
            if not self._users[path]:
                with contextlib.suppress(OSError):  # Somebody put something there: then it is theirs.
                    os.rmdir(path)  # noqa: PTH106
        self._users += Counter()  # Drops what is at nothing.
        self._write_down(self._users)

    def _write_down(self, paths: Iterable[str]) -> None:
        if self._record is None:
            return
        data = b"\0".join(os.fsencode(path) for path in paths)
        if data:
            self._record.write_bytes(data)
        else:
            self._record.unlink(missing_ok=True)
