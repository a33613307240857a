"""The process that searches files for the `grep` tool. Run by `search`, never imported by the daemon.

A pattern may take for ever on a harmless line, and Python's `re` cannot be interrupted: a process can be
killed. It opens files as all tools do, inside the roots alone. Uses the standard library alone, so that it
starts fast and needs no packages. Writes one JSON object per line: `{"line": TEXT}` for a line of the result,
and last `{"end": {…}}` or `{"failure": {"kind", "message"}}`.
"""

import contextlib
import json
import os
import re
import resource
import stat
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots, open_by_components
from holdfast_daemon.tools.bounded_lines import BoundedLines
from holdfast_daemon.tools.glob_pattern import BadPattern, GlobPattern
from holdfast_daemon.tools.tree import Walk, shown_path, walk_notes

LINE_CHARS_MAX: Final = 400
"""How much of a line is shown."""

_BEFORE_CHARS: Final = 100  # Of a longer line, so much of it before the match.
_MEMORY_BYTES_MAX: Final = 1024**3  # A search that needs more has gone wrong.
_READ_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Failure(Exception):
    """The search cannot be made; the arguments are kind and message."""


class Found(NamedTuple):
    """A line that is shown, from 1; `at` is where it matches, or -1 for one that stands near a match."""

    number: int
    text: str
    at: int


class _Full(Exception):
    """There is no room for more."""


def main() -> None:
    """Search as the last argument says, and write the result to stdout."""
    with contextlib.suppress(OSError, ValueError):  # Not every system has it.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    try:
        say(end=Search(json.loads(sys.argv[-1])).run())
    except Failure as failure:
        kind, message = failure.args
        say(failure={"kind": kind, "message": message})
    except MemoryError:
        say(failure={"kind": "too_large", "message": "the search needs too much memory"})


def say(**members: Any) -> None:
    """Write one line, at once: the process may be killed at any moment."""
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


class Search:
    """One search.

    Args:
        asked: `cwd`, `roots`, `path`, `pattern`, `glob` or None, `ignore_case`, `context`, and the limits
            `walked_entries_max`, `matches_max`, `searched_file_bytes_max`.

    Raises:
        Failure: kind `invalid_input`: a pattern is none.
    """

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._pattern = compiled(asked["pattern"], ignore_case=asked["ignore_case"])
        try:
            self._glob = GlobPattern(asked["glob"]) if asked["glob"] is not None else None
        except BadPattern as error:
            raise Failure("invalid_input", f"glob: {error}") from error
        # Each match may have `context` lines on both sides and a line that parts it from the next.
        self._lines = BoundedLines(asked["matches_max"] * (2 * asked["context"] + 2))
        self._matches = 0
        self._files = 0
        self._left_out: dict[str, int] = {}  # Reason → number of files.

    def run(self) -> dict[str, Any]:
        """Search, saying each line on the way, and give what is to be said of the whole.

        Raises:
            Failure: the path cannot be opened.
        """
        descriptor = self._open()
        notes: list[str] = []
        full = False
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                notes = self._search_below(descriptor)
            else:
                self._search_file(descriptor, shown_path(self._asked["path"]))
        except _Full:
            full = True
            notes = [f"the first {self._matches} matches; there are more: narrow the search"]
        finally:
            os.close(descriptor)
        notes += [f"left out {count} that {reason}" for reason, count in self._left_out.items()]
        return {"matches": self._matches, "files": self._files, "notes": notes, "full": full}

    def _open(self) -> int:
        path = self._asked["path"]
        try:
            asked = self._asked
            paths = ConfinedPaths(asked["cwd"], tuple(asked["roots"]), tuple(asked["hidden"]))
            return paths.open_for_reading(path)
        except OutsideRoots as error:  # A moment ago it was not.
            raise Failure("outside_roots", f"{path} is outside the session's directories") from error
        except OSError as error:
            raise Failure("tool_failed", f"{path} cannot be searched: {error.strerror}") from error

    def _search_below(self, start: int) -> list[str]:
        entries_max = self._asked["walked_entries_max"]
        glob = self._glob
        walk = Walk(
            start,
            entries_max=entries_max,
            hidden=tuple(self._asked["hidden"]),
            enter=lambda parts: glob is None or glob.enters(parts),
            check=lambda: None,
        )
        for entry in walk:
            if entry.kind != "file" or (glob is not None and not glob.matches(entry.parts)):
                continue
            try:
                descriptor = open_by_components(start, "/".join(entry.parts), _READ_FLAGS)
            except (OSError, OutsideRoots):  # It may not be read, or has just become something else.
                self._leave_out("cannot be read")
                continue
            try:
                path = PurePosixPath(self._asked["path"], *entry.parts)
                self._search_file(descriptor, shown_path(str(path)))
            finally:
                os.close(descriptor)
        return walk_notes(walk, entries_max)

    def _search_file(self, descriptor: int, name: str) -> None:
        data = self._read(descriptor)
        if data is None:
            return
        last = 0  # The line shown last.
        for found in matching_lines(text_lines(data), self._pattern, self._asked["context"]):
            matches = found.at >= 0
            if matches and self._matches == self._asked["matches_max"]:
                raise _Full
            if self._asked["context"] and len(self._lines) and (not last or found.number != last + 1):
                self._show("--")
            mark = ":" if matches else "-"
            self._show(f"{name}{mark}{found.number}{mark}{clipped(found)}")
            self._files += not last
            self._matches += matches
            last = found.number

    def _show(self, line: str) -> None:
        if not self._lines.add(line):
            raise _Full
        say(line=line)

    def _read(self, descriptor: int) -> bytes | None:
        """Give a file's content; None if it is not searched, which is counted."""
        bytes_max = self._asked["searched_file_bytes_max"]
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return self._leave_out("are no regular files")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(bytes_max + 1)
        except OSError:
            return self._leave_out("cannot be read")
        if b"\0" in data:
            return self._leave_out("are binary")
        if len(data) > bytes_max:
            return self._leave_out(f"are larger than {bytes_max} bytes")
        return data

    def _leave_out(self, reason: str) -> None:
        self._left_out[reason] = self._left_out.get(reason, 0) + 1


def compiled(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Read a pattern.

    Raises:
        Failure: kind `invalid_input`.
    """
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise Failure("invalid_input", f"pattern: {error}") from error


def text_lines(data: bytes) -> Iterator[str]:
    """Give a text's lines without their ends."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return (line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines)


def matching_lines(lines: Iterator[str], pattern: re.Pattern[str], context: int) -> Iterator[Found]:
    """Give the lines that match and up to `context` lines on both sides of each, every line once."""
    before: deque[Found] = deque(maxlen=context)
    after = 0
    for number, line in enumerate(lines, 1):
        match = pattern.search(line)
        if match is not None:
            yield from before
            before.clear()
            yield Found(number, line, match.start())
            after = context
        elif after:
            after -= 1
            yield Found(number, line, -1)
        else:
            before.append(Found(number, line, -1))


def clipped(found: Found) -> str:
    """Give a line, or of a long one the part around the match."""
    text = found.text
    if len(text) <= LINE_CHARS_MAX:
        return text
    first = max(0, min(found.at - _BEFORE_CHARS, len(text) - LINE_CHARS_MAX))
    last = first + LINE_CHARS_MAX
    return f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}"
