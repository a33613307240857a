"""MCP servers an editor passes in: the mapping function."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_client.bridges.acp.refusals import bad_params
from holdfast_protocol.foreign.acp import sessions, tolerance
from holdfast_protocol.methods import extension as ours

_NAME_MAX: Final = 32


def servers_of(given: Iterable[dict[str, Any]]) -> tuple[ours.McpServerSpec, ...]:
    """Give MCP servers as ours. Names are made fit to stand before a tool's.

    Raises:
        Refusal: one cannot be read, or is reached in a way that was not offered.
    """
    servers: list[ours.McpServerSpec] = []
    names: set[str] = set()
    for index, server in enumerate(given):
        try:
            spec = _server_of(server)
        except msgspec.ValidationError as error:
            raise bad_params(f"mcpServers[{index}]: {error}") from None
        spec = msgspec.structs.replace(spec, name=_free_name(spec.name, names))
        names.add(spec.name)
        servers.append(spec)
    return tuple(servers)


def _server_of(server: dict[str, Any]) -> ours.McpServerSpec:
    match server.get("type", "stdio"):
        case "stdio":
            program = tolerance.convert(server, sessions.StdioServer)
            env = {variable.name: variable.value for variable in program.env}
            return ours.StdioServer(name=program.name, command=program.command, args=program.args, env=env)
        case "http":
            address = tolerance.convert(server, sessions.HttpServer)
            headers = {header.name: header.value for header in address.headers}
            return ours.HttpServer(name=address.name, url=address.url, headers=headers)
        case other:
            raise msgspec.ValidationError(f"`type` {other!r} is not among the MCP capabilities")


def _free_name(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:_NAME_MAX] or "server"
    free, number = plain, 2
    while free in taken:
        free = f"{plain[: _NAME_MAX - 4]}-{number}"
        number += 1
    return free
