"""A file that holds disk space in reserve, so that the last events still fit when the disk is full."""

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
        """Give the space back. Blocks."""
        self._path.unlink(missing_ok=True)

    def restore(self) -> None:
        """Take the space again, if there is twice as much; a lack of it is no error. Blocks."""
        if self._path.exists() or not self._size:
            return
        room = os.statvfs(self._path.parent)
        if room.f_bavail * room.f_frsize < 2 * self._size:
            return
        part = self._path.with_suffix(".part")
        try:
            # posix_fallocate is instant where the file system supports it and takes real space everywhere.
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
            part.rename(self._path)
        except OSError:
            part.unlink(missing_ok=True)
