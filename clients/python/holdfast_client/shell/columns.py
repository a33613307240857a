"""Rows of cells as lines of text, in columns as wide as their widest cell. Knows not what they mean."""

from collections.abc import Sequence
from typing import Final

COLUMN_GAP: Final = 2


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Give a line per row; all rows have the same number of cells."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    gap = " " * COLUMN_GAP
    return [
        gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
