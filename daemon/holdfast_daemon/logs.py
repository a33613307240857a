"""The daemon's log file: rotated, private, one line a record, control characters escaped."""

import logging
import os
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

_FILE_BYTES_MAX: Final = 10 * 1024 * 1024
_FILES: Final = 5
_RECORD_CHARACTERS_MAX: Final = 16 * 1024
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)} | {10: "\\n"}


class _OneLine(logging.Formatter):
    """A record as one bounded line: nothing a client sends can fake another."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).translate(_CONTROL)[:_RECORD_CHARACTERS_MAX]


class _PrivateFileHandler(RotatingFileHandler):
    """Creates its files readable by the owner alone."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        return TextIOWrapper(FileIO(descriptor, "a"), encoding="utf-8", line_buffering=True)


def log_to_file(path: Path) -> None:
    """Send the log to a file."""
    handler = _PrivateFileHandler(path, maxBytes=_FILE_BYTES_MAX, backupCount=_FILES)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
