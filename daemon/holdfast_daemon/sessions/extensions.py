"""What the daemon has to give sessions their plugins and MCP servers with. Imports them on first use."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.launcher import Launcher
from holdfast_protocol import events
from holdfast_protocol.methods.extension import McpServerSpec

if TYPE_CHECKING:
    from holdfast_daemon.extensions.mcp_server import McpDeclaration
    from holdfast_daemon.extensions.mcp_values import Elicit
    from holdfast_daemon.extensions.plugins import LoadedPlugin, Plugins
    from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
    from holdfast_daemon.extensions.trust import Trust, TrustTable


class Extensions:
    """The daemon's.

    Args:
        config_dir: holds the user's `plugins/` and `commands/`.
        home: the user's.
        table: keeps which directories are trusted.
        launcher: starts processes.
        limits: of tool calls.
        servers: MCP servers every session gets.

    Attributes:
        generation: changes when plugins are to be read again, or trust was given or taken.
    """

    def __init__(
        self,
        config_dir: Path,
        home: Path,
        table: "TrustTable",
        launcher: Launcher,
        limits: ExecutionLimits,
        servers: tuple[McpServerSpec, ...] = (),
    ) -> None:
        self.generation = 0
        self._config_dir = config_dir
        self._home = home
        self._table = table
        self._launcher = launcher
        self._limits = limits
        self._servers = servers
        self._plugins: Plugins | None = None
        self._trust: Trust | None = None

    @property
    def trust(self) -> "Trust":
        """The directories whose configuration is read."""
        from holdfast_daemon.extensions.trust import Trust  # noqa: PLC0415 - on first use

        if self._trust is None:
            self._trust = Trust(self._table, self._home)
        return self._trust

    @property
    def plugins(self) -> "Plugins":
        """The plugins there are."""
        from holdfast_daemon.extensions.plugins import Plugins  # noqa: PLC0415 - on first use

        if self._plugins is None:
            self._plugins = Plugins(self._config_dir, self.trust, self._launcher)
        return self._plugins

    async def instructions(self, cwd: str) -> tuple[events.Instructions, ...]:
        """Give what the project of a directory tells agents; nothing if it is not trusted."""
        project = await self.trust.project(cwd)
        if not project.has or not await self.trust.is_trusted(project.path):
            return ()
        from holdfast_daemon.extensions.instructions import instructions_event  # noqa: PLC0415 - seldom needed

        return await anyio.to_thread.run_sync(instructions_event, project.path, cwd)

    def reload(self) -> None:
        """Have all plugins read again when they are next asked for."""
        self.plugins.forget()
        self.generation += 1

    async def trust_directory(self, path: str, now: float) -> None:
        """Trust a directory on a person's word, `now` in seconds since 1970.

        Raises:
            NotTrustable: it cannot be trusted.
        """
        await self.trust.trust(path, now)
        self.generation += 1

    async def distrust(self, path: str) -> bool:
        """Trust a directory no longer; False if it was not trusted."""
        removed = await self.trust.remove(path)
        self.generation += 1
        return removed

    def declarations(self, servers: Iterable[McpServerSpec]) -> "list[McpDeclaration]":
        """Give a session's servers that no plugin brings: the client's first, then the configuration's."""
        return [
            *(_declaration(server, "client") for server in servers),
            *(_declaration(server, "configuration") for server in self._servers),
        ]

    def open(
        self,
        place: "SessionPlace",
        plugins: "Sequence[LoadedPlugin]",
        servers: "Sequence[McpDeclaration]",
        taken: Iterable[str],
        elicit: "Elicit",
    ) -> "SessionExtensions":
        """Give one session's share, to be entered by its owner.

        Args:
            place: the session's.
            plugins: as `Plugins.of` gives them.
            servers: see `declarations`.
            taken: names no extension's tool may have.
            elicit: asks the session's people.
        """
        from holdfast_daemon.extensions.session_extensions import SessionExtensions  # noqa: PLC0415 - first use

        return SessionExtensions(
            place,
            plugins,
            servers=servers,
            launcher=self._launcher,
            limits=self._limits,
            taken=taken,
            elicit=elicit,
        )


def _declaration(server: McpServerSpec, origin: str) -> "McpDeclaration":
    from holdfast_daemon.extensions import manifest  # noqa: PLC0415 - on first use
    from holdfast_daemon.extensions.mcp_server import McpDeclaration  # noqa: PLC0415 - on first use
    from holdfast_protocol.methods.extension import StdioServer  # noqa: PLC0415 - for the test of the type

    if isinstance(server, StdioServer):
        entry = manifest.StdioServer(
            name=server.name, command=server.command, args=server.args, env=server.env
        )
    else:
        entry = manifest.HttpServer(name=server.name, url=server.url, headers=server.headers)
    return McpDeclaration(entry=entry, origin=origin)
