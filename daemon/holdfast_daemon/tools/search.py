"""The `grep` tool: lines that fit a regular expression, in the files inside the session's roots.

The search runs in a process of its own (`grep_process`), with no environment, which ends with the call:
neither a pattern that never ends nor a tree of any size can hold the daemon up.
"""

import functools
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import anyio
import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confined_paths import ConfinedPaths, OutsideRoots
from holdfast_daemon.execution.confinement import Confinement, own_places
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.path_arguments import PathText, absolute, check_path, path_failure
from holdfast_daemon.tools.tree import SKIPPED
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, ToolKind

CONTEXT_MAX: Final = 20

# Isolated and without site packages; the daemon's own package comes last, so that it shadows nothing.
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from holdfast_daemon.tools.grep_process import main; main()"
)
_PACKAGES: Final = str(Path(__file__).resolve().parents[2])


class GrepInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for, and where."""

    pattern: Annotated[
        str, Meta(min_length=1, max_length=1000, description="a regular expression as of Python's re")
    ]
    path: Annotated[PathText, Meta(description="a file or directory; the working directory if left out")] = (
        "."
    )
    glob: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1000)] | None,
        Meta(description="only files whose paths fit it, as `*.py` or `src/**/*.ts`"),
    ] = None
    ignore_case: Annotated[bool, Meta(description="take capitals and small letters for the same")] = False
    context: Annotated[
        int, Meta(ge=0, le=CONTEXT_MAX, description="lines shown before and after each match")
    ] = 0


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """What the search says of itself when it is through."""

    matches: int
    files: int
    notes: list[str]
    full: bool


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    message: str


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the process."""

    line: str | None = None
    end: _End | None = None
    failure: _Failure | None = None


class _Report:
    """What the process said, whole lines of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.end: _End | None = None
        self.failure: _Failure | None = None
        self._rest = ""

    async def take(self, text: str) -> None:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            said = msgspec.json.decode(line, type=_Said)
            if said.line is not None:
                self.lines.append(said.line)
            self.end = said.end or self.end
            self.failure = said.failure or self.failure


class GrepTool:
    """Gives lines as `path:number:text`, and those near them as `path-number-text`.

    Args:
        limits: of the daemon.
        launcher: of the daemon.
    """

    name = "grep"
    description = (
        "Search text files inside the session's directories, line by line, for a regular expression. Leaves "
        f"out binary files, symlinks and what is in {', '.join(sorted(SKIPPED))}, unless `path` is there."
    )
    kind: ToolKind = "search"
    input_type: type[msgspec.Struct] = GrepInput

    def __init__(self, limits: ExecutionLimits, launcher: Launcher | None = None) -> None:
        self._limits = limits
        self._launcher = launcher or Launcher()

    def title(self, tool_input: GrepInput) -> str:
        """Show the pattern."""
        return f"search for {tool_input.pattern[:200]}"

    def locations(self, tool_input: GrepInput, cwd: str) -> tuple[Location, ...]:
        """Give the file or directory."""
        return (Location(path=absolute(cwd, tool_input.path)),)

    async def run(self, tool_input: GrepInput, context: ToolContext) -> ToolResult:
        """Search.

        Raises:
            ToolFailure: kinds `not_found`, `outside_roots`, `forbidden`, `timeout`, `too_large`,
                `invalid_input`, `no_sandbox`, `tool_failed`.
        """
        await anyio.to_thread.run_sync(functools.partial(_check_there, tool_input.path, context))
        report = _Report()
        with anyio.move_on_after(self._limits.search_timeout_s):
            await self._search(tool_input, context, report)
        if report.failure is not None:
            raise ToolFailure(report.failure.message, kind=report.failure.kind)
        return _result(report) if report.end is not None else self._cut_short(report)

    async def _search(self, tool_input: GrepInput, context: ToolContext, report: _Report) -> None:
        asked = {
            **msgspec.structs.asdict(tool_input),
            "cwd": context.cwd,
            "roots": context.roots,
            "hidden": context.hidden,
            "walked_entries_max": self._limits.walked_entries_max,
            "matches_max": self._limits.matches_max,
            "searched_file_bytes_max": self._limits.searched_file_bytes_max,
        }
        # ASCII, whatever the locale makes of arguments.
        argv = (sys.executable, "-I", "-S", "-c", _PROGRAM, _PACKAGES, json.dumps(asked))
        try:
            code = await self._launcher.run(
                argv,
                cwd="/",
                env={},
                limits=self._limits,
                output=report.take,
                confinement=Confinement(readable=(*context.roots, *own_places()), hidden=context.hidden),
            )
        except NotConfined as error:
            raise ToolFailure(f"a search must be confined here: {error}", kind="no_sandbox") from error
        except OSError as error:
            raise ToolFailure(f"the search could not be started: {error.strerror}") from error
        if report.end is None and report.failure is None:
            raise ToolFailure(f"the search broke off with exit code {code}")

    def _cut_short(self, report: _Report) -> ToolResult:
        """Give what was found before the time was over."""
        seconds = f"{self._limits.search_timeout_s:g} s"
        if not report.lines:
            message = f"no match was found in {seconds}; take a simpler pattern or a smaller directory"
            raise ToolFailure(message, kind="timeout")
        note = f"the search was ended after {seconds}: there may be more"
        return _shown(report.lines, [note], truncated=True)


def _check_there(path: str, context: ToolContext) -> None:
    """Say in a tool's words why a path cannot be searched; the process opens it anew."""
    check_path(path)
    try:
        os.close(ConfinedPaths(context.cwd, context.roots, context.hidden).open_for_reading(path))
    except (OSError, OutsideRoots) as error:
        raise path_failure(path, error) from error


def _result(report: _Report) -> ToolResult:
    end = report.end
    assert end is not None
    notes = end.notes if report.lines else ["no match", *end.notes]
    return _shown(report.lines, notes, truncated=end.full)


def _shown(lines: list[str], notes: list[str], *, truncated: bool) -> ToolResult:
    content = [TextBlock(text="".join(f"{line}\n" for line in lines))]
    if notes:
        content.append(TextBlock(text=f"[{'; '.join(notes)}]"))
    return ToolResult(content=tuple(content), truncated=truncated)
