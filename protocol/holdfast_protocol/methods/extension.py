"""What people add: plugins, MCP servers, slash commands; and the directories they trust."""

from typing import Annotated, Literal

from msgspec import Meta, field

from holdfast_protocol.events.base import Identifier, WireStruct
from holdfast_protocol.methods.table import Method

_Words = Annotated[tuple[Annotated[str, Meta(max_length=16384)], ...], Meta(max_length=256)]
_Named = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=256)], Annotated[str, Meta(max_length=16384)]],
    Meta(max_length=64),
]
_ServerName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$(?!\n)")]
_Directory = Annotated[str, Meta(min_length=1, max_length=4096)]


class StdioServer(WireStruct, frozen=True, kw_only=True, tag_field="type", tag="stdio"):
    """An MCP server that is a child process. `env` is added to the session's; stored and never shown."""

    name: _ServerName
    command: Annotated[str, Meta(min_length=1, max_length=4096)]
    args: _Words = ()
    env: _Named = field(default_factory=dict[str, str])


class HttpServer(WireStruct, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """An MCP server over streamable HTTP. `headers` are stored and never shown."""

    name: _ServerName
    url: Annotated[str, Meta(pattern=r"^https?://", min_length=1, max_length=4096)]
    headers: _Named = field(default_factory=dict[str, str])


McpServerSpec = StdioServer | HttpServer


class Problem(WireStruct, frozen=True, kw_only=True):
    """Why something is off. `line` counts from 1; `field` is a path as `skills[0].module`."""

    file: str
    message: str
    line: int | None = None
    field: str | None = None


class PluginInfo(WireStruct, frozen=True, kw_only=True):
    """A plugin and what it brings, by name; a `problem` takes off what it is about."""

    name: str
    scope: Literal["user", "project"]
    folder: str
    status: Literal["loaded", "partly", "failed"]
    version: str | None = None
    description: str | None = None
    models: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class PluginListParams(WireStruct, frozen=True, kw_only=True):
    """The user's plugins; with a session or a directory also those of its project, if that is trusted."""

    session_id: Identifier | None = None
    cwd: _Directory | None = None


class PluginListResult(WireStruct, frozen=True, kw_only=True):
    """The plugins. `project` is the project's directory, `trusted` whether its folder was read."""

    plugins: tuple[PluginInfo, ...]
    project: str | None = None
    trusted: bool = False


class PluginReloadParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class PluginReloadResult(WireStruct, frozen=True, kw_only=True):
    """How many sessions take the plugins up anew, each at its next run."""

    sessions: int


class McpServerInfo(WireStruct, frozen=True, kw_only=True):
    """An MCP server of a session.

    Attributes:
        origin: who declared it: `configuration`, `client`, or `plugin NAME`.
        starts: how often it was started.
        error: why it is not running.
    """

    name: str
    type: Literal["stdio", "http"]
    origin: str
    status: str
    tools: int = 0
    resources: int = 0
    prompts: int = 0
    starts: int = 0
    error: str | None = None


class McpListParams(WireStruct, frozen=True, kw_only=True):
    """Which session; its servers are started if they were not."""

    session_id: Identifier


class McpListResult(WireStruct, frozen=True, kw_only=True):
    """The session's servers."""

    servers: tuple[McpServerInfo, ...]


class McpRestartParams(WireStruct, frozen=True, kw_only=True):
    """Which server of which session."""

    session_id: Identifier
    server: _ServerName


class McpRestartResult(WireStruct, frozen=True, kw_only=True):
    """How the server stands: it is being started anew."""

    server: McpServerInfo


class CommandInfo(WireStruct, frozen=True, kw_only=True):
    """A slash command: the prompt `/NAME words` stands for its text.

    Attributes:
        origin: a file, a plugin, or a server.
        hint: what may stand behind the name.
    """

    name: str
    description: str
    source: Literal["user", "project", "plugin", "mcp"]
    origin: str
    hint: str | None = None


class CommandListParams(WireStruct, frozen=True, kw_only=True):
    """Which session."""

    session_id: Identifier


class CommandListResult(WireStruct, frozen=True, kw_only=True):
    """The commands, by name."""

    commands: tuple[CommandInfo, ...]


class TrustedDirectory(WireStruct, frozen=True, kw_only=True):
    """A directory whose configuration and instructions are read. `trusted_at` is in Unix ms."""

    path: str
    trusted_at: int


class TrustListParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class TrustListResult(WireStruct, frozen=True, kw_only=True):
    """The trusted directories, by path."""

    directories: tuple[TrustedDirectory, ...]


class TrustRemoveParams(WireStruct, frozen=True, kw_only=True):
    """Which directory."""

    path: _Directory


class TrustRemoveResult(WireStruct, frozen=True, kw_only=True):
    """Whether it was trusted."""

    removed: bool


METHODS: tuple[Method, ...] = (
    Method(
        name="trust/list",
        direction="call",
        params=TrustListParams,
        result=TrustListResult,
        errors=("storage_unavailable",),
        role="observer",
        summary="List trusted directories.",
    ),
    Method(
        name="trust/remove",
        direction="call",
        params=TrustRemoveParams,
        result=TrustRemoveResult,
        errors=("storage_unavailable",),
        summary="Trust a directory no longer.",
    ),
    Method(
        name="command/list",
        direction="call",
        params=CommandListParams,
        result=CommandListResult,
        errors=("not_found", "storage_unavailable"),
        summary="List a session's slash commands.",
    ),
    Method(
        name="plugin/list",
        direction="call",
        params=PluginListParams,
        result=PluginListResult,
        errors=("not_found", "storage_unavailable"),
        summary="List plugins and what is wrong with them.",
    ),
    Method(
        name="plugin/reload",
        direction="call",
        params=PluginReloadParams,
        result=PluginReloadResult,
        summary="Read all plugins again.",
    ),
    Method(
        name="mcp/list",
        direction="call",
        params=McpListParams,
        result=McpListResult,
        errors=("not_found", "storage_unavailable"),
        summary="List a session's MCP servers.",
    ),
    Method(
        name="mcp/restart",
        direction="call",
        params=McpRestartParams,
        result=McpRestartResult,
        errors=("not_found", "storage_unavailable"),
        summary="Start an MCP server anew.",
    ),
)
