"""What stays as it is in a directory that tools may change: files from which others take commands.

Git runs hooks and what its settings name, an editor its tasks, an agent what its settings say, and all of
them outside the sandbox. A place that does not exist yet is protected like one that does: a file made there
by a command would run as soon as a person opens the directory.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_OF_A_ROOT: Final = (
    ".git/hooks",
    ".git/config",
    ".git/modules",
    ".holdfast",
    ".vscode",
    ".idea",
    ".zed",
    ".devcontainer",
    ".claude",
    ".codex",
    ".cursor",
    ".gemini",
    ".mcp.json",
    ".envrc",
)

_OF_A_HOME: Final = (
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".gitconfig",
    ".config",
    ".local/bin",
    ".local/share/applications",
    ".local/share/systemd",
)
"""Only where the home itself is given to tools."""


class Protection(NamedTuple):
    """How the places of some roots are protected.

    Attributes:
        pinned: directories that must not be renamed, outermost first; they stay writable.
        read_only: places that exist.
        missing: the first components that do not exist; nothing may be made there.
    """

    pinned: tuple[str, ...]
    read_only: tuple[str, ...]
    missing: tuple[str, ...]


def protection(roots: Iterable[str], home: str, more: Iterable[str] = ()) -> Protection:
    """Look at what there is. Blocks.

    Args:
        roots: directories that may be changed, absolute and resolved.
        home: of the user, resolved.
        more: further places to protect, absolute; those outside the roots are left out.
    """
    roots = tuple(roots)
    pinned: dict[str, None] = {}
    read_only: dict[str, None] = {}
    missing: dict[str, None] = {}
    for place in _places(roots, home, more):
        root = outermost(place, roots)
        if root is None:
            continue
        existing, first_missing = _walk(root, place)
        # A directory can be renamed away from under what is mounted in it, unless it is a mount itself.
        pinned.update(dict.fromkeys(existing[:-1] if first_missing is None else existing))
        if first_missing is not None:
            if os.access(os.path.dirname(first_missing), os.W_OK):  # noqa: PTH120 - else nobody can make it
                missing[first_missing] = None
        elif existing:
            read_only[existing[-1]] = None
    for root in roots:
        outer = outermost(root, roots)
        if outer is not None and outer != root:
            pinned.update(dict.fromkeys(_walk(outer, root)[0][:-1]))
    return Protection(
        tuple(path for path in sorted(pinned) if path not in read_only),
        tuple(sorted(read_only)),
        tuple(sorted(missing)),
    )


def outermost(place: str, roots: Iterable[str]) -> str | None:
    """Give the outermost of the roots that has the place in it."""
    return min((root for root in roots if is_below(place, root)), key=len, default=None)


def is_below(place: str, directory: str) -> bool:
    """Tell whether a resolved path is the directory's own or in it."""
    return Path(place).is_relative_to(directory)


def _places(roots: tuple[str, ...], home: str, more: Iterable[str]) -> Iterator[str]:
    for root in roots:
        for place in _OF_A_ROOT:
            yield f"{root}/{place}"
    if any(is_below(home, root) for root in roots):
        for place in _OF_A_HOME:
            yield f"{home}/{place}"
    yield from more


def _walk(root: str, place: str) -> tuple[list[str], str | None]:
    """Give the components from the root down that exist, and the first that does not.

    A component that is no directory ends the way: it is protected itself, and with it what is below. So does
    an empty directory, which may be there for another call's sake alone.
    """
    existing: list[str] = []
    path = root
    for name in Path(place).relative_to(root).parts:
        path = f"{path}/{name}"
        if not os.path.lexists(path):
            return existing, path
        if Path(path).is_symlink():
            # It cannot be mounted over; what it leads to can, where that may be changed at all.
            path = os.path.realpath(path)
            if not is_below(path, root) or not os.path.lexists(path):
                return [], None
        existing.append(path)
        if not Path(path).is_dir() or _is_empty(path):
            break
    return existing, None


def _is_empty(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except OSError:
        return False
