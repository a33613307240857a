"""A tool's digest tells it from any other of its name: what it says of itself, and what would run."""

from typing import Any

import msgspec
import pytest

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.command_tool import CommandTool
from holdfast_daemon.extensions.manifest import CommandEntry, HttpServer, StdioServer
from holdfast_daemon.extensions.mcp_server import McpDeclaration, McpLimits, McpServer
from holdfast_daemon.extensions.mcp_tools import tools_of
from holdfast_daemon.extensions.mcp_values import Offer, RemoteResource, RemoteTool
from holdfast_daemon.extensions.skills import Skill, SkillTool
from holdfast_daemon.extensions.worker_pool import WorkerPool

STDIO = McpDeclaration(
    entry=StdioServer(name="told", command="told", args=("--all",), env={"A": "1"}), origin="client"
)
HTTP = McpDeclaration(entry=HttpServer(name="told", url="http://x/mcp", headers={"A": "1"}), origin="client")
OFFER = Offer(
    tools=(RemoteTool(name="echo", description="Echo.", input_schema={"type": "object"}),),
    resources=(RemoteResource(uri="a", name="a"),),
)


def of_servers(*declarations: McpDeclaration) -> dict[str, str]:
    servers: list[McpServer] = []
    for declaration in declarations:
        server = McpServer(declaration, ChildPlace(cwd="/", env={}), (), McpLimits(), None, lambda: None)
        server.offer = OFFER
        servers.append(server)
    return {tool.name: tool.digest for tool in tools_of(servers)}


def changed(declaration: McpDeclaration, **fields: Any) -> McpDeclaration:
    entry = msgspec.structs.replace(declaration.entry, **fields)
    return msgspec.structs.replace(declaration, entry=entry)


OTHERS = {
    "another program": (STDIO, changed(STDIO, command="other")),
    "other arguments": (STDIO, changed(STDIO, args=("--all", "x"))),
    "arguments cut elsewhere": (changed(STDIO, args=("a b",)), changed(STDIO, args=("a", "b"))),
    "the configuration's": (STDIO, msgspec.structs.replace(STDIO, origin="configuration")),
    "a plugin's": (STDIO, msgspec.structs.replace(STDIO, folder="/plugins/a")),
    "a project's plugin's": (
        msgspec.structs.replace(STDIO, folder="/plugins/a", scope="user"),
        msgspec.structs.replace(STDIO, folder="/plugins/a", scope="project"),
    ),
    "another address": (HTTP, changed(HTTP, url="http://y/mcp")),
    "an address for a program": (STDIO, HTTP),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_tools_of_another_server_of_the_same_name_are_others(one: McpDeclaration, other: McpDeclaration):
    first, second = of_servers(one), of_servers(other)
    assert first.keys() == second.keys() >= {"mcp__told__echo", "mcp__read_resource"}
    assert all(first[name] != second[name] for name in first)


@pytest.mark.parametrize("same", [changed(STDIO, env={"A": "2"}), changed(STDIO, line=7)])
def test_what_a_server_is_given_to_keep_changes_nothing(same: McpDeclaration):
    assert of_servers(same) == of_servers(STDIO)
    assert of_servers(changed(HTTP, headers={"A": "2"})) == of_servers(HTTP)


def test_reading_resources_of_one_more_server_is_another_tool():
    alone = of_servers(STDIO)
    with_more = of_servers(STDIO, changed(HTTP, name="more"))
    assert alone["mcp__told__echo"] == with_more["mcp__told__echo"]
    assert alone["mcp__read_resource"] != with_more["mcp__read_resource"]
    assert (
        of_servers(changed(HTTP, name="more"), STDIO)["mcp__read_resource"] == with_more["mcp__read_resource"]
    )


def of_skill(**fields: Any) -> str:
    scope = fields.pop("scope", "user")
    whole: dict[str, Any] = {
        "plugin": "p",
        "folder": "/p",
        "target": "m:f",
        "name": "f",
        "description": "F.",
        "input_schema": {},
        "timeout_s": 1.0,
    }
    return SkillTool(Skill(**{**whole, **fields}), WorkerPool(ChildPlace(cwd="/", env={})), scope).digest


@pytest.mark.parametrize("fields", [{"folder": "/q"}, {"target": "m:g"}, {"scope": "project"}])
async def test_another_function_of_the_same_name_is_another_tool(fields: dict[str, Any]):
    assert of_skill(**fields) != of_skill()
    assert of_skill(timeout_s=2.0) == of_skill()


def of_command(**fields: Any) -> str:
    folder, scope = fields.pop("folder", "/p"), fields.pop("scope", "user")
    whole: dict[str, Any] = {
        "name": "c",
        "command": "grep",
        "description": "C.",
        "allowed_args": ("-n", "--x="),
    }
    entry = CommandEntry(**{**whole, **fields})
    return CommandTool(entry, "p", folder, scope, Launcher(), ExecutionLimits()).digest


@pytest.mark.parametrize(
    "fields",
    [
        {"folder": "/q"},
        {"scope": "project"},
        {"command": "rm"},
        {"sandbox_path": "~"},
        {"allowed_args": ("-n",)},
    ],
)
def test_another_program_of_the_same_name_is_another_tool(fields: dict[str, Any]):
    assert of_command(**fields) != of_command()
    assert of_command(timeout=7.0, line=3) == of_command()
