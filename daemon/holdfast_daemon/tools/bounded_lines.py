"""Collects whole lines of a result up to a number and a size. Knows nothing of what they say."""

from typing import Final

LINES_BYTES_MAX: Final = 48 * 1024
"""Under `ExecutionLimits.result_bytes_max`, so that a note says what is missing instead of a cut."""


class BoundedLines:
    """Lines that fit.

    Args:
        lines_max: the most lines.

    Attributes:
        full: a line did not fit; nothing more is taken.
    """

    def __init__(self, lines_max: int) -> None:
        self.full = False
        self._lines_max = lines_max
        self._room = LINES_BYTES_MAX
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> bool:
        """Take a line, given without its end; False if it does not fit any more."""
        size = len(line.encode("utf-8", "replace")) + 1
        self.full = self.full or len(self._lines) == self._lines_max or size > self._room
        if not self.full:
            self._lines.append(line)
            self._room -= size
        return not self.full

    def text(self) -> str:
        """Give the lines, each with its end."""
        return "".join(f"{line}\n" for line in self._lines)
