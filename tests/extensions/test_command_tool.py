"""Declared commands: only listed options pass, and nothing outside their directory."""

import os

import anyio
import pytest

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.command_tool import CommandTool
from holdfast_daemon.extensions.manifest import CommandEntry
from holdfast_daemon.tools.base import ToolContext, ToolFailure


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "work" / "docs"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("Hello\nworld\n")
    (tmp_path / "secret").write_text("hello secret\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


async def run(docs, tool_input, scope="project", **options):
    entry = CommandEntry(
        **{
            "name": "grep_docs",
            "command": "grep",
            "allowed_args": ("-n", "-i", "-r", "--include="),
            "sandbox_path": "docs",
            **options,
        }
    )
    tool = CommandTool(entry, "sample", str(docs.parent), scope, Launcher(), ExecutionLimits())
    cwd = str(docs.parent)

    async def output(text):
        del text

    context = ToolContext(
        tool_call_id="c", cwd=cwd, roots=(cwd,), env={"PATH": os.environ["PATH"], "HOME": cwd}, output=output
    )
    with anyio.fail_after(20):
        return (await tool.run(tool_input, context)).content[0].text


async def refused(docs, tool_input, **options):
    with pytest.raises(ToolFailure) as caught:
        await run(docs, tool_input, **options)
    return caught.value


async def test_it_runs_in_its_directory_with_options_that_are_listed(docs):
    assert (
        await run(docs, {"options": ["-n", "-i"], "arguments": ["hello", "a.txt"]}) == "exit code 0\n1:Hello"
    )
    assert await run(docs, {"arguments": ["nowhere", "a.txt"]}) == "exit code 1"
    assert (await run(docs, {"options": ["-r", "--include=*.txt"], "arguments": ["world", "."]})).endswith(
        "world"
    )


REFUSED = {
    "an option that is not listed": ({"options": ["-f"]}, "invalid_input"),
    "a bundle": ({"options": ["-nf"]}, "invalid_input"),
    "a longer one": ({"options": ["--include-dir=x"]}, "invalid_input"),
    "an option as an argument": ({"arguments": ["-f", "/etc/passwd"]}, "invalid_input"),
    "two dashes": ({"arguments": ["--", "x"]}, "invalid_input"),
    "an absolute path": ({"arguments": ["root", "/etc/passwd"]}, "outside_sandbox"),
    "a way up": ({"arguments": ["hello", "../../secret"]}, "outside_sandbox"),
    "a link that leads out": ({"arguments": ["hello", "link"]}, "outside_sandbox"),
    "a value that leads out": ({"options": ["--include=/etc/passwd"]}, "outside_sandbox"),
    "a NUL": ({"arguments": ["a\0b"]}, "invalid_input"),
    "too many": ({"arguments": ["x"] * 65}, "invalid_input"),
    "another key": ({"argv": ["x"]}, "invalid_input"),
    "no texts": ({"arguments": [1]}, "invalid_input"),
}


@pytest.mark.parametrize(("tool_input", "kind"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_allowed_is_refused(docs, tool_input, kind):
    assert (await refused(docs, tool_input)).kind == kind


async def test_a_projects_command_stays_below_the_sessions_roots_and_the_users_may_say_where(docs):
    outside = str(docs.parent.parent)
    tool_input = {"arguments": ["hello", "secret"]}
    assert (await refused(docs, tool_input, sandbox_path=outside)).kind == "outside_sandbox"
    assert (await refused(docs, tool_input, sandbox_path="..")).kind == "outside_sandbox"
    assert (await refused(docs, tool_input, sandbox_path="..", scope="user")).kind == "outside_sandbox"
    assert await run(docs, tool_input, sandbox_path=outside, scope="user") == "exit code 0\nhello secret"
    assert (await refused(docs, tool_input, sandbox_path="gone")).kind == "not_found"


async def test_a_program_that_is_not_there_or_hangs_is_a_failure(docs):
    assert (await refused(docs, {}, command="no-such-program")).kind == "not_found"
    assert (await refused(docs, {}, command="bin/x")).kind == "not_found"
    slow = await refused(docs, {"arguments": ["1000"]}, command="sleep", timeout=0.3)
    assert slow.kind == "timeout"
