"""The `read` tool: text of a file inside the session's roots.

Opens through `execution.confined_paths` alone. Reading blocks and so runs in a thread.
"""

import contextlib
import functools
import os
import stat
from collections.abc import Generator
from typing import Annotated, BinaryIO, Final

import anyio.from_thread
import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots
from holdfast_daemon.execution.kept_results import PREFIX, kept_path
from holdfast_daemon.execution.seen_files import mark_of
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.line_range import BinaryFile, LineRange, TooFar, read_line_range
from holdfast_daemon.tools.path_arguments import PathText, absolute, check_path, path_failure
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

    path: PathText
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
        if tool_input.path.startswith(PREFIX):
            return ()
        line = tool_input.offset if tool_input.offset > 1 else None
        return (Location(path=absolute(cwd, tool_input.path), line=line),)

    async def run(self, tool_input: ReadInput, context: ToolContext) -> ToolResult:
        """Read the lines.

        Raises:
            ToolFailure: kinds `not_found`, `outside_roots`, `forbidden`, `not_text`, `out_of_range`,
                `too_large`, `invalid_input`, `tool_failed`.
        """
        lines, mark = await anyio.to_thread.run_sync(functools.partial(_read, tool_input, context))
        context.seen.note(absolute(context.cwd, tool_input.path), mark)
        if lines.last < lines.first and tool_input.offset > 1:
            message = f"{tool_input.path} ends before line {tool_input.offset}"
            raise ToolFailure(message, kind="out_of_range")
        return _result(lines, asked=tool_input.limit)


def _read(tool_input: ReadInput, context: ToolContext) -> tuple[LineRange, str]:
    """Give the lines, and the mark of the file as it was before they were read."""
    path = tool_input.path
    check_path(path)
    try:
        with _open(path, context) as file:
            mark = mark_of(os.fstat(file.fileno()))
            lines = read_line_range(
                file,
                tool_input.offset,
                tool_input.limit,
                bytes_max=TEXT_BYTES_MAX,
                scan_bytes_max=SCAN_BYTES_MAX,
                check=anyio.from_thread.check_cancelled,
            )
            return lines, mark
    except BinaryFile as error:
        raise ToolFailure(f"{path} is a binary file", kind="not_text") from error
    except TooFar as error:
        message = f"line {tool_input.offset} lies beyond the first {SCAN_BYTES_MAX} bytes of {path}"
        raise ToolFailure(message, kind="too_large") from error
    except (OSError, OutsideRoots) as error:
        raise path_failure(path, error) from error


@contextlib.contextmanager
def _open(path: str, context: ToolContext) -> Generator[BinaryIO]:
    paths = ConfinedPaths(context.cwd, context.roots, context.hidden)
    kept = kept_path(context.results, path)

    def opener(name: str, flags: int) -> int:
        if kept is not None:  # Its name has no slash, and nobody else writes there.
            return os.open(kept, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
        return paths.open_for_reading(name)

    with open(path, "rb", opener=opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ToolFailure(f"{path} is not a regular file", kind="not_text")
        yield file


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
