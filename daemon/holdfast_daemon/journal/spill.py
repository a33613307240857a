"""Event bodies too large for the database: files named by their SHA-256, written and synced before the row.

A spilled event's row holds a marker in place of its body. Readers of the store never see the marker.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

_MARKER: Final = b'{"spilled":"'  # A real body begins with {"seq":

MARKER_BYTES: Final = len(_MARKER) + 2 * hashlib.sha256().digest_size + len(b'"}')
"""How long every marker is: what has another length is a body."""


class Spill:
    """A directory of bodies.

    Args:
        directory: created at the first use, 0700; the one it is in exists.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, body: bytes) -> tuple[str, bytes]:
        """Store a body durably; give its hash and the marker for its row. Blocks."""
        digest = hashlib.sha256(body).hexdigest()
        path = self._path(digest)
        if not path.exists():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            part = path.with_suffix(".part")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            for directory in (path.parent, self._directory, self._directory.parent):
                _sync_directory(directory)
        return digest, _MARKER + digest.encode() + b'"}'

    def resolve(self, body: bytes) -> bytes:
        """Give the real body for what a row holds.

        Raises:
            OSError: the file is gone or unreadable.
        """
        if not body.startswith(_MARKER):
            return body
        return self._path(body[len(_MARKER) : -2].decode()).read_bytes()

    def remove(self, digest: str) -> None:
        """Drop a body no row names any more."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
