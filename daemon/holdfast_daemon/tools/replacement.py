"""Replaces one piece of a text by another, exactly, or says why it cannot. Pure; knows no files."""

from typing import Final, NamedTuple

_LINES_NAMED_MAX: Final = 10


class NotFound(Exception):
    """The old piece is not in the text; the message says what is near, if anything is."""


class NotUnique(Exception):
    """The old piece is there several times; the message says on which lines."""


class TooLong(Exception):
    """The new text would be too long.

    Attributes:
        chars: how long.
    """

    def __init__(self, chars: int) -> None:
        super().__init__(chars)
        self.chars = chars


class Replaced(NamedTuple):
    """The new text, and the lines of the old one on which a replaced piece began, from 1."""

    text: str
    lines: tuple[int, ...]


def replaced(text: str, old: str, new: str, *, every: bool, chars_max: int) -> Replaced:
    """Replace `old` by `new` where it stands, from left to right.

    Args:
        text: any text.
        old: not empty.
        new: may be empty.
        every: replace all of them; else there must be one.
        chars_max: the longest text given.

    Raises:
        NotFound: see there.
        NotUnique: see there.
        TooLong: see there.
    """
    count = text.count(old)
    if not count:
        raise NotFound(_near(text, old))
    if count > 1 and not every:
        raise NotUnique(f"{count} times, on {named_lines(_lines(text, old))}")
    length = len(text) + count * (len(new) - len(old))
    if length > chars_max:
        raise TooLong(length)
    return Replaced(text.replace(old, new), _lines(text, old))


def named_lines(lines: tuple[int, ...]) -> str:
    """Give lines in words, as `line 3` or `lines 3, 8 and 2 more`."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    more = len(lines) - _LINES_NAMED_MAX
    if more <= 0:
        return f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"
    return f"lines {', '.join(map(str, lines[:_LINES_NAMED_MAX]))} and {more} more"


def _lines(text: str, old: str) -> tuple[int, ...]:
    lines: list[int] = []
    line = 1
    counted_to = 0
    at = text.find(old)
    while at >= 0:
        line += text.count("\n", counted_to, at)
        lines.append(line)
        counted_to = at
        at = text.find(old, at + len(old))
    return tuple(lines)


def _near(text: str, old: str) -> str:
    """Say what the model may have got wrong about the text."""
    if "\r\n" in text and old.replace("\r\n", "\n").replace("\n", "\r\n") in text:
        return "the file's lines end with CR LF, which `old` must have too"
    if old.strip() and old.strip() in text:
        return "without the blanks and line ends around it, it is there"
    return ""
