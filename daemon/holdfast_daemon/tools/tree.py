"""Walks the directories below an open one, through no symlink, in one order, up to a number of entries.

Uses the standard library alone: the search process imports it. Everything here blocks; call it in a thread.
"""

import os
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from holdfast_daemon.execution.confined_paths import OutsideRoots, identity, ids_of, open_by_components

SKIPPED: Final = frozenset({".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"})
"""Directories that no walk enters unless it begins there: not the project's own text, and large."""

EntryKind = Literal["file", "directory", "symlink", "other"]

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CHECK_EVERY_ENTRIES: Final = 1024


class Entry(NamedTuple):
    """Something in a directory; `parts` are the components from where the walk began."""

    parts: tuple[str, ...]
    kind: EntryKind


class Walk:
    """The entries below a directory, each directory's by name and followed at once by its own.

    Args:
        start: the directory's descriptor, which stays the caller's; open it for reading.
        entries_max: the most entries looked at.
        hidden: absolute directories that are not entered; see `ConfinedPaths`.
        enter: whether to enter a directory with these parts; those of `SKIPPED` are never entered.
        check: called now and then; raises to stop.

    Attributes:
        cut: there were more entries than were looked at.
        unread: directories that could not be opened, because they may not be read or have just gone.
    """

    def __init__(
        self,
        start: int,
        *,
        entries_max: int,
        hidden: tuple[str, ...] = (),
        enter: Callable[[tuple[str, ...]], bool],
        check: Callable[[], None],
    ) -> None:
        self.cut = False
        self.unread = 0
        self._start = start
        self._hidden_ids = ids_of(hidden)
        self._room = entries_max
        self._enter = enter
        self._check = check

    def __iter__(self) -> Iterator[Entry]:
        waiting = self._children(())
        while waiting:
            entry = waiting.pop()
            yield entry
            if entry.kind == "directory" and entry.parts[-1] not in SKIPPED and self._enter(entry.parts):
                waiting += self._children(entry.parts)

    def _children(self, parts: tuple[str, ...]) -> list[Entry]:
        """Give a directory's entries, the last one first."""
        self._check()
        try:
            # From the start each time, so that a walk holds one descriptor and no symlink is ever followed.
            directory = open_by_components(self._start, "/".join(parts) or ".", _DIRECTORY_FLAGS)
        except (OSError, OutsideRoots):
            self.unread += 1
            return []
        try:
            children = [] if identity(directory) in self._hidden_ids else self._scan(directory, parts)
        finally:
            os.close(directory)
        children.sort(reverse=True)
        return children

    def _scan(self, directory: int, parts: tuple[str, ...]) -> list[Entry]:
        children: list[Entry] = []
        with os.scandir(directory) as found:
            for entry in found:
                if not self._room:
                    self.cut = True
                    break
                self._room -= 1
                children.append(Entry((*parts, entry.name), _kind(entry)))
                if len(children) % _CHECK_EVERY_ENTRIES == 0:
                    self._check()
        return children


def shown_path(path: str) -> str:
    """Give a path as one line of text, whatever bytes its names have."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in path)


def walk_notes(walk: Walk, entries_max: int) -> list[str]:
    """Say what a walk did not see."""
    notes: list[str] = []
    if walk.cut:
        notes.append(f"not all was looked at: there are more than {entries_max} files and directories")
    if walk.unread:
        many = "1 directory" if walk.unread == 1 else f"{walk.unread} directories"
        notes.append(f"{many} could not be read")
    return notes


def _kind(entry: os.DirEntry[str]) -> EntryKind:
    try:
        if entry.is_symlink():
            return "symlink"
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "file" if entry.is_file(follow_symlinks=False) else "other"
    except OSError:
        return "other"
