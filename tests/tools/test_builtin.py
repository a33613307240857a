"""The built-in tools: which there are, and what docs and gate say of them."""

import re
from pathlib import Path

import pytest

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.gate import EDITING, READ_ONLY
from holdfast_daemon.tools.builtin import builtin_tools

TOOLS = builtin_tools(ExecutionLimits())
DOCUMENT = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")
DAEMON = Path(__file__).parents[2] / "daemon" / "holdfast_daemon"
SOURCES = sorted((DAEMON / "tools").glob("*.py"))


def test_every_session_is_offered_all_of_them_the_shell_too() -> None:
    assert [tool.name for tool in TOOLS] == [
        "read", "write", "edit", "list", "glob", "grep", "shell", "todo", "delegate",
    ]  # fmt: skip


def test_what_the_gate_lets_pass_are_tools_of_those_kinds() -> None:
    kinds = {tool.name: tool.kind for tool in TOOLS}
    assert {kinds[name] for name in READ_ONLY} == {"read", "search", "think"}
    assert {kinds[name] for name in EDITING} == {"edit"}
    assert {name for name in kinds if name not in READ_ONLY | EDITING} == {"shell", "delegate"}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_and_each_of_its_arguments_is_documented(tool) -> None:
    section = re.search(rf"^## `{tool.name}`$(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section, tool.name
    assert set(re.findall(r"^\| `(\w+)`", section[1], re.MULTILINE)) == set(tool.input_type.__struct_fields__)


def test_every_kind_of_failure_is_documented_and_no_other() -> None:
    section = re.search(r"^## Failures$(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section
    documented = set(re.findall(r"^\| `(\w+)`", section[1], re.MULTILINE))
    delegation = (DAEMON / "sessions" / "delegation.py").read_text(encoding="utf-8").splitlines()
    failures = [line for line in delegation if "ToolFailure(" in line]  # Its other kinds are of events.
    sources = "".join([*(path.read_text(encoding="utf-8") for path in SOURCES), *failures])
    raised = set(re.findall(r'kind="(\w+)"|Failure\(\s*"(\w+)"', sources))
    assert {kind for pair in raised for kind in pair if kind} <= documented
    assert documented <= {kind for kind in documented if f'"{kind}"' in sources} | {"timeout", "tool_failed"}
