"""Whose word the daemon takes: nothing of a project is configuration before a person trusted its directory.

Trust is of one directory, not of those below or above it. Where the table is kept, and how a person is asked,
is the business of whoever makes a `Trust`.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread
import msgspec

FOLDER: Final = ".holdfast"
"""What a project's configuration lies in."""

INSTRUCTIONS: Final = "AGENTS.md"
PLACES: Final = (f"{FOLDER}/plugins", f"{FOLDER}/commands", INSTRUCTIONS)
"""What is read of a project, once it is trusted."""

_GIT: Final = ".git"


class TrustedDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """A directory a person trusted. `trusted_at` is in seconds since 1970, UTC."""

    path: str
    trusted_at: float


class TrustTable(Protocol):
    """Where trusted directories are kept."""

    async def directories(self) -> Iterable[TrustedDirectory]:
        """Give all, in any order."""
        ...

    async def add(self, directory: TrustedDirectory) -> None:
        """Keep one; replaces one of the same path. Durable when it returns."""
        ...

    async def remove(self, path: str) -> bool:
        """Forget one; False if it was not there. Durable when it returns."""
        ...


class MemoryTable:
    """A table that is gone with the daemon. Implements `TrustTable`."""

    def __init__(self) -> None:
        self._directories: dict[str, TrustedDirectory] = {}

    async def directories(self) -> Iterable[TrustedDirectory]:
        """See `TrustTable.directories`."""
        return tuple(self._directories.values())

    async def add(self, directory: TrustedDirectory) -> None:
        """See `TrustTable.add`."""
        self._directories[directory.path] = directory

    async def remove(self, path: str) -> bool:
        """See `TrustTable.remove`."""
        return self._directories.pop(path, None) is not None


class NotTrustable(Exception):
    """A directory cannot be trusted, whatever a person says; the message says why."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's directory belongs to.

    Attributes:
        path: the project's directory, without symlinks.
        has: those of `PLACES` that hold something, for the question; nothing of them was read. The
            instructions may lie anywhere from the project down to the session's directory.
    """

    path: str
    has: tuple[str, ...]


class Trust:
    """The directories that are trusted.

    Args:
        table: where they are kept.
        home: the user's; nothing above it is ever a project.
    """

    def __init__(self, table: TrustTable, home: Path) -> None:
        self._table = table
        self._home = home

    async def project(self, cwd: str) -> Project:
        """Give what a directory belongs to."""
        return await anyio.to_thread.run_sync(_project, Path(cwd), self._home)

    async def is_trusted(self, path: str) -> bool:
        """Tell whether exactly this directory is trusted, and still can be."""
        if all(directory.path != path for directory in await self._table.directories()):
            return False
        return await anyio.to_thread.run_sync(_objection, Path(path)) is None

    async def trust(self, path: str, now: float) -> None:
        """Trust a directory, on a person's word.

        Args:
            path: a project's.
            now: seconds since 1970, UTC.

        Raises:
            NotTrustable: it is not the user's own, or anyone may write there.
        """
        resolved = await anyio.to_thread.run_sync(os.path.realpath, path)
        objection = await anyio.to_thread.run_sync(_objection, Path(resolved))
        if objection is not None:
            raise NotTrustable(f"{resolved} {objection}")
        await self._table.add(TrustedDirectory(path=resolved, trusted_at=now))

    async def list(self) -> tuple[TrustedDirectory, ...]:
        """Give the directories by path (`trust/list`)."""
        return tuple(sorted(await self._table.directories(), key=lambda directory: directory.path))

    async def remove(self, path: str) -> bool:
        """Trust a directory no longer (`trust/remove`); False if it was not trusted."""
        if await self._table.remove(path):
            return True
        return await self._table.remove(await anyio.to_thread.run_sync(os.path.realpath, path))


def objection_to(status: os.stat_result) -> str | None:
    """Say why something is not to be believed: it is not the user's own, or anyone may write it."""
    if status.st_uid not in (os.getuid(), 0):
        return "belongs to another user"
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH:
        return "can be written by anyone"
    return None


def down_to(cwd: Path, project: Path) -> tuple[Path, ...]:
    """Give the directories from a project down to one in it; the project alone if it is not in it."""
    inside = [place for place in (cwd, *cwd.parents) if place.is_relative_to(project)]
    return tuple(reversed(inside)) or (project,)


def _project(cwd: Path, home: Path) -> Project:
    """The nearest directory with a mark, from `cwd` up to below the home; `cwd` itself if there is none."""
    cwd = Path(os.path.realpath(cwd))
    home = Path(os.path.realpath(home))
    path = cwd
    for place in (cwd, *cwd.parents):
        if place != cwd and (place == home or home.is_relative_to(place)):
            break
        if _is_marked(place):
            path = place
            break
    found = [name for name in PLACES if name != INSTRUCTIONS and _holds_something(path / name)]
    if any(_holds_something(place / INSTRUCTIONS) for place in down_to(cwd, path)):
        found.append(INSTRUCTIONS)
    return Project(path=str(path), has=tuple(found))


def _is_marked(place: Path) -> bool:
    """Tell whether a project begins here. Empty directories say nothing: a sandbox may have made them."""
    return _holds_something(place / _GIT) or any(
        os.path.lexists(place / name) for name in PLACES if name != INSTRUCTIONS
    )


def _holds_something(path: Path) -> bool:
    """Tell whether something is there that is no empty directory; what cannot be looked at counts."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        return os.path.lexists(path)
    except OSError:
        return True


def _objection(path: Path) -> str | None:
    for name in (".", FOLDER, *PLACES):
        try:
            status = (path / name).lstat()
        except FileNotFoundError:
            if name == ".":
                return "is gone"
            continue
        except OSError as error:
            return f"cannot be looked at: {error.strerror}"
        objection = objection_to(status) or (None if name == INSTRUCTIONS else _no_directory(status))
        if objection is not None:
            return objection if name == "." else f"{objection} ({name})"
    return None


def _no_directory(status: os.stat_result) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return None
    return "is a symlink" if stat.S_ISLNK(status.st_mode) else "is no directory"
