"""Projects and plugins on disk, an MCP server that obeys, and a model that keeps all it saw."""

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
from person import Event, calling, script
from recorder import Recorder

from fakes.home import Home

DONE = {"text": "done"}

SERVER = str(Path(__file__).with_name("told_mcp_server.py"))


class Witness(Recorder):
    """A recorder that keeps the system prompts too.

    Attributes:
        systems: of each request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.systems: list[str] = []

    def stream(self, messages, tools, system, options):
        self.systems.append(system)
        return super().stream(messages, tools, system, options)


def make_plugin(place: Path, manifest: str, name: str = "sample", **files: str) -> Path:
    """Make a plugin's folder; `files` are modules without `.py`, or others with `_` for the dot."""
    folder = place / name
    folder.mkdir(parents=True, exist_ok=True)
    head = f"name: {name}\nversion: '1'\n"
    (folder / "plugin.yaml").write_text(head + textwrap.dedent(manifest), encoding="utf-8")
    for module, source in files.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return folder


def project_plugin(home: Home, manifest: str, name: str = "sample", **files: str) -> Path:
    """Make a plugin of the project that sessions work in."""
    return make_plugin(home.work / ".holdfast" / "plugins", manifest, name, **files)


def user_folder(monkeypatch: Any, home: Home) -> Path:
    """Give the configuration folder of a user who lives in the daemon's home; for daemons in this loop."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "xdg"))
    folder = home.path / "xdg" / "holdfast"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mcp_server(name: str = "told", *args: str, **env: str) -> dict[str, Any]:
    """Give the server as a client asks for it; `args` see the server's module."""
    return {
        "type": "stdio",
        "name": name,
        "command": sys.executable,
        "args": ["-S", SERVER, *args],
        "env": env,
    }


def tool(name: str, tool_input: dict[str, Any] | None = None, server: str = "told") -> tuple[str, dict]:
    """Give a call of one of the server's tools."""
    return (f"mcp__{server}__{name}", tool_input or {})


def delegate(*steps: Any, agent: str | None = None) -> tuple[str, dict[str, Any]]:
    """Give a call that has a sub-agent play these steps."""
    named = {} if agent is None else {"agent": agent}
    return ("delegate", {"task": script(*steps), **named})


def run_of(*calls: tuple[str, dict[str, Any]]) -> str:
    """Give a prompt that makes these calls in one step, and ends."""
    return script(calling(*calls), DONE)


def said(event: Event) -> str:
    """Give the text of a call's result."""
    return "".join(block.get("text", "") for block in event["result"])


def everything(person: Any) -> str:
    """Give all a person was sent and has sent."""
    return json.dumps([entry.message for entry in person.transcript])


class Mark:
    """A FIFO somebody else writes to when it has come somewhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    async def reached(self) -> str:
        """Wait for the next one who comes there; give what it wrote."""
        await anyio.wait_readable(self._descriptor)
        return os.read(self._descriptor, 4096).decode()

    def let_one_through(self) -> None:
        """Write a byte for one who waits here."""
        os.write(self._descriptor, b"x")

    def close(self) -> None:
        os.close(self._descriptor)
