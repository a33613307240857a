"""examples/plugins/notes: uses every section but `reactive`, and every one of them works."""

import os
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from holdfast_daemon.agents.plugin_agents import agents_of
from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.extensions.extension_tool import spec_of
from holdfast_daemon.extensions.manifest import SECTIONS
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
from holdfast_daemon.extensions.trust import MemoryTable, Trust
from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockEnded,
    BlockStarted,
    ModelOptions,
    StepCompleted,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.tools.base import ToolContext, ToolFailure
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Usage
from holdfast_protocol.methods.catalogue import ModelInfo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

NOTES = Path(__file__).parents[2] / "examples" / "plugins" / "notes"


async def nothing(text):
    del text


@pytest.fixture
def config_dir(tmp_path):
    shutil.copytree(NOTES, tmp_path / "config" / "plugins" / "notes")
    return tmp_path / "config"


@pytest.fixture
def work(tmp_path):
    made = tmp_path / "work"
    made.mkdir()
    return str(made)


@pytest.fixture(params=["unconfined", "bubblewrap"])
def launcher(request, tmp_path):
    if request.param == "unconfined":
        return Launcher()
    sandbox = detect_sandbox(SandboxSettings(), MountPoints(tmp_path / "mounts"), Path.home(), os.environ)
    if not sandbox.confines:
        pytest.skip(sandbox.info.detail or "no sandbox here")
    return Launcher(sandbox)


async def extensions_of(config_dir, work, **options):
    found = await Plugins(config_dir, Trust(MemoryTable(), Path(work))).of(work)
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return found, SessionExtensions(SessionPlace(cwd=work, roots=(work,), env=env), found.plugins, **options)


async def test_it_loads_and_uses_every_section_but_reactive(config_dir, work):
    found, _ = await extensions_of(config_dir, work)
    (loaded,) = found.plugins
    assert loaded.problems == ()
    manifest = loaded.plugin.manifest
    assert {section for section in SECTIONS if getattr(manifest, section)} == set(SECTIONS) - {"reactive"}
    assert [command.name for command in found.commands] == ["summary"]
    assert "notes for plants with" in found.commands[0].command.expand("plants")


async def test_its_tools_hooks_and_server_work_together(config_dir, work, launcher):
    _, extensions = await extensions_of(config_dir, work, launcher=launcher)
    context = ToolContext(
        tool_call_id="c", cwd=work, roots=(work,), env={"PATH": os.environ["PATH"]}, output=nothing
    )

    async def call(name, **tool_input):
        with anyio.fail_after(30):
            return (await extensions.tools()[name].run(tool_input, context)).content[0].text

    async with extensions:
        assert await extensions.mcp.settled(30)
        assert extensions.problems == ()
        assert set(extensions.tools()) == {"add_note", "count_words", "search_notes", "mcp__clock__now"}

        secret = {"tool": "add_note", "input": {"title": "x", "text": "password: 123"}}
        (report,) = await extensions.hooks.run("pre_tool_use", secret)
        assert (report.decision, report.reason) == ("deny", "A note is no place for a secret.")

        assert (
            await call("add_note", title="My plants", text="water\n" * 60)
            == "kept as notes/idea-my-plants.md"
        )
        assert await call("count_words") == '{"idea-my-plants.md":63}'
        found = await call("search_notes", options=["-r"], arguments=["water", "."])
        result = [{"type": "text", "text": found}]
        (report,) = await extensions.hooks.run("post_tool_use", {"tool": "search_notes", "result": result})
        assert report.decision == "modify"
        assert report.value[0]["text"].endswith("… and 11 more lines")
        assert (await call("mcp__clock__now")).endswith("+00:00")
        with pytest.raises(ToolFailure, match="title"):
            await call("add_note")


class Session:
    """A run of the example's agent; its tools give what they would."""

    def __init__(self, model, extensions, cwd):
        self.model, self.cwd, self.instructions = model, cwd, ""
        self.options, self.steps_max, self.resumed = ModelOptions(), 5, False
        self.conversation = (UserMessage(content=(TextBlock(text="What of plants?"),)),)
        self._extensions = extensions

    @property
    def tools(self):
        return tuple(map(spec_of, self._extensions.tools().values()))

    def messages(self):
        return self.conversation

    async def keep_to_budget(self, _unshown):
        pass

    async def call_tools(self):
        if len(self.conversation) > 1:
            return 0
        called = ToolCallPart(tool_call_id="c", tool="count_words", input_json="{}")
        result = ToolResultPart(tool_call_id="c", tool="count_words", content=(TextBlock(text="{}"),))
        self.conversation += (AssistantMessage(parts=(called,)), ToolResultsMessage(results=(result,)))
        return 1


class Model:
    """Keeps what it was asked with, and says `over`."""

    info = ModelInfo(name="test/model", provider="test", description="For tests.")

    def __init__(self):
        self.asked = []

    async def stream(self, messages, tools, system, _options):
        self.asked.append((messages, [tool.name for tool in tools], system))
        yield BlockStarted(index=0, kind="text")
        yield BlockDelta(index=0, text="over")
        yield BlockEnded(index=0)
        yield StepCompleted(stop_reason="end_turn", usage=Usage(input=1))


async def test_its_agent_drives_a_run_from_a_process_of_its_own(config_dir, work, launcher):
    found, extensions = await extensions_of(config_dir, work, launcher=launcher)
    model = Model()
    async with extensions:
        agents = agents_of(found.plugins, extensions.agent_place)
        assert set(agents) == {"notes:editor", "notes:librarian"}
        librarian = agents["notes:librarian"]
        assert librarian.description == "Looks through the notes and says in a few words what they say."
        session = Session(model, extensions, work)
        with anyio.fail_after(30):
            events = [event async for event in librarian.run(session)]
    assert [event.text for event in events if isinstance(event, BlockDelta)] == ["over"] * 3
    (first, tools, system), second, last = model.asked
    assert (first, tools) == (session.conversation[:1], ["count_words", "search_notes"])
    assert system == (
        f"You are a librarian. Answer from the notes, and name the files.\n\nThe working directory is {work}."
    )
    assert (second[0], second[1]) == (session.conversation, ["count_words", "search_notes"])
    shorter = UserMessage(content=(TextBlock(text="Now in 30 words at the most."),))
    assert (last[0], last[1]) == ((*session.conversation, shorter), [])


def test_its_agent_is_short():
    lines = (NOTES / "notes_agent.py").read_text().splitlines()
    assert len(lines) <= 30


async def test_a_tool_whose_name_is_taken_is_off_and_said_so(config_dir, work):
    _, extensions = await extensions_of(config_dir, work, taken=("search_notes",))
    assert "search_notes" not in extensions.tools()
    (problem,) = extensions.problems
    assert problem.message == "the tool `search_notes` is off: there is another of that name"
