"""The `read` tool: text of a file inside the session's roots.

Opens through `execution.confined_paths` alone. Reading blocks and so runs in a thread.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Generator
from pathlib import PurePath
from typing import Annotated, BinaryIO, Final

import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.line_range import BinaryFile, LineRange, TooFar, read_line_range
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, ToolKind

LINES_MAX: Final = 2000
TEXT_BYTES_MAX: Final = 48 * 1024
"""Under `ExecutionLimits.result_bytes_max`, so that the note says where to go on instead of a cut."""

SCAN_BYTES_MAX: Final = 256 * 1024 * 1024
"""How far into a file a range may lie; as much as may be read of a process's output."""

_LINE_MAX: Final = 2**31


class ReadInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines of which file."""

    path: Annotated[
        str, Meta(min_length=1, max_length=4096, description="relative to the working directory, or absolute")
    ]
    offset: Annotated[int, Meta(ge=1, le=_LINE_MAX, description="the first line, from 1")] = 1
    limit: Annotated[int, Meta(ge=1, le=LINES_MAX, description="how many lines")] = LINES_MAX


class ReadTool:
    """Gives text as it stands, and a note of its own block where more follows."""

    name = "read"
    description = (
        "Read a text file inside the session's directories. Gives at most "
        f"{LINES_MAX} lines and {TEXT_BYTES_MAX // 1024} KiB; a note says how to go on."
    )
    kind: ToolKind = "read"
    input_type: type[msgspec.Struct] = ReadInput

    def title(self, tool_input: ReadInput) -> str:
        """Name the file."""
        return f"read {tool_input.path[:200]}"

    def locations(self, tool_input: ReadInput, cwd: str) -> tuple[Location, ...]:
        """Give the file and, if asked for, the line."""
        path = os.path.normpath(PurePath(cwd, tool_input.path))
        return (Location(path=path, line=tool_input.offset if tool_input.offset > 1 else None),)

    async def run(self, tool_input: ReadInput, context: ToolContext) -> ToolResult:
        """Read the lines.

        Raises:
            ToolFailure: kinds `not_found`, `outside_roots`, `forbidden`, `not_text`, `out_of_range`,
                `too_large`, `invalid_input`, `tool_failed`.
        """
        lines = await anyio.to_thread.run_sync(functools.partial(_read, tool_input, context))
        if lines.last < lines.first and tool_input.offset > 1:
            message = f"{tool_input.path} ends before line {tool_input.offset}"
            raise ToolFailure(message, kind="out_of_range")
        return _result(lines, asked=tool_input.limit)


def _read(tool_input: ReadInput, context: ToolContext) -> LineRange:
    path = tool_input.path
    if "\0" in path:  # `open` would refuse it too, in its own words.
        raise ToolFailure("a path cannot hold a NUL character", kind="invalid_input")
    try:
        with _open(path, ConfinedPaths(context.cwd, context.roots)) as file:
            return read_line_range(
                file,
                tool_input.offset,
                tool_input.limit,
                bytes_max=TEXT_BYTES_MAX,
                scan_bytes_max=SCAN_BYTES_MAX,
                check=anyio.from_thread.check_cancelled,
            )
    except BinaryFile as error:
        raise ToolFailure(f"{path} is a binary file", kind="not_text") from error
    except TooFar as error:
        message = f"line {tool_input.offset} lies beyond the first {SCAN_BYTES_MAX} bytes of {path}"
        raise ToolFailure(message, kind="too_large") from error
    except (OSError, OutsideRoots) as error:
        raise _open_failure(path, error) from error


@contextlib.contextmanager
def _open(path: str, paths: ConfinedPaths) -> Generator[BinaryIO]:
    with open(path, "rb", opener=lambda name, _flags: paths.open_for_reading(name)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ToolFailure(f"{path} is not a regular file", kind="not_text")
        yield file


def _open_failure(path: str, error: OSError | OutsideRoots) -> ToolFailure:
    match error:
        case OutsideRoots():
            return ToolFailure(f"{path} is outside the session's directories", kind="outside_roots")
        case FileNotFoundError() | NotADirectoryError():
            return ToolFailure(f"there is no file {path}", kind="not_found")
        case IsADirectoryError():
            return ToolFailure(f"{path} is a directory", kind="not_text")
        case PermissionError():
            return ToolFailure(f"{path} may not be read", kind="forbidden")
        case _:
            return ToolFailure(f"{path} cannot be read: {error.strerror}")


def _result(lines: LineRange, asked: int) -> ToolResult:
    text = lines.data.decode("utf-8", "replace")
    notes: list[str] = []
    if lines.last < lines.first:
        notes.append("the file is empty")
    if lines.cut_line:
        notes.append(f"line {lines.last} is longer than {TEXT_BYTES_MAX} bytes; only its beginning is shown")
    elif lines.more:
        notes.append(f"lines {lines.first} to {lines.last}; go on with offset {lines.last + 1}")
    if not lines.cut_line and "\ufffd" in text and not _is_utf8(lines.data):
        notes.append("the file is not UTF-8; what could not be read is shown as \ufffd")
    content = [TextBlock(text=text)]
    if notes:
        content.append(TextBlock(text=f"[{'; '.join(notes)}]"))
    fewer = lines.last - lines.first + 1 < asked
    return ToolResult(content=tuple(content), truncated=lines.cut_line or (lines.more and fewer))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
