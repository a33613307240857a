"""Opens files inside a session's roots and nowhere else, whatever symlinks and races say.

The kernel decides while it opens (`openat2` with RESOLVE_BENEATH): there is no check before that a rename
could make untrue. Where `openat2` is missing, components are opened one by one and no symlink is followed.
What changes a directory goes by components always: a change goes where its path says, through no symlink.
Knows nothing of tools. Everything here blocks; call it in a thread.
"""

import contextlib
import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

_SYS_OPENAT2: Final = 437  # The same number on every architecture Python runs on today.
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
_ATTEMPTS: Final = 64  # EAGAIN: a rename raced with the walk of a `..`; the caller tries again.

_ROOT_FLAGS: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # A FIFO must not block.


Opener = Callable[[int, str, int], int]
"""Opens (root's descriptor, path from there, flags) and gives a descriptor; raises as `open_beneath` does."""


class OutsideRoots(Exception):
    """The path leads out of the roots."""


class ThroughSymlink(OutsideRoots):
    """A component of the path is a symlink, and none is followed here; the message is its name."""


class ProtectedPlace(Exception):
    """The path leads into `PROTECTED`; the message is the component."""


PROTECTED: Final = frozenset({".git"})
"""Names at or below which nothing is changed: git runs what its hooks and settings say, in no sandbox."""


class Place(NamedTuple):
    """Where a file is or will be: a name in an open directory.

    Attributes:
        directory: the directory's descriptor, for `dir_fd` alone; closed by whoever opened it.
        name: one component, neither `.` nor `..`.
        below: the components from the root down, the name last.
        made: the directories that were made for it, each as components from the root down.
    """

    directory: int
    name: str
    below: tuple[str, ...]
    made: tuple[tuple[str, ...], ...] = ()


class ConfinedPaths:
    """Resolves paths as a session means them.

    Args:
        cwd: absolute; relative paths start here.
        roots: absolute directories, themselves trusted: a root may be a symlink.
        hidden: absolute directories that count as outside, wherever they are: the daemon's own.
        opener: opens a path below a root's descriptor; the safest this system has if None.
    """

    def __init__(
        self,
        cwd: str,
        roots: tuple[str, ...],
        hidden: tuple[str, ...] = (),
        *,
        opener: Opener | None = None,
    ) -> None:
        self._cwd = cwd
        self._hidden = tuple(os.path.realpath(path) for path in hidden)
        self._hidden_ids = ids_of(hidden)
        self._opener = opener or (open_beneath if kernel_confines() else open_by_components)
        self._roots = tuple(PurePosixPath(os.path.normpath(root)) for root in roots)

    def open_for_reading(self, path: str) -> int:
        """Open what `path` names and give the descriptor, which the caller closes.

        The descriptor may be of a directory, a FIFO or a device: look with `fstat`. Reading never waits.

        Raises:
            OutsideRoots: the path, or a symlink on it, leads out of every root.
            OSError: it cannot be opened, as FileNotFoundError.
            ValueError: the path holds a NUL character.
        """
        _check_sayable(path)
        for root, rest in self._candidates(path):
            try:
                descriptor = self._open(root, rest)
            except OutsideRoots:
                continue
            if not self._is_hidden(descriptor, root, rest):
                return descriptor
            os.close(descriptor)
        raise OutsideRoots(f"{path} is outside the session's roots")

    @contextlib.contextmanager
    def place(self, path: str, *, make_parents: bool = False) -> Generator[Place]:
        """Open the directory that holds what `path` names, to change it there.

        `..` is taken out by name and no symlink is followed: the place is the one a reader of the path sees.

        Args:
            path: as the session means it.
            make_parents: make the directories that are missing on the way.

        Raises:
            OutsideRoots: the path leads out of every root.
            ThroughSymlink: a directory on the way is a symlink.
            ProtectedPlace: nothing is changed there.
            OSError: a directory cannot be opened or made; IsADirectoryError for a root itself.
            ValueError: the path holds a NUL character.
        """
        _check_sayable(path)
        root, below = self._below_root(path)
        for name in below:
            if name.casefold() in PROTECTED:  # Some file systems take .GIT for .git.
                raise ProtectedPlace(name)
        if not below:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        made: list[tuple[str, ...]] = []
        directory = os.open(root, _ROOT_FLAGS)
        try:
            if self._is_hidden(directory, root, "."):
                raise OutsideRoots(path)
            for depth, name in enumerate(below[:-1]):
                if make_parents and _make_directory(directory, name):
                    made.append(below[: depth + 1])
                inner = _open_no_follow(directory, name, _ROOT_FLAGS)
                os.close(directory)
                directory = inner
                if identity(directory) in self._hidden_ids:
                    raise OutsideRoots(path)
            yield Place(directory, below[-1], below, tuple(made))
        finally:
            os.close(directory)

    def _is_hidden(self, descriptor: int, root: str, rest: str) -> bool:
        """Tell whether what was opened lies in a hidden directory, by the path the kernel knows it under."""
        if not self._hidden:
            return False
        try:
            place = Path(f"/proc/self/fd/{descriptor}").readlink()
        except OSError:  # No /proc: then no symlink was followed below the root.
            place = Path(os.path.realpath(root), os.path.normpath(rest))
        return any(place.is_relative_to(hidden) for hidden in self._hidden)

    def _below_root(self, path: str) -> tuple[str, tuple[str, ...]]:
        target = PurePosixPath(os.path.normpath(PurePosixPath(self._cwd, path)))
        for root in self._roots:
            if target.is_relative_to(root):
                return str(root), target.relative_to(root).parts
        raise OutsideRoots(f"{path} is outside the session's roots")

    def _candidates(self, path: str) -> Iterator[tuple[str, str]]:
        """Give roots that may hold the path, each with the path from there.

        This only chooses where to start; the opener decides. The path is tried as it stands, and with `..`
        taken out by name, as `../other/file` may lead from one root into another.
        """
        joined = PurePosixPath(self._cwd, path)
        for candidate in dict.fromkeys((joined, PurePosixPath(os.path.normpath(joined)))):
            for root in self._roots:
                if candidate.is_relative_to(root):
                    yield str(root), str(candidate.relative_to(root))

    def _open(self, root: str, rest: str) -> int:
        descriptor = os.open(root, _ROOT_FLAGS)
        try:
            return self._opener(descriptor, rest, _READ_FLAGS)
        finally:
            os.close(descriptor)


