"""plugin.yaml: what it may say; every mistake names its file, line and field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.extensions.manifest import HttpServer, StdioServer
from holdfast_daemon.extensions.manifest_reader import PROBLEMS_MAX, BadManifest, read_manifest

HEAD = "name: sample\nversion: '1'\n"

WHOLE = """\
name: everything
version: '1.2'
description: all sections
models:
  - {provider: anthropic, model: claude-x, api_key_env: ANTHROPIC_API_KEY}
  - provider: openai_compat
    name: deepseek-chat
    base_url: https://api.deepseek.com/v1
    api_key_env: DEEPSEEK_API_KEY
    context: 64000
    price: {input: 0.27, output: 1.1, cache_read: 0.07}
skills:
  - module: pkg.mod:function
    name: better_name
    timeout: 5
commands:
  - {name: grep_docs, command: grep, allowed_args: [-n, -i, --include=], sandbox_path: docs}
mcp_servers:
  - {name: files, type: stdio, command: npx, args: [-y, server], env: {A: b}}
  - {name: web, type: http, url: 'http://127.0.0.1:1/mcp', headers: {Authorization: Bearer x}}
agents:
  - {name: critic, system_prompt: Be strict., tools: [read], mode: plan}
  - name: classy
    class: pkg.mod:Class
    context:
      words: 3
      deep: [{a: 1}]
  - {name: other, module: 'pkg.mod:Class'}
hooks:
  - {event: pre_tool_use, module: 'pkg.mod:hook', tools: 'wr*'}
  - {event: run_completed, command: [./hook.sh, x]}
prompts:
  - {name: explain, file: explain.md}
reactive:
  - {name: watcher, on: [run_completed], priority: 3, agent: critic}
