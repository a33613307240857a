"""Help texts, read back: what the manual and the completion scripts are made of. Knows no command.

holdfast NAME …            how it is called; further ways on further lines, continued with an indent

Paragraphs, parted by blank lines.

  -o, --output FILE   rows: two blanks, a term, at least two blanks, what it means;
                      continued below where the meaning began
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_ROW = re.compile(r"  (\S.*?)(?:\s{2,}(\S.*))?")


class Row(NamedTuple):
    """A term, such as `-o, --output FILE`, and its meaning on one line."""

    term: str
    meaning: str


class Usage(NamedTuple):
    """A help text. `parts` are paragraphs, each on one line, and tables, in order."""

    ways: list[str]
    parts: list[str | list[Row]]

    def rows(self) -> Iterator[Row]:
        """Give the rows of all tables."""
        for part in self.parts:
            if isinstance(part, list):
                yield from part


def read(text: str) -> Usage:
    """Read a help text."""
    first, *rest = text.strip("\n").split("\n\n")
    return Usage(_joined(first), [_part(part) for part in rest])


def _joined(lines: str) -> list[str]:
    """Give the ways to call a command, continued ones on one line."""
    return re.sub(r"\n\s+", " ", lines).split("\n")


def _part(text: str) -> str | list[Row]:
    if not text.startswith("  "):
        return " ".join(text.split())
    rows: list[Row] = []
    for line in text.split("\n"):
        match = _ROW.fullmatch(line)
        if match and not line.startswith("   "):
            rows.append(Row(match[1], match[2] or ""))
        else:
            term, meaning = rows.pop()
            rows.append(Row(term, f"{meaning} {line.strip()}".strip()))
    return rows
