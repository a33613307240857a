"""The tools `list` and `glob`: names below a directory inside the session's roots.

The directory is opened through `execution.confined_paths` and walked by `tree`, which blocks and so runs in a
thread.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Generator
from pathlib import PurePosixPath
from typing import Annotated, Final

import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.bounded_lines import BoundedLines
from holdfast_daemon.tools.glob_pattern import BadPattern, GlobPattern
from holdfast_daemon.tools.path_arguments import PathText, absolute, check_path, path_failure
from holdfast_daemon.tools.tree import SKIPPED, Entry, Walk, shown_path, walk_notes
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, ToolKind

DEPTH_MAX: Final = 16

_MARKS: Final = {"file": "", "directory": "/", "symlink": "@", "other": "="}
_SKIPPED_NAMES: Final = ", ".join(sorted(SKIPPED))


class ListInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which directory, and how deep."""

    path: PathText = "."
    depth: Annotated[int, Meta(ge=1, le=DEPTH_MAX, description="levels; 1 is the directory alone")] = 1


class GlobInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files, and below which directory."""

    pattern: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="as `src/**/*.py` or `*.{ts,tsx}`; without a slash it is a name at any depth",
        ),
    ]
    path: PathText = "."


class ListTool:
    """Gives one line per entry, sorted, each directory followed by what is in it.

    Args:
        limits: of the daemon.
    """

    name = "list"
    description = (
        "List a directory inside the session's directories: directories end with /, symlinks with @. "
        f"What is in {_SKIPPED_NAMES} is listed only if `path` is there."
    )
    kind: ToolKind = "read"
    input_type: type[msgspec.Struct] = ListInput

    def __init__(self, limits: ExecutionLimits) -> None:
        self._limits = limits

    def title(self, tool_input: ListInput) -> str:
        """Name the directory."""
        return f"list {tool_input.path[:200]}"

    def locations(self, tool_input: ListInput, cwd: str) -> tuple[Location, ...]:
        """Give the directory."""
        return (Location(path=absolute(cwd, tool_input.path)),)

    async def run(self, tool_input: ListInput, context: ToolContext) -> ToolResult:
        """List the directory.

        Raises:
            ToolFailure: kinds `not_found`, `not_a_directory`, `outside_roots`, `forbidden`, `invalid_input`,
                `tool_failed`.
        """
        return await anyio.to_thread.run_sync(
            functools.partial(
                _listing,
                tool_input.path,
                context,
                self._limits,
                enter=lambda parts: len(parts) < tool_input.depth,
                line=lambda entry: shown_path("/".join(entry.parts)) + _MARKS[entry.kind],
                nothing="the directory is empty",
            )
        )


class GlobTool:
    """Gives the files whose paths fit a pattern, sorted.

    Args:
        limits: of the daemon.
    """

    name = "glob"
    description = (
        "Find files inside the session's directories by a pattern of their paths. Follows no symlinks and "
        f"leaves out what is in {_SKIPPED_NAMES}, unless `path` is there."
    )
    kind: ToolKind = "search"
    input_type: type[msgspec.Struct] = GlobInput

    def __init__(self, limits: ExecutionLimits) -> None:
        self._limits = limits

    def title(self, tool_input: GlobInput) -> str:
        """Show the pattern."""
        return f"find {tool_input.pattern[:200]}"

    def locations(self, tool_input: GlobInput, cwd: str) -> tuple[Location, ...]:
        """Give the directory."""
        return (Location(path=absolute(cwd, tool_input.path)),)

    async def run(self, tool_input: GlobInput, context: ToolContext) -> ToolResult:
        """Find the files.

        Raises:
            ToolFailure: as of `list`.
        """
        try:
            pattern = GlobPattern(tool_input.pattern)
        except BadPattern as error:
            raise ToolFailure(str(error), kind="invalid_input") from error

        def line(entry: Entry) -> str | None:
            if entry.kind == "directory" or not pattern.matches(entry.parts):
                return None
            return shown_path(str(PurePosixPath(tool_input.path, *entry.parts)))

        return await anyio.to_thread.run_sync(
            functools.partial(
                _listing,
                tool_input.path,
                context,
                self._limits,
                enter=pattern.enters,
                line=line,
                nothing="no file fits",
            )
        )


def _listing(
    path: str,
    context: ToolContext,
    limits: ExecutionLimits,
    *,
    enter: Callable[[tuple[str, ...]], bool],
    line: Callable[[Entry], str | None],
    nothing: str,
) -> ToolResult:
    """Walk a directory and give the lines of the entries that have one, and notes of what is missing."""
    lines = BoundedLines(limits.listed_entries_max)
    with open_directory(path, context) as start:
        walk = Walk(
            start,
            entries_max=limits.walked_entries_max,
            hidden=context.hidden,
            enter=enter,
            check=anyio.from_thread.check_cancelled,
        )
        for entry in walk:
            text = line(entry)
            if text is not None and not lines.add(text):
                break
    notes = walk_notes(walk, limits.walked_entries_max)
    if lines.full:
        notes.insert(0, f"the first {len(lines)}; there are more: ask for less at once")
    elif not len(lines):
        notes.insert(0, nothing)
    content = [TextBlock(text=lines.text()), *([TextBlock(text=f"[{'; '.join(notes)}]")] if notes else [])]
    return ToolResult(content=tuple(content), truncated=lines.full or walk.cut)


@contextlib.contextmanager
def open_directory(path: str, context: ToolContext) -> Generator[int]:
    """Open a directory for reading; say in a tool's words why that cannot be.

    Raises:
        ToolFailure: as `ListTool.run` says.
    """
    check_path(path)
    try:
        descriptor = ConfinedPaths(context.cwd, context.roots, context.hidden).open_for_reading(path)
    except (OSError, OutsideRoots) as error:
        raise path_failure(path, error) from error
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise ToolFailure(f"{path} is not a directory", kind="not_a_directory")
        yield descriptor
    finally:
        os.close(descriptor)
