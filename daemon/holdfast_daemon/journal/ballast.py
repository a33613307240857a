"""A file that holds disk space in reserve, so that the last events still fit when the disk is full."""

import contextlib
import os
from pathlib import Path


class Ballast:
    """A file of a fixed size.

    Args:
        path: where it lies; on the log's file system.
        size: bytes; 0 for none.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def free(self) -> None:
        """Give the space back, if the file system lets us. Blocks, raises nothing."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Take the space again, if there is twice as much. Blocks, raises nothing."""
        with contextlib.suppress(OSError):
            if self._size and not self._path.exists() and self._has_room():
                self._make()

    def _has_room(self) -> bool:
        room = os.statvfs(self._path.parent)
        return room.f_bavail * room.f_frsize >= 2 * self._size

    def _make(self) -> None:
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                # Instant where the file system supports it, and takes real space everywhere.
                os.posix_fallocate(file.fileno(), 0, self._size)
            part.rename(self._path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
