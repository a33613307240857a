"""An MCP server written with the official SDK: `stdio`, or `http SOCKET-DESCRIPTOR`."""

import os
import signal
import subprocess
import sys
from typing import Annotated

import anyio
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

server = MCPServer("sample")


class Colour(BaseModel):
    colour: str


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def environment() -> dict[str, str]:
    """Tell what it sees."""
    return dict(os.environ)


@server.tool()
def fail() -> str:
    """Fail."""
    raise ToolError("as asked")


@server.tool()
async def hang(mark: str = "") -> str:
    """Never answer."""
    if mark:
        with open(mark, "w") as file:  # noqa: ASYNC230, PTH123 - a FIFO a test waits at
            file.write("here")
    await anyio.sleep_forever()
    return ""


@server.tool()
def die() -> str:
    """End the process."""
    os._exit(7)


@server.tool()
async def family() -> list[int]:
    """Start processes that do not want to end; give all pids."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    argv = [sys.executable, "-S", "-c", code]
    return [os.getpid(), *(start(argv) for _ in range(3))]


def start(argv: list[str]) -> int:
    return subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL).pid


@server.tool()
def huge(characters: int) -> str:
    """Give a long text."""
    return "x" * characters


@server.tool()
def garbage() -> str:
    """Write what is no message."""
    sys.__stdout__.write("garbage\n[]\n{}\n\xff\n")
    sys.__stdout__.flush()
    return "done"


def which_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


@server.tool()
async def ask(answer: Annotated[ElicitationResult[Colour], Resolve(which_colour)]) -> str:
    """Ask a person."""
    return f"{answer.action} {answer.data.colour}" if answer.action == "accept" else answer.action


@server.tool()
async def grow(ctx: Context) -> str:
    """Offer one more tool."""

    def grown() -> str:
        """New."""
        return "grown"

    server.add_tool(grown)
    await ctx.notify_tools_changed()
    return "done"


@server.resource("sample://text")
def text() -> str:
    """A text."""
    return "text of the resource"


@server.prompt()
def greet(name: str) -> str:
    """Greet."""
    return f"Say hello to {name}"


def main() -> None:
    if sys.argv[1] == "stdio":
        print("a greeting that is no message", file=sys.stderr)
        server.run("stdio")
        return
    import uvicorn

    config = uvicorn.Config(
        server.streamable_http_app(), fd=int(sys.argv[2]), log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
