"""What an edit would do, or did, to a file: as a unified diff. Pure but for one bounded read.

Lines end at a newline and nowhere else, and what ends or stands in a line unseen is named: two texts that
differ never give an empty diff.
"""

import difflib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from holdfast_client.shell.plain import one_line, revealed
from holdfast_client.terminal.items import Change
from holdfast_protocol.events import Diff

FILE_BYTES_MAX: Final = 1024 * 1024
"""Larger files are not compared: it would take a second."""

LINES_MAX: Final = 400
"""Of a diff that is kept; how many of them are shown is a matter of drawing."""

_LINES_COMPARED_MAX: Final = 8_000
"""Between the first and the last line that differ; with more, all of these are shown as replaced."""

_CONTEXT_LINES: Final = 3
_PATH_CHARS_MAX: Final = 160
_BLANKS: Final = re.compile(r"\s+")


class Unread(NamedTuple):
    """A file that exists and cannot be compared with.

    Attributes:
        size: in bytes; None if that is not known.
        why: in a few words.
    """

    size: int | None
    why: str


Read = Callable[[str], str | Unread | None]
"""Gives a file's text by its absolute path; None only if there is no such file. Does not raise."""

_Opcode = tuple[str, int, int, int, int]


def read_text(path: str) -> str | Unread | None:
    """Read a regular file of bounded size; see `Read`. Never waits for a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Unread(None, "it is no regular file")
            if status.st_size > FILE_BYTES_MAX:
                return Unread(status.st_size, "it is too large")
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        return _unreadable(path, error)
    return _decoded(data)


def of_diff(diff: Diff, cwd: str) -> Change:
    """Give a change that was made."""
    path = diff.path.removeprefix(cwd.rstrip("/") + "/")
    return change_of(path, diff.old_text or "", diff.new_text)


def of_write(path: str, old: str | Unread | None, new: str, *, lines_max: int | None = LINES_MAX) -> Change:
    """Give what writing a whole file would do.

    Args:
        path: of the file, for people.
        old: the file as it is; None if there is none.
        new: what is to stand in it.
        lines_max: of the diff; None: all.
    """
    if not isinstance(old, Unread):
        return change_of(path, old or "", new, lines_max=lines_max)
    change = change_of(path, "", new, guessed=True, lines_max=lines_max)
    size = "a file" if old.size is None else f"{old.size:,} bytes"
    change.lines.insert(0, f"\\ replaces {size} not shown here: {old.why}")
    change.removed = None
    return change


def of_edit(
    path: str,
    old: str,
    new: str,
    text: str | Unread | None,
    *,
    every: bool,
    lines_max: int | None = LINES_MAX,
) -> Change:
    """Give what replacing a piece would do.

    Args:
        path: of the file, for people.
        old: the piece.
        new: what is to stand there.
        text: the file as it is; where it is not known, or has no such piece, the pieces are compared.
        every: the piece is replaced wherever it stands.
        lines_max: of the diff; None: all.
    """
    if not isinstance(text, str) or not old or old not in text:
        change = change_of(path, old, new, guessed=True, lines_max=lines_max)
        change.lines.insert(0, f"\\ {_why_guessed(text)}: only the piece is shown")
        return change
    replaced = text.replace(old, new) if every else text.replace(old, new, 1)
    return change_of(path, text, replaced, lines_max=lines_max)


def change_of(
    path: str, old: str, new: str, *, guessed: bool = False, lines_max: int | None = LINES_MAX
) -> Change:
    """Compare two texts."""
    remarks: list[str] = []
    if _has_crlf_alone(old) and _has_crlf_alone(new):
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
        remarks.append("\\ its lines end with CR LF")
    if guessed and not old.endswith("\n") and not new.endswith("\n"):
        old, new = old and old + "\n", new and new + "\n"  # Pieces, of which neither ends a line.
    before, after = _lines(old), _lines(new)
    lines = list(_diff(before, after))
    removed = [line for line in lines if line.startswith("-")]
    added = [line for line in lines if line.startswith("+")]
    remarks += _remarks(removed, added)
    shown = [part for line in lines[:lines_max] for part in _shown(line)]
    more = max(0, len(lines) - lines_max) if lines_max is not None else 0
    return Change(
        one_line(path, _PATH_CHARS_MAX), [*remarks, *shown], len(added), len(removed), guessed, more
    )


def _unreadable(path: str, error: OSError | ValueError) -> Unread | None:
    if not isinstance(error, OSError):
        return Unread(None, "it has no proper name")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return None
    try:
        size = Path(path).stat().st_size
    except OSError:
        size = None
    return Unread(size, "it cannot be read")


def _decoded(data: bytes) -> str | Unread:
    if len(data) > FILE_BYTES_MAX:
        return Unread(None, "it is too large")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Unread(len(data), "it is no text")


def _why_guessed(text: str | Unread | None) -> str:
    if isinstance(text, Unread):
        return f"the file is not compared ({text.why})"
    return "there is no such file" if text is None else "the file has no such piece"


def _has_crlf_alone(text: str) -> bool:
    return "\r" in text and text.count("\r\n") == text.count("\n") == text.count("\r")


def _lines(text: str) -> list[str]:
    """Give lines with their ends."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines


def _diff(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Give the lines of a unified diff, each with its end."""
    if before == after:
        return
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    offset = max(0, start - _CONTEXT_LINES)
    cut = max(0, end - _CONTEXT_LINES)
    before, after = before[offset : len(before) - cut], after[offset : len(after) - cut]
    for group in _groups(before, after, start - offset, end - cut):
        first, last = group[0], group[-1]
        old, new = (
            _range(offset + first[1], offset + last[2]),
            _range(offset + first[3], offset + last[4]),
        )
        yield f"@@ -{old} +{new} @@\n"
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                yield from (" " + line for line in before[old_start:old_end])
            else:
                yield from ("-" + line for line in before[old_start:old_end])
                yield from ("+" + line for line in after[new_start:new_end])


def _groups(before: Sequence[str], after: Sequence[str], head: int, tail: int) -> Iterable[list[_Opcode]]:
    """Give the hunks; as one, where it would take long to find more. `head` and `tail` lines are alike."""
    if len(before) + len(after) <= _LINES_COMPARED_MAX:
        return difflib.SequenceMatcher(None, before, after).get_grouped_opcodes(_CONTEXT_LINES)
    old_end, new_end = len(before) - tail, len(after) - tail
    return [
        [
            ("equal", 0, head, 0, head),
            ("replace", head, old_end, head, new_end),
            ("equal", old_end, len(before), new_end, len(after)),
        ]
    ]


def _alike(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the lines at the beginning that are the same."""
    for count, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            return count
    return min(len(before), len(after))


def _range(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _shown(line: str) -> Iterator[str]:
    yield revealed(line.removesuffix("\n"))
    if not line.endswith("\n"):
        yield "\\ no line end here"


def _remarks(removed: list[str], added: list[str]) -> Iterator[str]:
    """Say what makes lines look alike, or look like what they are not."""
    if any(revealed(line) != line for line in (*removed, *added)):
        yield "\\ <CR>, <U+200B> and the like stand for what cannot be seen"
    old, new = {line[1:] for line in removed}, {line[1:] for line in added}
    if {_without_blanks(line) for line in old - new} & {_without_blanks(line) for line in new - old}:
        yield "\\ some lines differ in blanks or line ends alone"


def _without_blanks(line: str) -> str:
    return _BLANKS.sub(" ", line).strip()
