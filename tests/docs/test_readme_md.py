"""README.md: a newcomer sees what it shows, and finds what it names."""

import fcntl
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_client.shell import commands
from holdfast_protocol.discovery import locations

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

LINE = re.compile(r"^(?:python3 -m pip install .* && )?\.tools/bin/uv run (holdfast .*)$", re.MULTILINE)
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WAIT_S = 60


@pytest.fixture
def environ(home):
    """A user's surroundings, without a daemon; one that was started is ended."""
    made = {"PATH": os.environ["PATH"], "HOME": str(home.path), "HOLDFAST_HOME": str(home.path)}
    yield {**made, "LANG": "C.UTF-8"}
    _run(["holdfast", "stop", "--now"], made)
    lock_file = home.state / "daemon.lock"
    if lock_file.exists():  # The demo has a daemon of its own.
        with lock_file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # It lets go of its state a moment after its connections.


def _run(command: list[str], environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [program, *command[1:]],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WAIT_S,
        cwd=ROOT,
        env=environ,
    )


@pytest.mark.parametrize("name", ["demo", "run"])
def test_a_command_line_to_try_shows_what_the_readme_says_it_shows(environ, name):
    blocks = BLOCK.findall(README.partition("## Try it\n")[2].partition("\n## ")[0])
    found = [LINE.search(block) for block in blocks]
    (place,) = [i for i, line in enumerate(found) if line and shlex.split(line[1])[1] == name]
    ended = _run(shlex.split(found[place][1]), environ)
    assert ended.returncode == 0, ended.stdout
    lines = [line for line in blocks[place + 1].splitlines() if line.strip() != "…"]
    assert len(lines) > 5
    said = ended.stdout.splitlines()
    assert [line for line in lines if not any(_alike(line, other) for other in said)] == []


def _alike(line: str, other: str) -> bool:
    """Compare but for figures, which are those of one run."""
    return re.sub(r"[\d,.]+", "0", line) == re.sub(r"[\d,.]+", "0", other)


def test_every_subcommand_is_in_the_table_of_commands():
    shown = set(re.findall(r"^\| `holdfast (\w+)", README, re.MULTILINE))
    assert shown == commands.SUMMARIES.keys() - {"help"}


def test_the_directories_are_those_of_discovery():
    plain = locations({}, "/home/me")
    assert plain.state.replace("/home/me", "~") in README
    assert plain.runtime == f"{plain.state}/run"
    assert (
        locations({"XDG_RUNTIME_DIR": "/run/me"}, "/h").runtime.replace("/run/me", "$XDG_RUNTIME_DIR")
        in README
    )
    moved = locations({"HOLDFAST_HOME": "$HOLDFAST_HOME"}, "/h")
    assert moved.state in README
    assert moved.runtime in README


def test_security_takes_five_lines():
    section = README.partition("## Security\n")[2].partition("\n## ")[0]
    assert len(section.strip().splitlines()) == 5
