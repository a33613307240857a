"""The list of built-in tools."""

from holdfast_daemon.config import ExecutionLimits, FetchSettings
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.tools.base import Tool
from holdfast_daemon.tools.delegate import DelegateTool
from holdfast_daemon.tools.edit import EditTool
from holdfast_daemon.tools.files import ReadTool
from holdfast_daemon.tools.listing import GlobTool, ListTool
from holdfast_daemon.tools.search import GrepTool
from holdfast_daemon.tools.shell import ShellTool
from holdfast_daemon.tools.todo import TodoTool
from holdfast_daemon.tools.turns import Turns
from holdfast_daemon.tools.write import WriteTool


def builtin_tools(
    limits: ExecutionLimits, launcher: Launcher | None = None, fetching: FetchSettings | None = None
) -> tuple[Tool, ...]:
    """Give the tools every session is offered, in a stable order.

    Args:
        limits: the daemon's.
        launcher: the daemon's; None: processes are not confined.
        fetching: the daemon's. Without a domain there is no `fetch`: nobody needs a tool that always refuses.
    """
    launcher = launcher or Launcher()
    turns = Turns()
    return (
        ReadTool(),
        WriteTool(limits, turns),
        EditTool(limits, turns),
        ListTool(limits),
        GlobTool(limits),
        GrepTool(limits, launcher),
        ShellTool(limits, launcher),
        *_fetch(limits, launcher, fetching),
        TodoTool(),
        DelegateTool(limits.timeout_s_max),
    )


def _fetch(limits: ExecutionLimits, launcher: Launcher, fetching: FetchSettings | None) -> tuple[Tool, ...]:
    if fetching is None or not fetching.domains:
        return ()
    from holdfast_daemon.tools.fetch import FetchTool  # noqa: PLC0415 - where something may be fetched

    return (FetchTool(limits, launcher, fetching),)
