"""A real MCP server, as published on npm: used, killed in mid-call, and used again."""

import os
import shutil
from pathlib import Path

import anyio
import pytest

from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import StdioServer
from holdfast_daemon.extensions.mcp_server import McpDeclaration, McpLimits
from holdfast_daemon.extensions.mcp_servers import McpServers
from holdfast_daemon.extensions.mcp_values import ElicitationAnswer
from holdfast_daemon.tools.base import ToolContext, ToolFailure

SERVER = Path(__file__).parent / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"


async def nothing(text):
    del text


CONTEXT = ToolContext(tool_call_id="c", cwd="/", roots=("/",), env={}, output=nothing)


async def accept(elicitation):
    del elicitation
    return ElicitationAnswer(action="accept", content={"name": "Ada"})


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_server_everything_is_used_killed_in_mid_call_and_used_again():
    node = shutil.which("node")
    assert node is not None
    assert SERVER.exists(), "npm ci --prefix tests/peers"
    entry = StdioServer(name="every", command=node, args=(str(SERVER), "stdio"))
    told = anyio.Event()

    def changed():
        told.set()

    async def until(holds):
        nonlocal told
        with anyio.fail_after(30):
            while not holds():
                told = anyio.Event()
                await told.wait()

    before = set(children_of(os.getpid()))
    async with McpServers(
        [McpDeclaration(entry=entry, origin="test")],
        ChildPlace(cwd="/", env={"PATH": os.environ["PATH"]}),
        ("/",),
        limits=McpLimits(backoff_s=0.01),
        elicit=accept,
        changed=changed,
    ) as servers:
        server = servers.get("every")

        async def call(name, **tool_input):
            tool = next(tool for tool in servers.tools() if tool.name == f"mcp__every__{name}")
            with anyio.fail_after(30):
                return (await tool.run(tool_input, CONTEXT)).content

        await until(lambda: server.info().status == "running")
        assert (await call("echo", message="hello"))[0].text == "Echo: hello"
        assert "Name: Ada" in "".join(block.text for block in await call("trigger-elicitation-request"))
        assert (await server.prompt("simple-prompt", {}))[0].text.startswith("This is a simple prompt")
        assert "Everything Server" in (await server.read(server.offer.resources[0].uri))[0].text

        async with anyio.create_task_group() as group:
            failures = []

            async def long_call():
                with pytest.raises(ToolFailure) as caught:
                    await call("trigger-long-running-operation", duration=1000, steps=1000)
                failures.append(caught.value.kind)

            group.start_soon(long_call)
            await anyio.wait_all_tasks_blocked()
            (pid,) = set(children_of(os.getpid())) - before
            os.kill(pid, 9)
        assert failures == ["mcp_lost"]
        assert (await call("echo", message="again"))[0].text == "Echo: again"
        assert server.info().starts == 2
    assert set(children_of(os.getpid())) <= before
