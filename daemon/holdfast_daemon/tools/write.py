"""The `write` tool: creates a file inside the session's roots, or replaces one whole.

Changes go through `file_change` alone, which blocks and so runs in a thread.
"""

import functools
from typing import Annotated, NamedTuple

import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confined_paths import Place
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.file_change import (
    Existing,
    check_unchanged,
    diff_of,
    place_of,
    read_existing,
    replace_file,
)
from holdfast_daemon.tools.path_arguments import PathText, absolute
from holdfast_daemon.tools.turns import Turns
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Diff, Location, ToolKind


class WriteInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which file, and what is to be in it."""

    path: PathText
    content: Annotated[str, Meta(description="the whole content, as it is to stand in the file")]


class _Written(NamedTuple):
    """What a call did: its sentence, the file's new mark, the diff or None if it is too large."""

    text: str
    mark: str
    diff: Diff | None


class WriteTool:
    """Says what became of the file, and gives the change as a diff.

    Args:
        limits: of the daemon.
        turns: shared by all tools that change files.
    """

    name = "write"
    description = (
        "Create a text file inside the session's directories, or replace the whole of one. Missing "
        "directories are made. Prefer `edit` for a change to a file that exists."
    )
    kind: ToolKind = "edit"
    input_type: type[msgspec.Struct] = WriteInput

    def __init__(self, limits: ExecutionLimits, turns: Turns) -> None:
        self._limits = limits
        self._turns = turns

    def title(self, tool_input: WriteInput) -> str:
        """Name the file."""
        return f"write {tool_input.path[:200]}"

    def locations(self, tool_input: WriteInput, cwd: str) -> tuple[Location, ...]:
        """Give the file."""
        return (Location(path=absolute(cwd, tool_input.path)),)

    async def run(self, tool_input: WriteInput, context: ToolContext) -> ToolResult:
        """Write the file.

        Raises:
            ToolFailure: kinds `outside_roots`, `symlink`, `protected`, `hard_link`, `stale`, `forbidden`,
                `not_found`, `not_text`, `too_large`, `invalid_input`, `tool_failed`.
        """
        path = absolute(context.cwd, tool_input.path)
        async with self._turns.at(path):
            seen = context.seen.get(path)
            written = await anyio.to_thread.run_sync(
                functools.partial(_write, tool_input, context, self._limits, seen)
            )
            context.seen.note(path, written.mark)
        if written.diff is None:
            text = f"{written.text} [the diff is left out: it is too large, or the old content is no text]"
            return ToolResult(content=(TextBlock(text=text),), truncated=True)
        return ToolResult(content=(TextBlock(text=written.text),), diff=(written.diff,))


def _write(
    tool_input: WriteInput, context: ToolContext, limits: ExecutionLimits, seen: str | None
) -> _Written:
    path = tool_input.path
    data = tool_input.content.encode("utf-8", "replace")
    if len(data) > limits.file_bytes_max:
        message = f"the content has {len(data)} bytes; a file may have {limits.file_bytes_max}"
        raise ToolFailure(message, kind="too_large")
    with place_of(path, context, make_parents=True) as place:
        existing = read_existing(place, path, limits.diff_bytes_max)
        if existing is not None:
            check_unchanged(path, existing, seen)
        mark = replace_file(place, path, data, existing, anyio.from_thread.check_cancelled)
    old = _old_text(existing)
    diff = None
    if existing is None or old is not None:
        diff = diff_of(context, path, old, tool_input.content, limits.diff_bytes_max)
    return _Written(_sentence(tool_input, len(data), place, existing), mark, diff)


def _old_text(existing: Existing | None) -> str | None:
    if existing is None or existing.data is None:
        return None
    try:
        return existing.data.decode()
    except UnicodeDecodeError:
        return None


def _sentence(tool_input: WriteInput, size: int, place: Place, existing: Existing | None) -> str:
    did = "created" if existing is None else "replaced"
    lines = len(tool_input.content.splitlines())
    counted = f"{lines} line{'' if lines == 1 else 's'}, {size} byte{'' if size == 1 else 's'}"
    made = ", ".join(f"{'/'.join(below)}/" for below in place.made)
    return f"{did} {tool_input.path}: {counted}." + (f" Made {made}." if made else "")
