"""Replaces one file as a whole: it has its old content or its new one, never a part, whatever happens.

The new content is written beside the old under a name of its own, synced, and renamed in the same open
directory. Knows nothing of what is changed and why. Everything here blocks; call it in a thread.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

import msgspec

from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots, Place, ProtectedPlace
from holdfast_daemon.execution.seen_files import mark_of
from holdfast_daemon.tools.base import ToolContext, ToolFailure
from holdfast_daemon.tools.path_arguments import absolute, check_path, path_failure
from holdfast_protocol.events import Diff

_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY_WRITE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_PERMISSIONS: Final = 0o777  # Set-id bits are not kept: new content has not earned them.


class Existing(NamedTuple):
    """A file as it was found.

    Attributes:
        found: its state when it was opened.
        data: its content; None if it is larger than was asked for.
    """

    found: os.stat_result
    data: bytes | None


@contextlib.contextmanager
def place_of(path: str, context: ToolContext, *, make_parents: bool = False) -> Generator[Place]:
    """Open the directory in which `path` is to be changed; say in a tool's words why that cannot be.

    Raises:
        ToolFailure: kinds `outside_roots`, `symlink`, `protected`, `not_found`, `forbidden`, `not_text`,
            `invalid_input`, `tool_failed`; also for an OSError raised inside the block.
    """
    check_path(path)
    paths = ConfinedPaths(context.cwd, context.roots, context.hidden)
    try:
        with paths.place(path, make_parents=make_parents) as place:
            yield place
    except (OSError, OutsideRoots, ProtectedPlace) as error:
        raise path_failure(path, error, "written") from error


def read_existing(place: Place, path: str, bytes_max: int) -> Existing | None:
    """Read the file that is to be changed; None if there is none.

    Args:
        place: where it is.
        path: as the model wrote it.
        bytes_max: a larger one is not read.

    Raises:
        ToolFailure: kinds `symlink`, `hard_link`, `forbidden` for what is read-only, `not_text` for what is
            no regular file.
        OSError: it cannot be read.
    """
    descriptor = _open_existing(place, path)
    if descriptor is None:
        return None
    try:
        found = os.fstat(descriptor)
        _check_replaceable(found, path)
        _check_writable(place, path, found)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(bytes_max + 1)
    finally:
        os.close(descriptor)
    return Existing(found, data if len(data) <= bytes_max else None)


def check_unchanged(path: str, existing: Existing, seen: str | None) -> None:
    """Refuse to change a file that is not the one the session's tools saw last.

    Args:
        path: as the model wrote it.
        existing: the file.
        seen: its mark when it was seen last; None if it was not: then there is nothing to compare.

    Raises:
        ToolFailure: kind `stale`.
    """
    if seen is not None and seen != mark_of(existing.found):
        raise ToolFailure(f"{path} has changed since it was last read; read it again", kind="stale")


def replace_file(
    place: Place, path: str, data: bytes, existing: Existing | None, check: Callable[[], None]
) -> str:
    """Give the file its new content, keeping its mode and owner, and give its new mark.

    Args:
        place: where it is.
        path: as the model wrote it.
        data: the content.
        existing: what is replaced; None for a new file, whose mode is what the process's umask leaves.
        check: called before anything is changed; raises to stop.

    Raises:
        ToolFailure: kinds `stale` (somebody changed it in this very moment), `forbidden` (its owner could
            not be kept).
        OSError: it could not be written; the old content is untouched.
    """
    temporary = f".holdfast-{secrets.token_hex(8)}"
    mode = 0o666 if existing is None else 0o600
    descriptor = os.open(temporary, _NEW_FLAGS, mode, dir_fd=place.directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if existing is not None:
                _keep(descriptor, existing.found, path)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            check()
            _check_still(place, path, existing)
            os.rename(temporary, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
            return mark_of(os.fstat(descriptor))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place.directory)
        raise


def diff_of(context: ToolContext, path: str, old: str | None, new: str, bytes_max: int) -> Diff | None:
    """Give the change as a diff; None if its texts take more than `bytes_max` bytes as JSON."""
    # The texts come first: for a huge one nothing need be encoded.
    texts = (new,) if old is None else (new, old)
    if sum(map(len, texts)) > bytes_max or sum(len(msgspec.json.encode(t)) for t in texts) > bytes_max:
        return None
    return Diff(path=absolute(context.cwd, path), old_text=old, new_text=new)


def _open_existing(place: Place, path: str) -> int | None:
    try:
        return os.open(place.name, _READ_FLAGS, dir_fd=place.directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ToolFailure(_symlink_message(place, path), kind="symlink") from error
        if error.errno == errno.ENXIO:  # A socket.
            raise ToolFailure(f"{path} is not a regular file", kind="not_text") from error
        raise


def _check_replaceable(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ToolFailure(f"{path} is a directory", kind="not_text")
    if not stat.S_ISREG(found.st_mode):
        raise ToolFailure(f"{path} is not a regular file", kind="not_text")
    if found.st_nlink > 1:
        message = f"{path} is one of {found.st_nlink} hard links to a file; the others would not change"
        raise ToolFailure(message, kind="hard_link")


def _check_writable(place: Place, path: str, found: os.stat_result) -> None:
    """Refuse what its owner made read-only: a rename would replace it all the same."""
    if not found.st_mode & _ANY_WRITE or not os.access(place.name, os.W_OK, dir_fd=place.directory):
        raise ToolFailure(f"{path} is read-only", kind="forbidden")


def _symlink_message(place: Place, path: str) -> str:
    try:
        target = os.readlink(place.name, dir_fd=place.directory)
    except OSError:  # It has just become something else.
        return f"{path} is a symlink"
    return f"{path} is a symlink to {target[:200]}; name the file itself"


def _keep(descriptor: int, old: os.stat_result, path: str) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError as error:
            message = f"{path} belongs to another user or group, which it would lose"
            raise ToolFailure(message, kind="forbidden") from error
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & _PERMISSIONS)


def _check_still(place: Place, path: str, existing: Existing | None) -> None:
    """See that the name means what it did; the last moment before it means something else."""
    try:
        now = mark_of(os.stat(place.name, dir_fd=place.directory, follow_symlinks=False))
    except FileNotFoundError:
        now = None
    if now != (mark_of(existing.found) if existing is not None else None):
        raise ToolFailure(f"{path} was changed by somebody in this very moment", kind="stale")
