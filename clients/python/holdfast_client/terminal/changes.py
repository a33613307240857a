"""What an edit would do, or did, to a file: as a unified diff. Pure but for one bounded read."""

import contextlib
import difflib
import os
import stat
from collections.abc import Callable
from typing import Final

from holdfast_client.shell.plain import one_line, plain
from holdfast_client.terminal.items import Change
from holdfast_protocol.events import Diff

FILE_BYTES_MAX: Final = 1024 * 1024
"""Larger files are not compared: a person would not read it, and it would take a second."""

LINES_MAX: Final = 400
"""Of a diff that is kept; how many of them are shown is a matter of drawing."""

_LINES_COMPARED_MAX: Final = 20_000
_PATH_CHARS_MAX: Final = 160

Read = Callable[[str], str | None]
"""Gives a file's text by its absolute path; None if there is none to compare with. Does not raise."""


def read_text(path: str) -> str | None:
    """Read a regular file of bounded size; see `Read`. Never waits for a pipe or a device."""
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_size <= FILE_BYTES_MAX:
                return file.read(FILE_BYTES_MAX).decode()
    return None


def of_diff(diff: Diff, cwd: str) -> Change:
    """Give a change that was made."""
    path = diff.path.removeprefix(cwd.rstrip("/") + "/")
    return change_of(path, diff.old_text or "", diff.new_text)


def change_of(path: str, old: str, new: str, *, guessed: bool = False) -> Change:
    """Compare two texts."""
    before, after = _lines(old), _lines(new)
    added = removed = 0
    lines: list[str] = []
    for number, line in enumerate(difflib.unified_diff(before, after, n=3, lineterm="")):
        if number < 2:
            continue  # The two lines that name the files.
        added += line.startswith("+")
        removed += line.startswith("-")
        if len(lines) < LINES_MAX:
            lines.append(plain(line))
    return Change(one_line(path, _PATH_CHARS_MAX), lines, added, removed, guessed)


def of_edit(path: str, old: str, new: str, text: str | None, *, every: bool) -> Change:
    """Give what replacing a piece would do.

    Args:
        path: of the file, for people.
        old: the piece.
        new: what is to stand there.
        text: the file as it is; where it is not known, or has no such piece, the pieces are compared.
        every: the piece is replaced wherever it stands.
    """
    if text is None or not old or old not in text:
        return change_of(path, old, new, guessed=True)
    return change_of(path, text, text.replace(old, new) if every else text.replace(old, new, 1))


def _lines(text: str) -> list[str]:
    lines = text.splitlines()
    if len(lines) > _LINES_COMPARED_MAX:
        return [*lines[:_LINES_COMPARED_MAX], "…"]
    return lines
