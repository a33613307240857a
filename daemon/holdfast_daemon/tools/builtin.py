"""The list of built-in tools."""

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.base import Tool
from holdfast_daemon.tools.files import ReadTool
from holdfast_daemon.tools.shell import ShellTool


def builtin_tools(unsafe_shell: bool, limits: ExecutionLimits | None = None) -> tuple[Tool, ...]:
    """Give the tools every session is offered, in a stable order.

    Args:
        unsafe_shell: whether the shell is among them; it is confined by no sandbox.
        limits: the daemon's; the defaults if None.
    """
    read: Tool = ReadTool()
    if not unsafe_shell:
        return (read,)
    return (read, ShellTool(limits or ExecutionLimits()))
