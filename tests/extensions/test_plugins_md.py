"""docs/plugins.md: its examples are one plugin that works, its tables name every key, its limits hold."""

import os
import re
import stat
import sys
from pathlib import Path

import anyio
import msgspec
import pytest

from holdfast_daemon.agents import agent_process, agent_wire, plugin_agent
from holdfast_daemon.agents.base import StepsExhausted
from holdfast_daemon.agents.plugin_agents import agents_of
from holdfast_daemon.extensions import (
    loader,
    manifest,
    mcp_commands,
    plugins,
    session_extensions,
    skill_worker,
    skills,
    slash_commands,
)
from holdfast_daemon.extensions.manifest_reader import read_manifest
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.session_extensions import SessionExtensions, SessionPlace
from holdfast_daemon.extensions.trust import MemoryTable, Trust
from holdfast_daemon.extensions.worker_pool import WorkerLimits
from holdfast_daemon.models.base import ModelOptions, StepCompleted
from holdfast_daemon.tools.base import ToolContext
from holdfast_protocol.events import Usage
from holdfast_protocol.methods.catalogue import ModelInfo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

DOCUMENT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\A(?:#!.*\n)?(?:# |<!-- )([\w.]+)")


def sections() -> dict[str, str]:
    """Give the text below each heading of a section of plugin.yaml."""
    parts = re.split(r"^## `(\w+)`$", DOCUMENT.partition("\n## What runs where")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def whole_manifest() -> str:
    """Put the document's YAML together; the entries of a section that stands twice become one list."""
    lists: dict[str, str] = {}
    for language, body in BLOCKS:
        if language == "yaml":
            head, _, rest = body.partition("\n")
            key = "" if "name:" in head else head
            lists[key] = lists.get(key, "" if key else f"{head}\n") + rest
    return "".join(f"{key}\n{body}" if key else body for key, body in lists.items())


@pytest.fixture
def config_dir(tmp_path):
    folder = tmp_path / "config" / "plugins" / "garden"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text(whole_manifest())
    for language, body in BLOCKS:
        if language != "yaml":
            file = folder / NAMED.match(body)[1]
            file.write_text(body)
            file.chmod(stat.S_IRWXU)
    (folder / "weather.py").write_text("")
    (tmp_path / "work").mkdir()
    return tmp_path / "config"


async def extensions_of(config_dir):
    work = str(config_dir.parent / "work")
    found = await Plugins(config_dir, Trust(MemoryTable(), config_dir)).of(work)
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return work, found, SessionExtensions(SessionPlace(cwd=work, roots=(work,), env=env), found.plugins)


async def test_its_examples_are_a_plugin_with_every_section_and_without_a_problem(config_dir):
    _, found, _ = await extensions_of(config_dir)
    (loaded,) = found.plugins
    assert loaded.problems == ()
    assert all(getattr(loaded.plugin.manifest, section) for section in manifest.SECTIONS)
    (command,) = found.commands
    assert "in the garden in May." in command.command.expand("May")


async def nothing(text):
    del text


async def test_its_tools_and_hooks_do_what_it_says(config_dir):
    work, _, extensions = await extensions_of(config_dir)
    context = ToolContext(
        tool_call_id="c", cwd=work, roots=(work,), env={"PATH": os.environ["PATH"]}, output=nothing
    )
    async with extensions:
        with anyio.fail_after(60):
            tools = extensions.tools()
            assert tools["water"].input_schema["properties"]["plant"]["description"] == "its name"
            watered = await tools["water"].run({"plant": "fern"}, context)
            assert watered.content[0].text == "watered fern"
            found = await tools["search_garden"].run({"options": ["-r"], "arguments": ["fern", "."]}, context)
            assert "fern little" in found.content[0].text
            call = {"tool": "water", "input": {"plant": "cactus"}}
            (report,) = await extensions.hooks.run("pre_tool_use", call)
            assert (report.decision, report.reason) == ("deny", "A cactus wants no water.")
            call = {"tool": "search_garden", "result": [{"type": "text", "text": "fern"}]}
            (report,) = await extensions.hooks.run("post_tool_use", call)
            assert report.value[0]["text"] == "FERN"


class Session:
    """A run whose steps always call a tool."""

    info = ModelInfo(name="test/model", provider="test", description="For tests.")
    options, steps_max, resumed, instructions, tools = ModelOptions(), 5, False, "", ()
    cwd = "/srv/x"

    def __init__(self):
        self.model = self
        self.systems = []

    def messages(self):
        return ()

    async def keep_to_budget(self, _unshown):
        pass

    async def call_tools(self):
        return 1

    async def stream(self, _messages, _tools, system, _options):
        self.systems.append(system)
        yield StepCompleted(stop_reason="tool_use", usage=Usage())


async def consumed(run):
    async for _ in run:
        pass


async def test_its_class_drives_a_run(config_dir):
    _, found, extensions = await extensions_of(config_dir)
    agents = agents_of(found.plugins, extensions.agent_place)
    assert set(agents) == {"garden:pruner", "garden:careful"}
    assert agents["garden:careful"].description == "Asks more than once."
    session = Session()
    with pytest.raises(StepsExhausted), anyio.fail_after(30):
        await consumed(agents["garden:careful"].run(session))
    assert session.systems == ["You have 2 steps. Be careful.\n\nThe working directory is /srv/x."] * 2


def test_every_section_and_every_key_is_described():
    described = sections()
    assert set(described) == set(manifest.SECTIONS)
    for section, types in manifest.SECTIONS.items():
        for entry in types:
            keys = set(entry.__struct_encode_fields__) - manifest.NOT_IN_THE_FILE
            missing = {
                key
                for key in keys
                if f"`{key}`" not in described[section] and f"{key}:" not in described[section]
            }
            assert missing == set(), section


@pytest.mark.parametrize("language", ["yaml", "python", "markdown"])
def test_every_kind_of_example_is_there(language):
    assert any(language == found for found, _ in BLOCKS)


def test_each_yaml_example_stands_in_its_section():
    for section, text in sections().items():
        for body in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            assert getattr(read_manifest(f"name: x\nversion: '1'\n{body}", "f"), section)


LIMITS = {
    "size of a `plugin.yaml`": (manifest.MANIFEST_BYTES_MAX, "256 KiB"),
    "plugins in one folder": (loader.PLUGINS_MAX, "64"),
    "entries of one section": (manifest.ENTRIES_MAX, "64"),
    "tools of all extensions in one session": (session_extensions.TOOLS_MAX, "256"),
    "slash commands of one place": (slash_commands.COMMANDS_MAX, "256"),
    "importing all functions, or all classes, of a plugin": (skills.DESCRIBE_TIMEOUT_S, "15 s"),
    "describing all plugins of one folder; those that are not done then have no functions and classes": (
        plugins.PLACE_TIMEOUT_S,
        "30 s",
    ),
    "a result of a skill": (skill_worker.RESULT_CHARACTERS_MAX, "1,048,576 characters"),
    "what one call of a skill may print": (WorkerLimits().output_bytes_max, "16 MiB"),
    "a line of an agent's process": (agent_wire.LINE_BYTES_MAX, "8 MiB"),
    "an agent's process says nothing while nobody keeps it waiting": (agent_process.IDLE_S, "120 s"),
    "responses of models that an agent has under way at once": (plugin_agent.STREAMS_MAX, "8"),
    "a prompt of an MCP server": (mcp_commands.EXPANSION_BYTES_MAX, "256 KiB, within 10 s"),
}
UNITS = {"KiB": 1024, "MiB": 1024**2}


def test_its_limits_are_those_of_the_code():
    table = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", DOCUMENT.partition("## Limits")[2], re.MULTILINE))
    assert {name: table.get(name) for name in LIMITS} == {name: said for name, (_, said) in LIMITS.items()}
    for value, said in LIMITS.values():
        number, _, unit = said.partition(" ")
        assert float(number.replace(",", "")) * UNITS.get(unit[:3], 1) == value
    assert mcp_commands.EXPANSION_TIMEOUT_S == 10
    assert set(table) - set(LIMITS) == {"steps, and responses an agent asks for, in one run"}


def test_defaults_it_names_are_those_of_the_manifest():
    fields = {field.name: field.default for field in msgspec.structs.fields(manifest.HookEntry)}
    assert fields["timeout"] == 10
    for entry in (manifest.SkillEntry, manifest.CommandEntry):
        defaults = {field.name: field.default for field in msgspec.structs.fields(entry)}
        assert defaults["timeout"] == 120
