"""What plugins and MCP servers add to one session: tools, hooks, commands. Gone with the session.

Knows nothing of sessions: it is given a directory, an environment and ways to ask and to tell.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import msgspec

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.confinement import Confinement, own_places
from holdfast_daemon.execution.gate import EDITING, READ_ONLY
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.command_tool import CommandTool
from holdfast_daemon.extensions.extension_tool import ExtensionTool
from holdfast_daemon.extensions.external_hooks import ExternalHooks, PluginHook
from holdfast_daemon.extensions.loader import Plugin
from holdfast_daemon.extensions.manifest import MANIFEST_NAME, Problem
from holdfast_daemon.extensions.mcp_server import McpDeclaration, McpLimits
from holdfast_daemon.extensions.mcp_servers import McpServers
from holdfast_daemon.extensions.mcp_values import Elicit
from holdfast_daemon.extensions.plugins import LoadedPlugin
from holdfast_daemon.extensions.skills import SkillTool
from holdfast_daemon.extensions.slash_commands import SessionCommand
from holdfast_daemon.extensions.worker_pool import WorkerLimits, WorkerPool

TOOLS_MAX: Final = 256
"""Tools of one session from all extensions; what comes after is left out, with a problem."""


class SessionPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session is.

    Attributes:
        cwd: absolute.
        roots: directories tools may touch; the first is `cwd`.
        env: allow-listed; children get this and nothing else.
        hidden: the daemon's own directories.
    """

    cwd: str
    roots: tuple[str, ...]
    env: dict[str, str]
    hidden: tuple[str, ...] = ()


class SessionExtensions:
    """One session's; an async context manager, whose end ends all processes.

    Args:
        place: the session's.
        plugins: as `Plugins.of` gives them; those with a problem bring what is left of them.
        servers: MCP servers of the configuration and of `session/create`; they come before those of plugins.
        launcher: the daemon's; starts all processes.
        limits: the daemon's.
        taken: names of tools no extension may have, beside those the gate knows by name.
        elicit: asks people for MCP servers; None: nobody is asked.
        changed: called when the tools may have changed; must not wait or raise.
        mcp_limits: of each server.
    """

    def __init__(
        self,
        place: SessionPlace,
        plugins: Sequence[LoadedPlugin],
        *,
        servers: Sequence[McpDeclaration] = (),
        launcher: Launcher | None = None,
        limits: ExecutionLimits | None = None,
        taken: Iterable[str] = (),
        elicit: Elicit | None = None,
        changed: Callable[[], None] = lambda: None,
        mcp_limits: McpLimits | None = None,
    ) -> None:
        limits = limits or ExecutionLimits()
        launcher = launcher or Launcher()
        folders = tuple(loaded.plugin.folder for loaded in plugins if loaded.plugin.manifest is not None)
        child_place = ChildPlace(
            cwd=place.cwd,
            env=place.env,
            confinement=Confinement(writable=place.roots, readable=own_places(), hidden=place.hidden),
            launcher=launcher,
            grace_s=limits.grace_s,
        )
        self._agent_place = msgspec.structs.replace(
            child_place,
            confinement=Confinement(readable=(*place.roots, *own_places()), hidden=place.hidden),
            folders=folders,
            grace_s=0.0,
        )
        self._pool = WorkerPool(child_place, WorkerLimits(workers_max=limits.calls_per_session_max))
        open_place = msgspec.structs.replace(
            child_place, confinement=msgspec.structs.replace(child_place.confinement, network=True)
        )
        declarations = [*servers, *_declarations(plugins)]
        self.mcp = McpServers(
            declarations, open_place, place.roots, limits=mcp_limits, elicit=elicit, changed=changed
        )
        self.hooks = ExternalHooks(_hooks(plugins), child_place, self._pool)
        self._own, self.problems = self._plugin_tools(
            plugins, launcher, limits, {*taken, *READ_ONLY, *EDITING}
        )
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._pool)
            await stack.enter_async_context(self.mcp)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exit.__aexit__(kind, error, traceback)

    def tools(self) -> dict[str, ExtensionTool]:
        """Give the tools there are now, by name: those of plugins, then those of MCP servers."""
        tools = (*self._own, *self.mcp.tools())[:TOOLS_MAX]
        return {tool.name: tool for tool in tools}

    def commands(self) -> tuple[SessionCommand, ...]:
        """Give the slash commands of MCP servers there are now; all others are in `ProjectExtensions`."""
        return self.mcp.commands()

    @property
    def agent_place(self) -> ChildPlace:
        """Where processes of agents run: they read what the session and their plugin have, change nothing."""
        return self._agent_place

    async def retire_workers(self) -> None:
        """Let skills run the code that is on disk now."""
        await self._pool.retire()

    def _plugin_tools(
        self, plugins: Sequence[LoadedPlugin], launcher: Launcher, limits: ExecutionLimits, taken: set[str]
    ) -> tuple[tuple[ExtensionTool, ...], tuple[Problem, ...]]:
        """Give the plugins' tools; a name counts once."""
        tools: list[ExtensionTool] = []
        problems: list[Problem] = []
        for loaded in plugins:
            for tool in (*self._skills(loaded), *_commands(loaded.plugin, launcher, limits)):
                if tool.name in taken:
                    file = f"{loaded.plugin.folder}/{MANIFEST_NAME}"
                    message = f"the tool `{tool.name}` is off: there is another of that name"
                    problems.append(Problem(file=file, message=message))
                    continue
                taken.add(tool.name)
                tools.append(tool)
        return tuple(tools), tuple(problems)

    def _skills(self, loaded: LoadedPlugin) -> list[ExtensionTool]:
        return [SkillTool(skill, self._pool, loaded.plugin.scope) for skill in loaded.skills]


def _commands(plugin: Plugin, launcher: Launcher, limits: ExecutionLimits) -> list[ExtensionTool]:
    if plugin.manifest is None:
        return []
    return [
        CommandTool(entry, plugin.name, plugin.folder, plugin.scope, launcher, limits)
        for entry in plugin.manifest.commands
    ]


def _hooks(plugins: Sequence[LoadedPlugin]) -> list[PluginHook]:
    return [
        PluginHook(plugin=plugin.name, folder=plugin.folder, entry=entry)
        for plugin in (loaded.plugin for loaded in plugins)
        if plugin.manifest is not None
        for entry in plugin.manifest.hooks
    ]


def _declarations(plugins: Sequence[LoadedPlugin]) -> list[McpDeclaration]:
    return [
        McpDeclaration(entry=entry, origin=f"plugin {plugin.name}", folder=plugin.folder, scope=plugin.scope)
        for plugin in (loaded.plugin for loaded in plugins)
        if plugin.manifest is not None
        for entry in plugin.manifest.mcp_servers
    ]
