"""docs/embedding.md: its programs are the files in examples/, and they run; its fragments run too."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

import holdfast_client
from fakes.daemons import Home, InProcessDaemon
from holdfast_client import aio
from holdfast_protocol import errors
from holdfast_protocol.discovery import Locations
from holdfast_protocol.version import VERSION

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("embed_*"))

RUN_S_MAX = 60

pytestmark = pytest.mark.timeout(120)

LINKED = re.compile(r"\[(embed_\w+\.\w+)\]\(\.\./examples/\1\):\n\n```\w+\n(.*?)```\n", re.DOTALL)
LOOP = re.compile(r"(async for [^\n]*:[^\n]*\n\s+)\.\.\.")
"""A loop over events that may never end; here its first event is enough."""

FRAGMENT = re.compile(r"```python\n(.*?)```\n", re.DOTALL)


def run(home: Home, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run an example as a user would: the commands on the PATH, a home of its own."""
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=RUN_S_MAX,
        cwd=home.path,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home.path),
            "TMPDIR": str(home.path),
            **environ,
        },
    )


def example(name: str) -> str:
    return str(ROOT / "examples" / name)


def test_the_document_shows_every_example_as_it_is():
    shown = dict(LINKED.findall(DOCUMENT))
    assert shown == {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES}
    assert len(shown) == 4


def test_the_async_program_streams_a_run_hosts_a_tool_and_answers(home: Home):
    (home.work / "README.md").write_text("# Hello\n")
    script = (
        "script:\n"
        "  - text: Let me count.\n"
        "    call: {tool: word_count, input: {text: one two three}}\n"
        "  - call: {tool: write, input: {path: x, content: y}}\n"
        "  - text: Done.\n"
    )
    ran = run(home, sys.executable, example("embed_async.py"), str(home.work), script)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Let me count.tool: TextBlock(text='3')\n")
    assert "tool failed" in ran.stdout
    assert re.search(r"Done\.\ncompleted: \d+ events, Usage", ran.stdout)
    assert not (home.work / "x").exists()


def test_the_blocking_program_finds_its_sessions_the_next_time(home: Home):
    for number in (1, 2):
        command = [sys.executable, example("embed_blocking.py"), str(home.state), str(home.work)]
        ran = run(home, *command, f"say number {number}")
        assert ran.returncode == 0, ran.stderr
        assert f"number {number}" in ran.stdout
        assert len(re.findall(r"^\S+: idle, \d+ events$", ran.stdout, re.MULTILINE)) == number


def test_the_blocking_programs_exit_code_says_how_it_went(home: Home):
    script = "script:\n  - error: {kind: overloaded, message: Later.}\n"
    command = [sys.executable, example("embed_blocking.py"), str(home.state), str(home.work), script]
    assert run(home, *command).returncode == 1


def test_the_shell_script_gives_the_answer_and_reads_the_log(home: Home):
    (home.work / "README.md").write_text("# Hello\n")
    ran = run(home, "sh", example("embed_shell.sh"), str(home.work), "read README.md")
    assert ran.returncode == 0, ran.stderr
    assert "read `README.md`: 1 line, first heading “Hello”." in ran.stdout
    assert '"id":2,"result":{"sessions":[{"sessionId"' in ran.stdout
    assert not list(home.path.glob("tmp.*"))


def test_the_shell_script_hands_the_exit_code_on(home: Home):
    script = "script:\n  - error: {kind: overloaded, message: Later., retryable: true}\n"
    ran = run(home, "sh", example("embed_shell.sh"), str(home.work), script)
    assert ran.returncode == 75
    assert "the run ended with exit code 75" in ran.stdout


def fragments() -> list[str]:
    """Give the document's Python that is not a whole program."""
    whole = {body for _, body in LINKED.findall(DOCUMENT)}
    return [body for body in FRAGMENT.findall(DOCUMENT) if body not in whole]


@pytest.mark.parametrize("fragment", fragments(), ids=lambda body: body.splitlines()[0][:30])
async def test_a_fragment_runs_as_it_stands(home: Home, fragment: str):
    body = LOOP.sub(r"\1break", fragment).replace("/home/me/project", str(home.work))
    names: dict[str, Any] = {**vars(errors), **vars(holdfast_client.errors)}
    function = "async def run(client, session, cursor, epoch, head):\n" + textwrap.indent(body, "    ")
    exec(compile(function, "docs/embedding.md", "exec"), names)
    async with anyio.create_task_group() as tasks:
        daemon = InProcessDaemon(home, tasks)
        await daemon.start()
        places = Locations(config="", state=str(home.state), runtime=str(home.runtime))
        with anyio.fail_after(RUN_S_MAX):
            async with aio.connect("attach", locations=places) as client:
                session = await client.create_session(str(home.work))
                await session.run("say something")
                await names["run"](client, session, cursor=0, epoch=session.epoch, head=1)
        await daemon.stop()
    assert fragment in DOCUMENT


def test_there_are_fragments():
    assert len(fragments()) == 3


def test_every_name_the_document_gives_exists():
    for name in re.findall(r"`(?:holdfast_client|holdfast_protocol)[.\w]*`", DOCUMENT):
        module, found = name.strip("`").split("."), holdfast_client
        if module[0] == "holdfast_protocol":
            continue
        for part in module[1:]:
            found = getattr(found, part)
    for method in re.findall(r"`session\.(\w+)\(", DOCUMENT):
        assert hasattr(aio.Session, method)
    for method in re.findall(r"`client\.(\w+)\(", DOCUMENT):
        assert hasattr(aio.Client, method)


def test_the_requirement_of_the_examples_is_met_by_this_version():
    requirements = set(re.findall(r'require="([^"]+)"', DOCUMENT))
    assert requirements
    assert all(aio.Requirement.parse(text).is_met_by(VERSION) for text in requirements)
