"""The words by which `bwrap` makes a confinement: what is mounted where, and in which order.

    all of the machine read-only → private places → secrets → roots → what is protected in them
                                 → secrets in them, the daemon's own directories → what is shown of these

A later line covers an earlier one. What covers a directory is made read-only at the very end, because places
inside it are mounted before. Every path is resolved before: `bwrap` follows symlinks inside the new tree,
where they may lead nowhere. Looks at files, starts nothing.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.protected_places import Protection, is_below, protection

_NAMESPACES: Final = (
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--cap-drop",
    "ALL",
    "--die-with-parent",
    "--new-session",
)
_PRIVATE: Final = ("/tmp", "/var/tmp")  # noqa: S108 - they are named to be covered
_FRESH: Final = (*_PRIVATE, "/dev", "/proc")


class Surroundings(NamedTuple):
    """What of the machine every confinement hides.

    Attributes:
        home: of the user the daemon runs as.
        secrets: places to hide, see `secret_places`.
        own: the daemon's directories, hidden whatever a confinement says.
    """

    home: str
    secrets: tuple[str, ...]
    own: tuple[str, ...] = ()


class Mounts(NamedTuple):
    """What `bwrap` is told, and what must exist while it runs.

    Attributes:
        words: for `bwrap --args`.
        missing: directories to make for as long as the process runs, so that they can be covered.
        present: places that must stay for so long, should they be there for another call's sake alone.
    """

    words: tuple[str, ...]
    missing: tuple[str, ...]
    present: tuple[str, ...]


def mounts(confinement: Confinement, surroundings: Surroundings, cwd: str) -> Mounts:
    """Say how to make a confinement. Blocks.

    Args:
        confinement: what the process may.
        surroundings: of the daemon.
        cwd: where the process starts, absolute.
    """
    roots = _nested_last(confinement.writable)
    readable = _nested_last(confinement.readable)
    hidden = tuple(os.path.realpath(path) for path in (*surroundings.own, *confinement.hidden))
    guard = protection(roots, os.path.realpath(surroundings.home), hidden)
    visible = (*roots, *readable)
    words = [*_NAMESPACES, *(["--share-net"] if confinement.network else [])]
    words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    words += [word for path in _existing(_PRIVATE) for word in ("--tmpfs", path)]
    secrets = _existing(surroundings.secrets)
    early = [path for path in secrets if not _inside(path, visible)]
    late = [path for path in secrets if _inside(path, visible)]
    late += [path for path in _existing(hidden) if not _is_gone(path, early, visible)]
    shown = _nested_last(confinement.shown)
    words += _covered(early, visible)
    words += [word for path in readable for word in ("--ro-bind", path, path)]
    words += [word for path in roots for word in ("--bind", path, path)]
    words += _guarded(guard, hidden)
    words += _covered(late, visible)
    words += [word for path in shown for word in ("--ro-bind", path, path)]
    words += _sealed([*early, *late], visible)
    words += ["--chdir", cwd]
    return Mounts(tuple(words), guard.missing, guard.read_only)


def _guarded(guard: Protection, hidden: tuple[str, ...]) -> Iterator[str]:
    for path in guard.pinned:
        yield from ("--bind", path, path)
    for path in guard.read_only:
        if path not in hidden:
            yield from ("--ro-bind", path, path)
    for path in guard.missing:
        yield from ("--tmpfs", path, "--remount-ro", path)


def _covered(paths: list[str], visible: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        if _is_fresh(path, visible):
            continue  # Its parent is empty already; a mount would only show the name.
        if Path(path).is_dir():
            yield from ("--tmpfs", path)
        else:
            yield from ("--ro-bind", "/dev/null", path)


def _sealed(paths: list[str], visible: tuple[str, ...]) -> Iterator[str]:
    """Make what covers directories read-only, once everything inside is mounted."""
    for path in paths:
        if not _is_fresh(path, visible) and Path(path).is_dir():
            yield from ("--remount-ro", path)


def _is_fresh(path: str, visible: tuple[str, ...]) -> bool:
    return _inside(path, _FRESH) and not _inside(path, visible)


def _is_gone(path: str, covered: list[str], visible: tuple[str, ...]) -> bool:
    """Tell whether nothing is left of a place: it lies in one that is covered, nothing in it is mounted."""
    mounted = _inside(path, visible) or any(is_below(one, path) for one in visible)
    return _inside(path, tuple(covered)) and not mounted


def _inside(path: str, directories: tuple[str, ...]) -> bool:
    return any(is_below(path, directory) and path != directory for directory in directories)


def _nested_last(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({os.path.realpath(path) for path in paths}))


def _existing(paths: tuple[str, ...]) -> list[str]:
    """Give what exists, resolved, each once, and nothing that lies in another."""
    found: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths if os.path.exists(path)}):  # noqa: PTH110
        if not _inside(path, tuple(found)):
            found.append(path)
    return found
