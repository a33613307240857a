"""What was typed before: a bounded file of JSON strings, one a line, shared by all terminals of a user."""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit.history import History

ENTRIES_MAX: Final = 1000
ENTRY_CHARS_MAX: Final = 8 * 1024
FILE_BYTES_MAX: Final = 4 * 1024 * 1024

_SLACK: Final = 2
"""The file is rewritten when it holds so many times the entries that are kept."""


class BoundedHistory(History):
    """Earlier prompts. A file that cannot be read or written is done without."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """Give the entries, the last first."""
        lines = self._lines()
        if len(lines) > _SLACK * ENTRIES_MAX:
            self._rewrite(lines[-ENTRIES_MAX:])
        entries: list[str] = []
        for line in reversed(lines[-ENTRIES_MAX:]):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, str):
                    entries.append(entry)
        return entries

    def store_string(self, string: str) -> None:
        """Add an entry; a very long one is not kept."""
        if len(string) > ENTRY_CHARS_MAX:
            return
        line = json.dumps(string).encode() + b"\n"
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, line)  # One write, so that two terminals do not mix their lines.
            finally:
                os.close(descriptor)

    def _lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - FILE_BYTES_MAX))
                return file.read(FILE_BYTES_MAX).splitlines()
        except OSError:
            return []

    def _rewrite(self, lines: list[bytes]) -> None:
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            new.touch(mode=0o600)
            new.write_bytes(b"\n".join(lines) + b"\n")
            new.replace(self._path)
