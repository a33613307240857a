"""Text from elsewhere, made safe to show: no control characters, escape sequences, or hidden reordering."""

import re
from typing import Final

_ESCAPE_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Whole colour and title sequences, so that no `[31m` is left of them."""

_UNSHOWABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C0 but tab and newline, DEL, C1, and the marks that reorder text."""


def plain(text: str) -> str:
    """Give text that a terminal shows as it reads; tabs and newlines stay."""
    return _UNSHOWABLE.sub("", _ESCAPE_SEQUENCE.sub("", text))


def one_line(text: str, length_max: int) -> str:
    """Give the text as one line of at most so many characters, with an ellipsis where it was cut."""
    line = " ".join(plain(text).split())
    return line if len(line) <= length_max else line[: length_max - 1].rstrip() + "…"
