"""What a session's plugins see of each other: nothing, where their folders are hidden."""

import os
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from plugin_folders import make_plugin

from fakes.sandboxes import need_sandbox
from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.extensions.child import Child
from holdfast_daemon.extensions.manifest import StdioServer
from holdfast_daemon.extensions.mcp_server import McpDeclaration
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
from holdfast_daemon.extensions.trust import MemoryTable, Trust
from holdfast_daemon.tools.base import ToolContext

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

ENV = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
SEEN = """
import os
import sys
from pathlib import Path


def seen(place):
    return {{name: os.path.exists(f"{{place}}/{{name}}/private") for name in ("one", "two")}}
"""
SKILL = "\n\ndef look_{name}() -> dict[str, bool]:\n    return seen({place!r})\n"
HOOK = "\n\ndef hook(call):\n    return {{'decision': 'modify', 'input': seen({place!r})}}\n"
PROGRAM = """#!/bin/sh
sees() {{ test -e "{place}/$1/private" && echo true || echo false; }}
echo '{{"decision": "modify", "input": {{"one": '$(sees one)', "two": '$(sees two)'}}}}'
"""
SERVER = (
    "#!/bin/sh\nfor name in one two; do test -e {place}/$name/private && echo sees $name >&2; done; exit 1\n"
)
MANIFEST = """
skills:
  - module: code_{name}:look_{name}
hooks:
  - {{event: pre_tool_use, module: 'code_{name}:hook', tools: function_{name}}}
  - {{event: pre_tool_use, command: [./hook.sh], tools: program_{name}}}
mcp_servers:
  - {{name: {name}, type: stdio, command: ./server.sh}}
"""


def plugin(place: Path, name: str) -> None:
    where = {"place": str(place), "name": name}
    code = (SEEN + SKILL + HOOK).format(**where)
    folder = make_plugin(place, MANIFEST.format(**where), name=name, **{f"code_{name}": code})
    (folder / "private").touch()
    for file, source in (("hook.sh", PROGRAM), ("server.sh", SERVER)):
        (folder / file).write_text(source.format(**where))
        (folder / file).chmod(0o755)


@pytest.fixture
def place():
    """A directory outside the places that every sandbox covers, such as /tmp."""
    need_sandbox()
    base = Path.home() if os.access(Path.home(), os.W_OK) else Path("/var")
    with tempfile.TemporaryDirectory(prefix=".hfplugins", dir=base) as path:
        yield Path(path).resolve()


@asynccontextmanager
async def opened(place: Path):
    config, work = place / "config", place / "work"
    work.mkdir()
    for name in ("one", "two"):
        plugin(config / "plugins", name)
    sandbox = detect_sandbox(SandboxSettings(), MountPoints(), Path.home(), {}, (str(config),))
    launcher = Launcher(sandbox)
    found = await Plugins(config, Trust(MemoryTable(), place), launcher).of(str(work))
    where = SessionPlace(cwd=str(work), roots=(str(work),), env=ENV, hidden=(str(config),))
    script = SERVER.format(place=config / "plugins").removeprefix("#!/bin/sh\n")
    own = StdioServer(name="own", command="/bin/sh", args=("-c", script))
    servers = [McpDeclaration(entry=own, origin="configuration")]
    async with SessionExtensions(where, found.plugins, servers=servers, launcher=launcher) as extensions:
        with anyio.fail_after(30):
            assert await extensions.mcp.settled(30)
            yield extensions


async def nothing(text):
    del text


async def test_each_process_sees_the_folder_of_its_own_plugin_and_no_other(place):
    folders = place / "config" / "plugins"
    async with opened(place) as extensions:
        context = ToolContext(tool_call_id="c", cwd=str(place), roots=(), env=ENV, output=nothing)
        for name, other in (("one", "two"), ("two", "one")):
            only = {name: True, other: False}
            result = await extensions.tools()[f"look_{name}"].run({}, context)
            assert (
                result.content[0].text
                == f'{{"one":{str(only["one"]).lower()},"two":{str(only["two"]).lower()}}}'
            )
            for tool in (f"function_{name}", f"program_{name}"):
                (report,) = await extensions.hooks.run("pre_tool_use", {"tool": tool, "input": {}})
                assert report.value == only, tool
            said = extensions.mcp.get(name).info().error
            assert (f"sees {name}" in said, f"sees {other}" in said) == (True, False)
            assert await seen_by_an_agent(extensions, folders / name, folders) == f"{name}\n"
        assert "sees" not in extensions.mcp.get("own").info().error


async def seen_by_an_agent(extensions: SessionExtensions, folder: Path, folders: Path) -> str:
    script = f"for name in one two; do test -e {folders}/$name/private && echo $name; done"
    child = await Child.start(("/bin/sh", "-c", script, str(folder)), extensions.agent_place)
    try:
        said = b""
        while data := await child.receive():
            said += data
        return said.decode()
    finally:
        await child.end()
