"""Tools of MCP servers as tools of a session, under names no other tool has; two tools more for resources."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_daemon.extensions.extension_tool import DeclaredTool, ExtensionTool
from holdfast_daemon.extensions.mcp_server import McpServer
from holdfast_daemon.extensions.mcp_values import McpFailure, RemoteTool
from holdfast_daemon.extensions.plain_schema import BadSchema, plain_schema
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock, plain_text
from holdfast_protocol.events import Json

PREFIX: Final = "mcp__"
NAME_MAX: Final = 64
DESCRIPTION_CHARACTERS_MAX: Final = 8192

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_SERVER_AND_URI: Final[dict[str, Json]] = {
    "type": "object",
    "properties": {
        "server": {"type": "string", "description": "the MCP server's name"},
        "uri": {"type": "string", "description": "as `mcp__list_resources` gives it"},
    },
    "required": ["server", "uri"],
    "additionalProperties": False,
}


def tool_name(server: str, tool: str) -> str:
    """Give the name a model sees: `mcp__SERVER__TOOL`; ends with a digest where that had to be changed."""
    whole = f"{PREFIX}{server}__{tool}"
    name = _NOT_IN_NAMES.sub("_", whole)
    if name == whole and len(name) <= NAME_MAX:
        return name
    digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: NAME_MAX - 9]}_{digest}"


def tools_of(servers: Iterable[McpServer]) -> tuple[ExtensionTool, ...]:
    """Give the tools the servers offer now; one whose schema cannot be shown is left out."""
    tools: dict[str, ExtensionTool] = {}
    with_resources: list[McpServer] = []
    for server in servers:
        for remote in server.offer.tools:
            try:
                tool = McpTool(server, remote)
            except BadSchema:
                continue
            tools.setdefault(tool.name, tool)
        if server.offer.resources:
            with_resources.append(server)
    if with_resources:
        for tool in (ListResourcesTool(with_resources), ReadResourceTool(with_resources)):
            tools[tool.name] = tool
    return tuple(tools.values())


def _source_of_all(servers: list[McpServer]) -> str:
    return "\n".join(sorted(f"{server.name} {server.source}" for server in servers))


class McpTool(DeclaredTool):
    """A tool of a server. Implements `ExtensionTool`.

    Its kind is always `other`: what a server says of its tools is not to be trusted.

    Args:
        server: whose.
        remote: as the server describes it.

    Raises:
        BadSchema: it cannot be shown to a model.
    """

    def __init__(self, server: McpServer, remote: RemoteTool) -> None:
        super().__init__(
            name=tool_name(server.name, remote.name),
            description=remote.description[:DESCRIPTION_CHARACTERS_MAX] or remote.name,
            input_schema=plain_schema(remote.input_schema),
            kind="other",
            timeout_s=server.call_timeout_s,
            origin=f"MCP server {server.name}",
            source=server.source,
        )
        self._server = server
        self._remote_name = remote.name

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Call it; a cancellation is passed on to the server.

        Raises:
            ToolFailure: kinds `mcp_tool_error` (the tool's own words), `mcp_failed`, `mcp_lost`,
                `mcp_unavailable`, `timeout`.
        """
        del context
        try:
            outcome = await self._server.call(self._remote_name, tool_input)
        except McpFailure as failure:
            raise ToolFailure(str(failure), kind=failure.kind) from failure
        if outcome.is_error:
            said = self._server.secrets.struck(plain_text(outcome.content))
            raise ToolFailure(said or "the tool failed", kind="mcp_tool_error")
        return ToolResult(content=outcome.content or (TextBlock(text="done"),))


class ListResourcesTool(DeclaredTool):
    """Lists what can be read. Implements `ExtensionTool`."""

    def __init__(self, servers: list[McpServer]) -> None:
        super().__init__(
            name=f"{PREFIX}list_resources",
            description="List the resources that MCP servers offer to read.",
            input_schema={"type": "object", "properties": {}, "additionalProperties": False},
            kind="other",
            timeout_s=10.0,
            origin="MCP servers",
            source=_source_of_all(servers),
        )
        self._servers = servers

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Give the list as JSON."""
        del tool_input, context
        listed = [
            {"server": server.name, **msgspec.to_builtins(resource)}
            for server in self._servers
            for resource in server.offer.resources
        ]
        return ToolResult(content=(TextBlock(text=msgspec.json.encode(listed).decode()),))


class _ServerAndUri(msgspec.Struct, forbid_unknown_fields=True):
    server: str
    uri: str


class ReadResourceTool(DeclaredTool):
    """Reads a resource. Implements `ExtensionTool`."""

    def __init__(self, servers: list[McpServer]) -> None:
        super().__init__(
            name=f"{PREFIX}read_resource",
            description="Read a resource that an MCP server offers.",
            input_schema=_SERVER_AND_URI,
            kind="other",
            timeout_s=max(server.call_timeout_s for server in servers),
            origin="MCP servers",
            source=_source_of_all(servers),
        )
        self._servers = {server.name: server for server in servers}

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Give what the server sends.

        Raises:
            ToolFailure: as for `McpTool.run`; `invalid_input`, `not_found`.
        """
        del context
        try:
            asked = msgspec.convert(tool_input, _ServerAndUri)
        except msgspec.ValidationError as error:
            raise ToolFailure(str(error), kind="invalid_input") from error
        server = self._servers.get(asked.server)
        if server is None:
            raise ToolFailure(f"there is no MCP server {asked.server[:64]!r}", kind="not_found")
        try:
            return ToolResult(content=await server.read(asked.uri))
        except McpFailure as failure:
            raise ToolFailure(str(failure), kind=failure.kind) from failure
