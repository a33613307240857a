"""Classes of plugins that drive runs: described by a process, mistakes told by line."""

import sys

import anyio
import pytest
from plugin_folders import make_plugin

from holdfast_daemon.agents.plugin_agent import PluginAgent
from holdfast_daemon.agents.plugin_agents import agents_of
from holdfast_daemon.extensions.plugins import Plugins
from holdfast_daemon.extensions.trust import MemoryTable, Trust

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in procfs")

CODE = '''
    import msgspec
    from holdfast_daemon.agents.base import Agent, NoContext

    class Words(msgspec.Struct):
        words: int
        kind: str = "idea"
        deep: list[dict[str, int]] = []

    class Good(Agent[Words]):
        """Says it
        shortly.

        And more.
        """

        async def run(self, session):
            yield

    class Named(Agent[NoContext]):
        description = "By itself."

        async def run(self, session):
            yield

    class Unmade(Agent[Words]):
        def __init__(self, context):
            raise ValueError("cannot be made")

        async def run(self, session):
            yield

    class Abstract(Agent[Words]):
        pass

    class Silent(Agent[NoContext]):
        async def run(self, session):
            pass

    class Other:
        pass

    value = 1
'''


async def loaded(tmp_path, manifest, code=CODE):
    make_plugin(tmp_path / "plugins", manifest, its_code=code)
    with anyio.fail_after(30):
        found = await Plugins(tmp_path, Trust(MemoryTable(), tmp_path)).of("/")
    return found.plugins[0]


async def test_a_class_is_described_by_itself_and_by_the_manifest(tmp_path):
    plugin = await loaded(
        tmp_path,
        """
        agents:
          - name: a
            class: its_code:Good
            context: {words: 3}
            tools: [read]
            mode: plan
            model_override: m
          - {name: b, module: 'its_code:Named', description: Better.}
          - {name: c, class: 'its_code:Named'}
          - {name: d, system_prompt: Be brief., tools: ['mcp__*'], model_override: n}
        """,
    )
    assert plugin.problems == ()
    a, b, c = plugin.agents
    assert (a.name, a.description, a.target, a.context) == (
        "a",
        "Says it shortly.",
        "its_code:Good",
        {"words": 3},
    )
    assert (a.model, a.tools, a.mode) == ("m", ("read",), "plan")
    assert (b.description, c.description) == ("Better.", "By itself.")
    agents = agents_of([plugin])
    assert set(agents) == {"sample:a", "sample:b", "sample:c", "sample:d"}
    assert all(name == agent.name for name, agent in agents.items())
    a, d = agents["sample:a"], agents["sample:d"]
    assert isinstance(a, PluginAgent)
    assert (a.description, a.model_override, a.tool_patterns, a.mode_override) == (
        "Says it shortly.",
        "m",
        ("read",),
        "plan",
    )
    assert (d.description, d.model_override, d.tool_patterns) == ("d", "n", ("mcp__*",))
    assert d.context.system_prompt == "Be brief."


MISTAKES = {
    "no such class": ("class: its_code:Nobody", 5, "class", "the module its_code has no `Nobody`"),
    "no class": ("module: its_code:value", 5, "module", "`value` is no class that stands on"),
    "no agent": ("class: its_code:Other", 5, "class", "`Other` is no class that stands on"),
    "no run": ("class: its_code:Abstract", 5, "class", "`Abstract` has no `run`"),
    "no events": ("class: its_code:Silent", 5, "class", "`Silent.run` yields nothing"),
    "no module": ("class: nowhere:Class", 5, "class", "ModuleNotFoundError: No module named 'nowhere'"),
    "it cannot be made": (
        "class: its_code:Unmade\n    context: {words: 1}",
        5,
        "class",
        "ValueError: cannot be made",
    ),
    "a wrong value": (
        "class: its_code:Good\n    context:\n      kind: x\n      words: many",
        9,
        "context.words",
        "Expected `int`, got `str`",
    ),
    "a missing one": (
        "class: its_code:Good\n    context:\n      kind: x",
        7,
        "context",
        "Object missing required",
    ),
    "no context": ("class: its_code:Good", 5, "context", "Object missing required field `words`"),
    "an unknown one": (
        "class: its_code:Good\n    context:\n      words: 1\n      wrods: 2",
        9,
        "context.wrods",
        "unknown key; there are: words, kind, deep",
    ),
    "one too many": (
        "class: its_code:Named\n    context: {x: 1}",
        7,
        "context.x",
        "unknown key; there are: none",
    ),
    "deep inside": (
        "class: its_code:Good\n    context:\n      words: 1\n      deep:\n        - a: 1\n        - a: x",
        11,
        "context.deep[1]",
        "Expected `int`, got `str`",
    ),
}


@pytest.mark.parametrize(("entry", "line", "field", "said"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_is_told_with_its_line_and_field_and_takes_off_that_agent_alone(
    tmp_path, entry, line, field, said
):
    manifest = (
        "name: sample\nversion: '1'\nagents:\n"
        "  - {name: fine, class: 'its_code:Named'}\n"
        f"  - name: broken\n    {entry}\n"
    )
    plugin = await loaded(tmp_path, manifest)
    assert [agent.name for agent in plugin.agents] == ["fine"]
    (problem,) = plugin.problems
    assert problem.field.startswith(f"agents[1].{field}")
    assert problem.message.startswith(said)
    assert problem.line == line
    assert plugin.status == "partly"


async def test_an_import_that_hangs_takes_off_the_classes_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("holdfast_daemon.extensions.agent_classes.DESCRIBE_TIMEOUT_S", 1.0)
    plugin = await loaded(
        tmp_path,
        "agents:\n  - {name: a, class: 'its_code:A'}\n  - {name: b, system_prompt: x}\n",
        "import time\ntime.sleep(1000)",
    )
    assert plugin.agents == ()
    assert [problem.message for problem in plugin.problems] == ["took longer than 1 s to import"]
    assert set(agents_of([plugin])) == {"sample:b"}


async def test_of_a_name_the_first_plugin_counts(tmp_path):
    manifest = "agents:\n  - {name: a, system_prompt: '%s'}\n"
    first = await loaded(tmp_path / "1", manifest % "one")
    second = await loaded(tmp_path / "2", manifest % "two")
    assert agents_of([first, second])["sample:a"].context.system_prompt == "one"
