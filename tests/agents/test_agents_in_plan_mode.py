"""Plan mode changes nothing: tried through a skill, a program, an MCP tool and an agent's own tool call."""

import os
import stat
import sys
import textwrap

import anyio
import msgspec
import pytest
from core_world import core_running
from scripted import ScriptedModel, call, done, say

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.agents.plugin_agents import agents_of
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
from holdfast_daemon.extensions.trust import MemoryTable, Trust
from holdfast_protocol import events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

MANIFEST = """
    name: sample
    version: '1'
    skills:
      - module: its_code:make
      - {module: 'its_code:make', name: read}
      - {module: 'its_code:make', name: todo}
    commands:
      - {name: run, command: touch, sandbox_path: .}
    mcp_servers:
      - {name: server, type: stdio, command: ./server.py}
    agents:
      - {name: maker, class: 'its_code:Maker'}
"""

CODE = """
    import msgspec
    from pathlib import Path
    from holdfast_daemon.agents.base import Agent, NoContext
    from holdfast_daemon.models.base import *
    from holdfast_protocol.events import Usage

    def make(name: str = "made"):
        Path(name).touch()

    class Maker(Agent[NoContext]):
        async def run(self, session):
            said = session.messages()[-1].content[0].text
            tool, _, tool_input = said.partition(" ")
            yield BlockStarted(index=0, kind="tool_input", tool=tool)
            yield BlockDelta(index=0, text=tool_input)
            yield BlockEnded(index=0)
            yield StepCompleted(stop_reason="tool_use", usage=Usage())
            await session.call_tools()
"""

SERVER = """\
    #!/usr/bin/env python3
    import json, sys
    from pathlib import Path
    def answer(method, params):
        if method == "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "1"}}
        if method == "tools/list":
            hints = {"readOnlyHint": True}
            return {"tools": [{"name": "make", "inputSchema": {"type": "object"}, "annotations": hints}]}
        if method == "tools/call":
            Path("made").touch()
            return {"content": []}
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params") or {})
            reply = {"error": {"code": -32601, "message": "no"}} if result is None else {"result": result}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
"""


@pytest.fixture
def state(tmp_path):
    """A daemon's directory with the plugin where `core_running` looks for the user's."""
    folder = tmp_path / "none" / "plugins" / "sample"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text(textwrap.dedent(MANIFEST))
    (folder / "its_code.py").write_text(textwrap.dedent(CODE))
    (folder / "server.py").write_text(textwrap.dedent(SERVER))
    (folder / "server.py").chmod(stat.S_IRWXU)
    (tmp_path / "work").mkdir()
    return tmp_path


WAYS = {
    "a skill": ("make", {}),
    "a program": ("run", {"arguments": ["made"]}),
    "an MCP tool": ("mcp__server__make", {}),
    "a built-in tool": ("write", {"path": "made", "content": "x"}),
    "a command line": ("shell", {"command": "touch made"}),
}


async def outcome_of(state, agents, tool, tool_input, mode, catalogue):
    """Give how the call of a run ended: its one failure, or None."""
    work = str(state / "work")
    async with core_running(directory=state, agents=agents, catalogue=catalogue) as core:
        client = core.client()
        env = {"PATH": os.environ["PATH"], "HOME": str(state)}
        await client.create(
            cwd=work, mode=mode, env=env, agent=agents[0].name if agents else "chat", unattended="deny"
        )
        with anyio.fail_after(60):
            await client.run(f"{tool} {msgspec.json.encode(tool_input).decode()}")
        log = await core.log()
    failures = [event.error for event in log if isinstance(event, events.ToolCallFailed)]
    completed = [event for event in log if isinstance(event, events.ToolCallCompleted)]
    assert len(failures) + len(completed) == 1
    return failures[0] if failures else None


async def maker_of(state) -> Agent:
    work = str(state / "work")
    found = await Plugins(state / "none", Trust(MemoryTable(), state)).of(work)
    place = SessionPlace(cwd=work, roots=(work,), env={"PATH": os.environ["PATH"]})
    return agents_of(found.plugins, SessionExtensions(place, found.plugins).agent_place)["sample:maker"]


@pytest.mark.parametrize("who", ["the model", "an agent's class"])
@pytest.mark.parametrize(("tool", "tool_input"), WAYS.values(), ids=WAYS)
async def test_plan_mode_refuses_it_and_auto_mode_does_it(state, tool, tool_input, who):
    made = state / "work" / "made"
    for mode in ("plan", "auto"):
        agents = [await maker_of(state)] if who != "the model" else []
        model = ScriptedModel([*call(tool, tool_input), done("tool_use")], say("done"))
        error = await outcome_of(state, agents, tool, tool_input, mode, model.catalogue())
        if mode == "plan":
            assert error is not None
            assert (error.kind, made.exists()) == ("denied", False)
            assert "Plan mode only reads" in error.message
        elif tool not in ("shell", "run"):  # Nothing confines commands here: they ask, and nobody is there.
            assert (error, made.exists()) == (None, True)


@pytest.mark.parametrize("name", ["read", "todo"])
async def test_a_skill_cannot_take_the_name_of_a_tool_that_plan_mode_runs(state, name):
    found = await Plugins(state / "none", Trust(MemoryTable(), state)).of("/")
    place = SessionPlace(cwd="/", roots=("/",), env={})
    extensions = SessionExtensions(place, found.plugins)
    assert name not in extensions.tools()
    assert any(f"`{name}` is off" in problem.message for problem in extensions.problems)
    assert "make" in extensions.tools()
