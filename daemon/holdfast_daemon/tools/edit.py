"""The `edit` tool: replaces an exact piece of a file inside the session's roots.

A file that has changed since the session's tools last saw it is not edited. Changes go through `file_change`
alone, which blocks and so runs in a thread.
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
from holdfast_daemon.tools.replacement import (
    NotFound,
    NotUnique,
    Replaced,
    TooLong,
    named_lines,
    replaced,
)
from holdfast_daemon.tools.turns import Turns
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Diff, Location, ToolKind


class EditInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which piece of which file becomes what."""

    path: PathText
    old: Annotated[str, Meta(min_length=1, description="the piece as it stands, blanks and line ends too")]
    new: Annotated[str, Meta(description="what is to stand there; empty to remove it")]
    replace_all: Annotated[bool, Meta(description="replace it everywhere; else it must stand once")] = False


class _Edited(NamedTuple):
    """What a call did: the new text and where, the file's new mark, the diff or None if it is too large."""

    result: Replaced
    mark: str
    diff: Diff | None


class EditTool:
    """Says on which lines something was replaced, and gives the change as a diff.

    Args:
        limits: of the daemon.
        turns: shared by all tools that change files.
    """

    name = "edit"
    description = (
        "Replace an exact piece of a text file inside the session's directories. Read the file first; "
        "if it has changed since then, the edit is refused. `old` must stand in the file exactly once, "
        "unless `replace_all` is set."
    )
    kind: ToolKind = "edit"
    input_type: type[msgspec.Struct] = EditInput

    def __init__(self, limits: ExecutionLimits, turns: Turns) -> None:
        self._limits = limits
        self._turns = turns

    def title(self, tool_input: EditInput) -> str:
        """Name the file."""
        return f"edit {tool_input.path[:200]}"

    def locations(self, tool_input: EditInput, cwd: str) -> tuple[Location, ...]:
        """Give the file."""
        return (Location(path=absolute(cwd, tool_input.path)),)

    async def run(self, tool_input: EditInput, context: ToolContext) -> ToolResult:
        """Edit the file.

        Raises:
            ToolFailure: kinds `not_in_file`, `not_unique`, `stale`, `not_found`, `not_text`, `too_large`,
                `outside_roots`, `symlink`, `protected`, `hard_link`, `forbidden`, `invalid_input`,
                `tool_failed`.
        """
        if tool_input.old == tool_input.new:
            raise ToolFailure("`old` and `new` are the same", kind="invalid_input")
        path = absolute(context.cwd, tool_input.path)
        async with self._turns.at(path):
            seen = context.seen.get(path)
            edited = await anyio.to_thread.run_sync(
                functools.partial(_edit, tool_input, context, self._limits, seen)
            )
            context.seen.note(path, edited.mark)
        return _result(tool_input.path, edited)


def _edit(tool_input: EditInput, context: ToolContext, limits: ExecutionLimits, seen: str | None) -> _Edited:
    path = tool_input.path
    with place_of(path, context) as place:
        existing = _existing(place, path, limits)
        check_unchanged(path, existing, seen)
        old = _text(path, existing)
        result = _replaced(tool_input, old, limits)
        data = result.text.encode("utf-8", "replace")
        if len(data) > limits.file_bytes_max:
            raise _too_large(path, len(data), limits)
        mark = replace_file(place, path, data, existing, anyio.from_thread.check_cancelled)
    return _Edited(result, mark, diff_of(context, path, old, result.text, limits.diff_bytes_max))


def _existing(place: Place, path: str, limits: ExecutionLimits) -> Existing:
    existing = read_existing(place, path, limits.file_bytes_max)
    if existing is None:
        raise ToolFailure(f"there is no file {path}", kind="not_found")
    if existing.data is None:
        raise _too_large(path, existing.found.st_size, limits)
    return existing


def _text(path: str, existing: Existing) -> str:
    assert existing.data is not None
    try:
        text = existing.data.decode()
    except UnicodeDecodeError as error:
        raise ToolFailure(f"{path} is not UTF-8 text", kind="not_text") from error
    if "\0" in text:
        raise ToolFailure(f"{path} is a binary file", kind="not_text")
    return text


def _replaced(tool_input: EditInput, text: str, limits: ExecutionLimits) -> Replaced:
    path = tool_input.path
    try:
        return replaced(
            text,
            tool_input.old,
            tool_input.new,
            every=tool_input.replace_all,
            chars_max=limits.file_bytes_max,
        )
    except NotFound as error:
        near = f": {error}" if str(error) else ""
        raise ToolFailure(f"`old` does not stand in {path}{near}", kind="not_in_file") from error
    except NotUnique as error:
        message = f"`old` stands in {path} {error}; give more of the text around it, or set `replace_all`"
        raise ToolFailure(message, kind="not_unique") from error
    except TooLong as error:
        raise _too_large(path, error.chars, limits) from error


def _too_large(path: str, size: int, limits: ExecutionLimits) -> ToolFailure:
    message = f"{path} has or would have {size} bytes; a file may have {limits.file_bytes_max}"
    return ToolFailure(message, kind="too_large")


def _result(path: str, edited: _Edited) -> ToolResult:
    lines = edited.result.lines
    times = "1 place" if len(lines) == 1 else f"{len(lines)} places"
    text = f"edited {path} in {times}: {named_lines(lines)}."
    if edited.diff is None:
        text = f"{text} [the diff is left out: it is too large]"
        return ToolResult(content=(TextBlock(text=text),), truncated=True)
    return ToolResult(content=(TextBlock(text=text),), diff=(edited.diff,))
