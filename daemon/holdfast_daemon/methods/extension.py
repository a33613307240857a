"""Handlers of `plugin/*`, `mcp/*`, `command/list` and `trust/*`."""

from typing import TYPE_CHECKING

import msgspec

from holdfast_daemon.methods.services import Caller, Services
from holdfast_protocol.errors import InvalidParams, NotFound
from holdfast_protocol.methods.extension import (
    CommandInfo,
    CommandListParams,
    CommandListResult,
    McpListParams,
    McpListResult,
    McpRestartParams,
    McpRestartResult,
    McpServerInfo,
    PluginInfo,
    PluginListParams,
    PluginListResult,
    PluginReloadParams,
    PluginReloadResult,
    Problem,
    TrustedDirectory,
    TrustListParams,
    TrustListResult,
    TrustRemoveParams,
    TrustRemoveResult,
)

if TYPE_CHECKING:
    from holdfast_daemon.extensions.manifest import Manifest
    from holdfast_daemon.extensions.mcp_server import McpServerInfo as ServerState
    from holdfast_daemon.extensions.plugins import LoadedPlugin
    from holdfast_daemon.extensions.slash_commands import SessionCommand

_USER_PLACE = "/"
"""A directory that is nobody's project: there only the user's plugins are found."""


async def trust_list(services: Services, _caller: Caller, _params: TrustListParams) -> TrustListResult:
    """Answer `trust/list`."""
    directories = await services.runs.extensions.trust.list()
    return TrustListResult(
        directories=tuple(
            TrustedDirectory(path=each.path, trusted_at=int(each.trusted_at * 1000)) for each in directories
        )
    )


async def trust_remove(services: Services, _caller: Caller, params: TrustRemoveParams) -> TrustRemoveResult:
    """Answer `trust/remove`."""
    return TrustRemoveResult(removed=await services.runs.extensions.distrust(params.path))


async def commands(services: Services, _caller: Caller, params: CommandListParams) -> CommandListResult:
    """Answer `command/list`."""
    session = await services.registry.get(params.session_id)
    found = await session.extensions.commands()
    return CommandListResult(commands=tuple(map(_command, found)))


async def plugins(services: Services, _caller: Caller, params: PluginListParams) -> PluginListResult:
    """Answer `plugin/list`."""
    if params.session_id is not None and params.cwd is not None:
        raise InvalidParams("Give a session or a directory.", path="$.cwd")
    cwd = params.cwd
    if params.session_id is not None:
        cwd = (await services.registry.get(params.session_id)).info().cwd
    found = await services.runs.extensions.plugins.of(cwd or _USER_PLACE)
    return PluginListResult(
        plugins=tuple(_plugin(loaded) for loaded in found.plugins),
        project=found.project if cwd is not None else None,
        trusted=found.trusted and cwd is not None,
    )


async def plugin_reload(
    services: Services, _caller: Caller, _params: PluginReloadParams
) -> PluginReloadResult:
    """Answer `plugin/reload`."""
    services.runs.extensions.reload()
    services.runs.catalogue.forget()
    return PluginReloadResult(sessions=services.registry.statistics().loaded)


async def mcp_list(services: Services, _caller: Caller, params: McpListParams) -> McpListResult:
    """Answer `mcp/list`."""
    session = await services.registry.get(params.session_id)
    await session.extensions.open()
    current = session.extensions.current
    return McpListResult(servers=tuple(map(_server, current.mcp.infos())) if current is not None else ())


async def mcp_restart(services: Services, _caller: Caller, params: McpRestartParams) -> McpRestartResult:
    """Answer `mcp/restart`."""
    session = await services.registry.get(params.session_id)
    await session.extensions.open()
    current = session.extensions.current
    server = current.mcp.get(params.server) if current is not None else None
    if server is None:
        raise NotFound(f"No such server: {params.server}.", resource="mcp_server", id=params.server)
    server.restart()
    return McpRestartResult(server=_server(server.info()))


def _server(state: "ServerState") -> McpServerInfo:
    return McpServerInfo(
        name=state.name,
        type=state.type,
        origin=state.origin,
        status=state.status,
        tools=state.tools,
        resources=state.resources,
        prompts=state.prompts,
        starts=state.starts,
        error=state.error,
    )


def _command(command: "SessionCommand") -> CommandInfo:
    return CommandInfo(
        name=command.name,
        description=command.description,
        source=command.source,
        origin=command.origin,
        hint=command.hint,
    )


def _plugin(loaded: "LoadedPlugin") -> PluginInfo:
    plugin = loaded.plugin
    info = PluginInfo(
        name=plugin.name,
        scope=plugin.scope,
        folder=plugin.folder,
        status=loaded.status,
        skills=tuple(skill.name for skill in loaded.skills),
        problems=tuple(
            Problem(file=each.file, message=each.message, line=each.line, field=each.field or None)
            for each in loaded.problems
        ),
    )
    return info if plugin.manifest is None else _with_contents(info, plugin.manifest)


def _with_contents(info: PluginInfo, manifest: "Manifest") -> PluginInfo:
    return msgspec.structs.replace(
        info,
        version=manifest.version,
        description=manifest.description,
        models=tuple(model.called for model in manifest.models),
        commands=tuple(command.name for command in manifest.commands),
        mcp_servers=tuple(server.name for server in manifest.mcp_servers),
        agents=tuple(agent.name for agent in manifest.agents),
        hooks=tuple(hook.event for hook in manifest.hooks),
        prompts=tuple(prompt.name for prompt in manifest.prompts),
    )