"""


def problems(text):
    with pytest.raises(BadManifest) as caught:
        read_manifest(text, "/p/plugin.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_manifest_with_every_section_is_read():
    manifest = read_manifest(WHOLE, "plugin.yaml")
    assert [model.called for model in manifest.models] == ["claude-x", "deepseek-chat"]
    assert manifest.models[1].price is not None
    assert manifest.models[1].price.cache_read == 0.07
    assert manifest.skills[0].line == 13
    assert manifest.commands[0].allowed_args == ("-n", "-i", "--include=")
    stdio, http = manifest.mcp_servers
    assert isinstance(stdio, StdioServer)
    assert stdio.env == {"A": "b"}
    assert isinstance(http, HttpServer)
    assert [agent.target for agent in manifest.agents] == [None, "pkg.mod:Class", "pkg.mod:Class"]
    assert manifest.agents[1].context == {"words": 3, "deep": [{"a": 1}]}
    lines = manifest.agents[1].context_lines
    assert lines == {"": 25, ".words": 26, ".deep": 27, ".deep[0]": 27, ".deep[0].a": 27}
    assert manifest.hooks[1].command == ("./hook.sh", "x")
    assert manifest.reactive[0].on == ("run_completed",)


def test_all_but_name_and_version_may_be_left_out_or_empty():
    assert read_manifest(HEAD + "skills:\n", "plugin.yaml").skills == ()


MISTAKES = {
    "empty": ("", "/p/plugin.yaml:1: the document is empty"),
    "not yaml": ("name: a\nversion: [", "/p/plugin.yaml:2: "),
    "alias": ("name: &a x\nversion: *a", "/p/plugin.yaml:1: aliases are not allowed"),
    "tag": ("name: !!python/name:os.system x\nversion: '1'", "/p/plugin.yaml:1: "),
    "key twice": ("name: a\nname: b", "/p/plugin.yaml:2: the key `name` stands twice"),
    "a list": ("- 1", "/p/plugin.yaml:1: a plugin.yaml is a map"),
    "no name": ("version: '1'", "/p/plugin.yaml:1: name: is missing"),
    "no version": ("name: a", "/p/plugin.yaml:1: version: is missing"),
    "bad name": ("name: a/b\nversion: '1'", "/p/plugin.yaml:1: name: takes letters, digits, `_` and `-`"),
    "version is a number": (
        "name: a\nversion: 1.0",
        "/p/plugin.yaml:2: version: expected `str`, got `float`; quote it",
    ),
    "unknown section": (HEAD + "skils: []", "/p/plugin.yaml:3: skils: unknown key; did you mean `skills`?"),
    "no list": (HEAD + "skills: {a: b}", "/p/plugin.yaml:3: skills: takes a list"),
    "no map": (HEAD + "skills:\n  - a.b:c", "/p/plugin.yaml:4: skills[0]: takes a map"),
    "unknown key": (
        HEAD + "skills:\n  - module: a:b\n    tiemout: 3",
        "/p/plugin.yaml:5: skills[0].tiemout: unknown key; did you mean `timeout`?",
    ),
    "`line` is no key": (
        HEAD + "skills:\n  - module: a:b\n    line: 3",
        "/p/plugin.yaml:5: skills[0].line: unknown key",
    ),
    "`context_lines` is no key": (
        HEAD + "agents:\n  - {name: x, class: 'a:B', context_lines: {}}",
        "/p/plugin.yaml:4: agents[0].context_lines: unknown key",
    ),
    "a prompt and a class": (
        HEAD + "agents:\n  - {name: x, system_prompt: y, class: 'a:B'}",
        "/p/plugin.yaml:4: agents[0]: give either `system_prompt` or `class`",
    ),
    "a class twice": (
        HEAD + "agents:\n  - {name: x, module: 'a:B', class: 'a:B'}",
        "/p/plugin.yaml:4: agents[0]: give either `system_prompt` or `class`",
    ),
    "a context without a class": (
        HEAD + "agents:\n  - {name: x, system_prompt: y, context: {}}",
        "/p/plugin.yaml:4: agents[0]: `context` is for a `class`",
    ),
    "a context that is no map": (
        HEAD + "agents:\n  - {name: x, class: 'a:B', context: [1]}",
        "/p/plugin.yaml:4: agents[0].context: expected `object",
    ),
    "missing key": (HEAD + "commands:\n  - name: x", "/p/plugin.yaml:4: commands[0].command: is missing"),
    "bad target": (
        HEAD + "skills:\n  - module: a.b",
        "/p/plugin.yaml:4: skills[0].module: takes package.module:name",
    ),
    "time-out": (
        HEAD + "skills:\n  - module: a:b\n    timeout: 0",
        "/p/plugin.yaml:5: skills[0].timeout: expected `float` > 0.0",
    ),
    "deep inside": (
        HEAD + "models:\n  - provider: x\n    name: y\n    price:\n      input: -1\n      output: 1",
        "/p/plugin.yaml:7: models[0].price.input: expected `float` >= 0.0",
    ),
    "in a list": (
        HEAD + "commands:\n  - name: x\n    command: y\n    allowed_args:\n      - -n\n      - 3",
        "/p/plugin.yaml:8: commands[0].allowed_args[1]: expected `str`, got `int`; quote it",
    ),
    "name and model": (
        HEAD + "models:\n  - {provider: x, name: y, model: z}",
        "/p/plugin.yaml:4: models[0]: give either `model` or `name`",
    ),
    "url": (
        HEAD + "models:\n  - provider: x\n    name: y\n    base_url: https://user:pw@host/",
        "/p/plugin.yaml:6: models[0].base_url: takes an http or https address without a user",
    ),
    "no type": (
        HEAD + "mcp_servers:\n  - name: x",
        "/p/plugin.yaml:4: mcp_servers[0].type: is missing; it is `stdio` or `http`",
    ),
    "wrong type": (
        HEAD + "mcp_servers:\n  - name: x\n    type: sse",
        "/p/plugin.yaml:5: mcp_servers[0].type: is `stdio` or `http`",
    ),
    "key of the other type": (
        HEAD + "mcp_servers:\n  - name: x\n    type: http\n    url: http://h\n    command: y",
        "/p/plugin.yaml:7: mcp_servers[0].command: unknown key",
    ),
    "header with a line end": (
        HEAD
        + 'mcp_servers:\n  - name: x\n    type: http\n    url: http://h\n    headers: {A: "b\\r\\nC: d"}',
        "/p/plugin.yaml:7: mcp_servers[0].headers: takes one line of text",
    ),
    "server name with two underscores": (
        HEAD + "mcp_servers:\n  - {name: a__b, type: http, url: 'http://h'}",
        "/p/plugin.yaml:4: mcp_servers[0].name: takes ",
    ),
    "tool that would pass for a server's": (
        HEAD + "commands:\n  - {name: mcp__x, command: y}",
        "/p/plugin.yaml:4: commands[0].name: takes ",
    ),
    "mode": (
        HEAD + "agents:\n  - name: x\n    system_prompt: y\n    mode: yolo",
        "/p/plugin.yaml:6: agents[0].mode: takes `ask` or `plan` or `accept_edits` or `auto`, not `yolo`",
    ),
    "event": (
        HEAD + "hooks:\n  - event: pre_tool\n    module: a:b",
        "/p/plugin.yaml:4: hooks[0].event: takes `pre_tool_use` or ",
    ),
    "prompt and class": (
        HEAD + "agents:\n  - {name: x, system_prompt: y, class: 'a:b'}",
        "/p/plugin.yaml:4: agents[0]: give either `system_prompt` or `class`",
    ),
    "a name twice": (
        HEAD + "prompts:\n  - {name: x, file: a.md}\n  - {name: x, file: b.md}",
        "/p/plugin.yaml:5: prompts: the name `x` is taken by line 4",
    ),
    "too many": (
        HEAD + "skills:\n" + "  - module: a:b\n" * 65,
        "/p/plugin.yaml:3: skills: has more than 64 entries",
    ),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_file_line_and_field(text, said):
    first, *_ = problems(text)
    assert first.startswith(said), first


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    told = problems(HEAD + "skills:\n  - module: x\nhooks:\n  - event: no\n    module: a:b\nextra: 1\n")
    assert [problem.split(":")[1] for problem in told] == ["4", "6", "8"]


def test_very_many_mistakes_are_counted():
    told = problems(HEAD + "skills:\n" + "  - {module: x, a: 1}\n" * 60)
    assert len(told) == PROBLEMS_MAX + 1
    assert told[-1] == "/p/plugin.yaml: and 28 more problems"


def found_in(text):
    """Give the problems of a text that may be a manifest."""
    try:
        read_manifest(text, "plugin.yaml")
    except BadManifest as error:
        return error.problems
    return ()


@given(st.text(max_size=200))
def test_no_text_is_a_manifest_by_chance(text):
    assert found_in(text)


@given(st.text(max_size=20), st.integers(0, len(WHOLE)))
def test_problems_of_a_damaged_manifest_are_on_its_lines(text, at):
    damaged = WHOLE[:at] + text + WHOLE[at:]
    lines = len(damaged.splitlines()) + 1
    assert all(1 <= (problem.line or 0) <= lines for problem in found_in(damaged))
