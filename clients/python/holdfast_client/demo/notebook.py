"""A client's notebook: a file with one event per line, which is also its cursor.

A program that is killed may leave half a line; whoever opens the notebook again drops that, and goes on after
the last whole one.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from holdfast_client.core.tail import AnyEvent
from holdfast_protocol import events

_encode = msgspec.json.Encoder().encode


class Notebook:
    """An open notebook. One writer.

    Attributes:
        cursor: the seq of the last event in it, 0 if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        whole = _whole_lines(path)
        os.ftruncate(self._file, len(whole))
        os.lseek(self._file, 0, os.SEEK_END)
        lines = whole.splitlines()
        self.cursor = events.decode(lines[-1]).seq if lines else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def add(self, event: AnyEvent) -> None:
        """Write an event down; it survives the death of this process."""
        os.write(self._file, _encode(event) + b"\n")
        self.cursor = event.seq


def read(path: Path) -> tuple[AnyEvent, ...]:
    """Read what is written down, as it stands: gaps and doubles too."""
    return tuple(events.decode(line) for line in _whole_lines(path).splitlines())


def _whole_lines(path: Path) -> bytes:
    text = path.read_bytes() if path.exists() else b""
    return text[: text.rfind(b"\n") + 1]
