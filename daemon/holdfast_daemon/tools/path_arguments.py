"""What all tools that take a path share: its type, what it means, and what is said when it cannot be used."""

import os
from pathlib import PurePath
from typing import Annotated, Literal

from msgspec import Meta

from holdfast_daemon.execution.confined_paths import OutsideRoots, ProtectedPlace, ThroughSymlink
from holdfast_daemon.tools.base import ToolFailure

PathText = Annotated[
    str, Meta(min_length=1, max_length=4096, description="relative to the working directory, or absolute")
]


def absolute(cwd: str, path: str) -> str:
    """Give the place a path means, with `..` taken out by name."""
    return os.path.normpath(PurePath(cwd, path))


def check_path(path: str) -> None:
    """Refuse what no file can be called; the system would refuse it too, in its own words.

    Raises:
        ToolFailure: kind `invalid_input`.
    """
    if "\0" in path:
        raise ToolFailure("a path cannot hold a NUL character", kind="invalid_input")


def path_failure(
    path: str, error: OSError | OutsideRoots | ProtectedPlace, done: Literal["read", "written"] = "read"
) -> ToolFailure:
    """Say why what `path` names cannot be used.

    Args:
        path: as the model wrote it.
        error: what opening or writing raised.
        done: what was to be done with it.
    """
    match error:
        case ThroughSymlink():
            message = f"{path} leads through the symlink {error}; name the place itself"
            return ToolFailure(message, kind="symlink")
        case OutsideRoots():
            return ToolFailure(f"{path} is outside the session's directories", kind="outside_roots")
        case ProtectedPlace():
            return ToolFailure(f"{path} is git's own; it is changed through git alone", kind="protected")
        case NotADirectoryError() if done == "written":
            return ToolFailure(f"a directory on the way to {path} is a file", kind="not_found")
        case FileNotFoundError() | NotADirectoryError():
            return ToolFailure(f"there is no file {path}", kind="not_found")
        case IsADirectoryError():
            return ToolFailure(f"{path} is a directory", kind="not_text")
        case PermissionError():
            return ToolFailure(f"{path} may not be {done}", kind="forbidden")
        case _:
            return ToolFailure(f"{path} cannot be {done}: {error.strerror}")
