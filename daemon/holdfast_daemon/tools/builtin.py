"""The list of built-in tools."""

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.base import Tool
from holdfast_daemon.tools.edit import EditTool
from holdfast_daemon.tools.files import ReadTool
from holdfast_daemon.tools.listing import GlobTool, ListTool
from holdfast_daemon.tools.search import GrepTool
from holdfast_daemon.tools.shell import ShellTool
from holdfast_daemon.tools.todo import TodoTool
from holdfast_daemon.tools.turns import Turns
from holdfast_daemon.tools.write import WriteTool


def builtin_tools(limits: ExecutionLimits) -> tuple[Tool, ...]:
    """Give the tools every session is offered, in a stable order.

    Args:
        limits: the daemon's.
    """
    turns = Turns()
    return (
        ReadTool(),
        WriteTool(limits, turns),
        EditTool(limits, turns),
        ListTool(limits),
        GlobTool(limits),
        GrepTool(limits),
        ShellTool(limits),
        TodoTool(),
    )
