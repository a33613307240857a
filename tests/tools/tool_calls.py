"""Calls a tool through the executor, as a session does."""

import contextlib
from pathlib import Path

import anyio
import msgspec

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.executor import Executor, PreparedCall
from holdfast_daemon.tools.base import Tool, ToolContext, ToolResult
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


async def call(tool: Tool, cwd: Path, called: Called | None = None, **tool_input: object) -> Called:
    called = called or Called()
    executor = Executor((tool,), ExecutionLimits())
    prepared = executor.prepare(tool.name, msgspec.json.encode(tool_input).decode(), str(cwd))
    assert isinstance(prepared, PreparedCall), prepared
    context = ToolContext(
        cwd=str(cwd), roots=(str(cwd),), env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)}, output=called.take
    )
    with anyio.fail_after(20):
        called.outcome = await executor.session().run(prepared, context)
    return called


def runs_with(mark: str) -> bool:
    """Tell whether a process has that word on its command line."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if mark.encode() in (path / "cmdline").read_bytes():
                    return True
    return False
