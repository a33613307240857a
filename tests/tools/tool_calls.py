"""Calls a tool through the executor, as a session does."""

import contextlib
import copy
from pathlib import Path

import anyio
import msgspec

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor, PreparedCall
from holdfast_daemon.tools.base import Tool, ToolContext, ToolResult
from holdfast_daemon.tools.builtin import builtin_tools
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo


class Called:
    """The outcome of a call and the output it gave on the way."""

    def __init__(self) -> None:
        self.outcome: ToolResult | ErrorInfo | None = None
        self.output = ""
        self.spoke = anyio.Event()

    async def take(self, text: str) -> None:
        self.output += text
        self.spoke.set()

    @property
    def texts(self) -> list[str]:
        assert isinstance(self.outcome, ToolResult), self.outcome
        return [block.text for block in self.outcome.content if isinstance(block, TextBlock)]

    @property
    def error(self) -> ErrorInfo:
        assert isinstance(self.outcome, ErrorInfo), self.outcome
        return self.outcome


class Workbench:
    """A session of its own with some tools, in a directory."""

    def __init__(
        self,
        cwd: Path,
        *tools: Tool,
        roots: tuple[Path, ...] = (),
        hidden: tuple[Path, ...] = (),
        limits: ExecutionLimits | None = None,
    ) -> None:
        self.limits = limits or ExecutionLimits()
        self._cwd = cwd
        self._roots = (str(cwd), *map(str, roots))
        self._hidden = tuple(map(str, hidden))
        self._executor = Executor(tools or builtin_tools(self.limits), self.limits)
        self._session = self._executor.session()

    def another_session(self) -> "Workbench":
        """Give a bench with the same tools whose session has seen nothing."""
        other = copy.copy(self)
        other._session = self._executor.session()
        return other

    async def call(self, tool: str, called: Called | None = None, /, **tool_input: object) -> Called:
        called = called or Called()
        prepared = self._executor.prepare(tool, msgspec.json.encode(tool_input).decode(), str(self._cwd))
        assert isinstance(prepared, PreparedCall), prepared
        context = ToolContext(
            tool_call_id="c1",
            cwd=str(self._cwd),
            roots=self._roots,
            hidden=self._hidden,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._cwd)},
            output=called.take,
        )
        with anyio.fail_after(20):
            called.outcome = await self._session.run(prepared, context)
        return called


async def call(tool: Tool, cwd: Path, called: Called | None = None, /, **tool_input: object) -> Called:
    """Call one tool, in a session that has done nothing before."""
    return await Workbench(cwd, tool).call(tool.name, called, **tool_input)


def runs_with(mark: str) -> bool:
    """Tell whether a process has that word on its command line."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if mark.encode() in (path / "cmdline").read_bytes():
                    return True
    return False
