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

FIRST_RUN = re.compile(r"^python3 -m pip install .* && \.tools/bin/uv run (holdfast run .*)$", re.MULTILINE)
SHOWN = re.compile(r"^This starts the daemon.*?```\n(.*?)```", re.MULTILINE | re.DOTALL)

WAIT_S = 60


@pytest.fixture
def environ(home):
    """A user's surroundings, without a daemon; one that was started is ended."""
    made = {"PATH": os.environ["PATH"], "HOME": str(home.path), "HOLDFAST_HOME": str(home.path)}
    yield {**made, "LANG": "C.UTF-8"}
    _run(["holdfast", "stop", "--now"], made)
    with (home.state / "daemon.lock").open("rb") as lock:
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


def test_the_first_command_line_shows_what_the_readme_says_it_shows(environ):
    command, shown = FIRST_RUN.search(README), SHOWN.search(README)
    assert command
    assert shown
    ended = _run(shlex.split(command[1]), environ)
    assert ended.returncode == 0, ended.stdout
    lines = [line for line in shown[1].splitlines() if line.strip() != "…"]
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
