"""What a request asks leave for, whole, as lines of text: nobody is to allow what they have not seen.

Standard library alone. A command is shown as it would be run, a change to a file as a unified diff against
the file as it is now, anything else as its input. Whatever a terminal would not show, or not where it stands,
is written out, as `<ESC>` or `<U+202E>`.
"""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from holdfast_client.shell import inquiry
from holdfast_client.shell.plain import revealed

FILE_BYTES_MAX: Final = 1024 * 1024
"""Larger files are not compared: a person would not read it, and it would take a second."""

LINES_MAX: Final = 2000
"""Of one proposal; `holdfast approvals --json` has all of its input."""

_LINES_COMPARED_MAX: Final = 20_000
_CONTEXT_LINES: Final = 3
_BLANK: Final = "\u2800"
"""A pattern of Braille without a dot: it counts as printable, and shows as nothing."""

Request = Mapping[str, Any]


class Old(NamedTuple):
    """A file before it is changed.

    Attributes:
        text: None if it cannot be shown.
        size: in bytes; None if there is no such file.
    """

    text: str | None
    size: int | None


Read = Callable[[str], Old]
"""Looks at a file by its path. Does not raise."""


def read_file(path: str) -> Old:
    """Look at a file; see `Read`. Never waits for a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Old(None, None)
    except (OSError, ValueError):
        return Old(None, _size(path))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size <= FILE_BYTES_MAX:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                return Old(file.read(FILE_BYTES_MAX).decode(), status.st_size)
        return Old(None, status.st_size)


def _size(path: str) -> int:
    """Give the size of a file that cannot be read; 0 if not even that is told."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - pathlib is slow to import
    except (OSError, ValueError):
        return 0


def lines(request: Request, read: Read = read_file) -> list[str]:
    """Give what is to be shown of a request beside its title; nothing if the title says it all.

    Args:
        request: of any kind.
        read: how to look at the file that would be changed.
    """
    detail = _members(request.get("detail"))
    asked = inquiry.lines(detail)
    if asked is not None:
        return _bounded([visible(part) for line in asked for part in line.split("\n")])
    if request["kind"] != "permission":
        return []
    found = _change(detail, read)
    if found is None:
        found = _input(detail, request["title"])
    return _bounded(found)


def _bounded(found: list[str]) -> list[str]:
    if len(found) > LINES_MAX:
        more = len(found) - LINES_MAX
        found = [*found[:LINES_MAX], f"… {more} more lines: `holdfast approvals --json` has them"]
    return found


def visible(line: str) -> str:
    """Write out what a terminal does not show as it stands; tabs stay."""
    return "".join(map(_visible, revealed(line)))


def _visible(character: str) -> str:
    """Write out the rest of what `revealed` leaves: private, unassigned and blank characters."""
    shows = (character.isprintable() and character != _BLANK) or character == "\t"
    return character if shows else f"<U+{ord(character):04X}>"


# Commands and other input -----------------------------------------------------------------------------------


def _input(detail: Mapping[str, Any], title: str) -> list[str]:
    """Give the exact command and what comes with it, or the input as JSON."""
    fields = _members(detail.get("input"))
    match = detail.get("match")
    if not isinstance(match, str):
        return _json_lines(detail["input"]) if "input" in detail else []
    others = {name: value for name, value in fields.items() if value != match}
    if not others and match in title and visible(match) == match:
        return []
    extra = [f"{name}: {line}" for name, value in others.items() for line in _json_lines(value)]
    return [*map(visible, match.split("\n")), *map(visible, extra)]


def _json_lines(value: Any) -> list[str]:
    return [visible(line) for line in json.dumps(value, ensure_ascii=False, indent=1).split("\n")]


def _members(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


# Changes to files -------------------------------------------------------------------------------------------


def _change(detail: Mapping[str, Any], read: Read) -> list[str] | None:
    """Give a change to one file; None if the request is about something else."""
    fields = _members(detail.get("input"))
    if not isinstance(fields.get("path"), str):
        return None
    match detail.get("tool"), fields:
        case "edit", {"old": str(old), "new": str(new)}:
            return _edit(old, new, read(_place(detail)), every=bool(fields.get("replace_all")))
        case "write", {"content": str(content)}:
            return _write(content, read(_place(detail)))
        case _:
            return None


def _place(detail: Mapping[str, Any]) -> str:
    """Give the file's absolute path: where the daemon found it, else below the session's directory."""
    match detail:
        case {"locations": [{"path": str(path)}, *_]}:
            return path
        case {"roots": [str(root), *_], "input": {"path": str(path)}}:
            return os.path.join(root, path)  # noqa: PTH118 - pathlib is slow to import
        case _:
            return str(detail["input"]["path"])


def _edit(old: str, new: str, before: Old, *, every: bool) -> list[str]:
    if before.text is None or not old or old not in before.text:
        return [
            "(the file has no such text, or cannot be read: the pieces alone are compared)",
            *_diff(old, new),
        ]
    return _diff(before.text, before.text.replace(old, new, -1 if every else 1))


def _write(content: str, before: Old) -> list[str]:
    if before.size is None:
        return ["(a new file)", *_diff("", content)]
    if before.text is None:
        return [f"(replaces a file of {before.size} bytes that are not shown)", *_diff("", content)]
    return _diff(before.text, content)


def _diff(old: str, new: str) -> list[str]:
    """Give a unified diff. Line ends are compared too: of a line that ends in CR LF, the CR shows."""
    from difflib import unified_diff  # noqa: PLC0415 - only where something is changed

    before, after = _lines(old), _lines(new)
    if before == after:
        return ["(it changes nothing)"]
    if max(len(before), len(after)) > _LINES_COMPARED_MAX:
        told = f"(replaces {len(before)} lines that are not shown)"
        return [told, *(shown for line in after for shown in _row(f"+{line}"))]
    rows = list(unified_diff(before, after, n=_CONTEXT_LINES))[2:]  # Without the two that name files.
    return [shown for row in rows for shown in _row(row)]


def _lines(text: str) -> list[str]:
    """Cut behind each newline, and nowhere else."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def _row(row: str) -> list[str]:
    shown = visible(row.removesuffix("\n"))
    return [shown] if row.endswith("\n") else [shown, "\\ no newline at its end"]
