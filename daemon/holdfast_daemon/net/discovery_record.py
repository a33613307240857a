"""The discovery record: how clients find this daemon."""

import contextlib
import json
import os
from pathlib import Path

from holdfast_protocol.discovery import Record


class DiscoveryRecord:
    """One daemon's record in its runtime directory.

    Args:
        path: where it lies; its directory is private.
        record: what it says.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self._path = path
        self._record = record

    def write(self) -> None:
        """Replace whatever record there is, atomically; readable by its owner alone. Blocks."""
        part = self._path.with_suffix(f".{os.getpid()}.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._record, file)
        part.rename(self._path)

    def remove(self) -> None:
        """Remove the record if it is still this daemon's. Blocks."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["instanceId"] == self._record["instanceId"]:
                self._path.unlink()
