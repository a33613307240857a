"""Cuts streaming Markdown into blocks that no later text can change. Pure; looks at each line once.

A block ends at a blank line outside of a fence, once a line follows that does not belong to it (what is
indented does, and so does the next item of a list). A block that grows too long is cut where that does the
least harm: a fence is closed and opened again.
"""

import re
from typing import Final

LINES_MAX: Final = 60
"""Of one block that still grows: more than a screen, so that what is redrawn stays short."""

LINE_CHARS_MAX: Final = 4000
"""Of a line that has not ended: a model that writes no newlines."""

_LINE_CHARS_KNOWN: Final = 12
"""So many characters of a line say whether it goes on with a list: `_LIST_ITEM` needs no more."""

_FENCE: Final = re.compile(r" {0,12}(`{3,}|~{3,})(.*)")
_LIST_ITEM: Final = re.compile(r" {0,3}(?:[-*+]|\d{1,6}[.)])\s")


class Paragraphs:
    """The text of one block of a response.

    Attributes:
        length: how many characters were given.
    """

    def __init__(self) -> None:
        self.length = 0
        self._lines: list[str] = []  # Whole lines of the block that grows, with their ends.
        self._line = ""  # The line that has not ended.
        self._fence: str | None = None  # The line that opened the fence the block is in.
        self._blank = False  # The last line was blank, outside of a fence.
        self._done: list[str] = []

    def feed(self, text: str) -> list[str]:
        """Take more text, and give the blocks that are whole by now, each without blank lines around it."""
        self.length += len(text)
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._take(line)
        if self._blank and len(self._line) >= _LINE_CHARS_KNOWN and not self._goes_on(self._line):
            self._settle()
            self._blank = False
        while len(self._line) > LINE_CHARS_MAX:
            self._cut_line()
        done, self._done = self._done, []
        return done

    def rest(self) -> list[str]:
        """Give what may still change: a block that grows, and perhaps one whose first line has begun."""
        grows = "".join(self._lines)
        parts = [grows + self._line]
        if self._blank and self._line.strip() and not self._goes_on(self._line):
            parts = [grows, self._line]
        return [part.strip("\n") for part in parts if part.strip()]

    def _take(self, line: str) -> None:
        if self._fence is None and line.strip() == "":
            self._blank = bool(self._lines)
            self._lines.append("\n")
            return
        if self._blank and not self._goes_on(line):
            self._settle()
        self._blank = False
        self._lines.append(line + "\n")
        self._look_for_fence(line)
        if len(self._lines) >= LINES_MAX:
            self._cut()

    def _goes_on(self, line: str) -> bool:
        """Tell whether a line after a blank one belongs to the same block."""
        first = next((earlier for earlier in self._lines if earlier.strip()), "")
        in_list = _LIST_ITEM.match(first) is not None
        return in_list and (line.startswith(("  ", "\t")) or _LIST_ITEM.match(line) is not None)

    def _look_for_fence(self, line: str) -> None:
        found = _FENCE.match(line)
        if found is None:
            return
        marks, info = found.groups()
        if self._fence is None:
            if marks[0] == "~" or "`" not in info:
                self._fence = line
            return
        opened = _FENCE.match(self._fence)
        assert opened is not None
        if marks[0] == opened[1][0] and len(marks) >= len(opened[1]) and not info.strip():
            self._fence = None

    def _settle(self) -> None:
        text = "".join(self._lines).strip("\n")
        self._lines = []
        if text.strip():
            self._done.append(text)

    def _cut(self) -> None:
        """End a block that is too long, and begin it anew."""
        fence = self._fence
        if fence is None:
            self._settle()
            return
        opened = _FENCE.match(fence)
        assert opened is not None
        indent = fence[: len(fence) - len(fence.lstrip())]
        self._lines.append(f"{indent}{opened[1]}\n")
        self._settle()
        self._lines = [fence + "\n"]

    def _cut_line(self) -> None:
        """End a line that is too long, at a blank if it has one."""
        at = self._line.rfind(" ", LINE_CHARS_MAX // 2, LINE_CHARS_MAX) + 1 or LINE_CHARS_MAX
        line, self._line = self._line[:at], self._line[at:]
        self._take(line)
        if self._fence is None:
            self._settle()