def identity(descriptor: int) -> tuple[int, int]:
    """Give device and inode of what is open."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def ids_of(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Give the identities of those directories that exist."""
    found: set[tuple[int, int]] = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = Path(path).stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _check_sayable(path: str) -> None:
    if "\0" in path:
        raise ValueError("the path holds a NUL character")


def _make_directory(directory: int, name: str) -> bool:
    try:
        os.mkdir(name, dir_fd=directory)
    except FileExistsError:  # Perhaps as something else: opening it tells.
        return False
    return True


def open_by_components(root: int, rest: str, flags: int) -> int:
    """Open `rest` below the directory `root` without following a symlink or going up.

    Raises:
        ThroughSymlink: a component is a symlink.
        OutsideRoots: `..` leads out.
        OSError: it cannot be opened.
    """
    *parents, last = PurePosixPath(os.path.normpath(rest)).parts or (".",)
    if last == ".." or ".." in parents:
        raise OutsideRoots(rest)
    directory = os.dup(root)
    try:
        for name in parents:
            below = _open_no_follow(directory, name, _ROOT_FLAGS)
            os.close(directory)
            directory = below
        return _open_no_follow(directory, last, flags)
    finally:
        os.close(directory)


def _open_no_follow(directory: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        # With O_DIRECTORY a symlink gives ENOTDIR, as a file does; else ELOOP.
        if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and _is_symlink(directory, name)):
            raise ThroughSymlink(name) from error
        raise


def _is_symlink(directory: int, name: str) -> bool:
    """Only words the error; nothing is opened because of it."""
    try:
        os.readlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def kernel_confines() -> bool:
    """Whether `openat2` works here: old kernels lack it, some sandboxes forbid it."""
    if sys.platform != "linux":
        return False
    root = os.open("/", _ROOT_FLAGS)
    try:
        os.close(open_beneath(root, ".", _ROOT_FLAGS))
    except (OSError, OutsideRoots):
        return False
    finally:
        os.close(root)
    return True


def open_beneath(root: int, rest: str, flags: int) -> int:
    """Open `rest` below the directory `root` with `openat2`; symlinks that stay below it are followed.

    Raises:
        OutsideRoots: it leads out.
        OSError: it cannot be opened.
    """
    how = _OpenHow(flags=flags, mode=0, resolve=_RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    path = ctypes.c_char_p(os.fsencode(rest))
    size = ctypes.c_size_t(ctypes.sizeof(how))
    failure = errno.EAGAIN
    for _ in range(_ATTEMPTS):
        descriptor = _libc().syscall(ctypes.c_long(_SYS_OPENAT2), root, path, ctypes.byref(how), size)
        if descriptor >= 0:
            return descriptor
        failure = ctypes.get_errno()
        if failure not in (errno.EAGAIN, errno.EINTR):
            break
    if failure == errno.EXDEV:
        raise OutsideRoots(rest)
    raise OSError(failure, os.strerror(failure), rest)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long  # Returned as int.
    return libc
