"""The MCP servers of one session: all started at once, each in a task of its own, all gone at the end.

Every session has servers of its own; nothing is shared between sessions.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import anyio

from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.extension_tool import ExtensionTool
from holdfast_daemon.extensions.mcp_commands import McpCommand, commands_of_servers
from holdfast_daemon.extensions.mcp_server import McpDeclaration, McpLimits, McpServer, McpServerInfo
from holdfast_daemon.extensions.mcp_tools import tools_of
from holdfast_daemon.extensions.mcp_values import Elicit


class McpServers:
    """A session's servers; an async context manager whose end ends them and all they started.

    Args:
        declarations: of a name the first counts.
        place: where children run; `env` is the session's.
        roots: the session's.
        limits: of each server.
        elicit: asks people; None: nobody is asked.
        changed: called when the tools or a status may have changed; must not wait or raise.
    """

    def __init__(
        self,
        declarations: Sequence[McpDeclaration],
        place: ChildPlace,
        roots: tuple[str, ...],
        *,
        limits: McpLimits | None = None,
        elicit: Elicit | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._tools: tuple[ExtensionTool, ...] | None = None  # Made anew after a change.
        self._tell = changed
        self._servers: dict[str, McpServer] = {}
        for declaration in declarations:
            server = McpServer(declaration, place, roots, limits or McpLimits(), elicit, self._changed)
            self._servers.setdefault(server.name, server)
        self._group = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for server in self._servers.values():
            self._group.start_soon(server.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)  # It would wrap the caller's error in a group.

    async def settled(self, timeout_s: float) -> bool:
        """Wait until every server runs or has failed once; tell whether that came to be in time."""
        with anyio.move_on_after(timeout_s):
            for server in self._servers.values():
                await server.settled.wait()
            return True
        return False

    def tools(self) -> tuple[ExtensionTool, ...]:
        """Give the tools there are now."""
        if self._tools is None:
            self._tools = tools_of(self._servers.values())
        return self._tools

    def commands(self) -> tuple[McpCommand, ...]:
        """Give the prompts there are now as slash commands."""
        return commands_of_servers(self._servers.values())

    def infos(self) -> tuple[McpServerInfo, ...]:
        """Give the servers as people see them (`mcp/list`)."""
        return tuple(server.info() for server in self._servers.values())

    def get(self, name: str) -> McpServer | None:
        """Give a server by its name."""
        return self._servers.get(name)

    def restart(self, name: str) -> bool:
        """Start a server anew (`mcp/restart`); False if there is none of that name."""
        server = self._servers.get(name)
        if server is None:
            return False
        server.restart()
        return True

    def _changed(self) -> None:
        self._tools = None
        self._tell()
