"""The command lines a newcomer pastes stand in the README whole, and name what exists."""

import re
from pathlib import Path

import pytest

from holdfast_client.shell.commands import SUMMARIES

INSTALL = "python3 -m pip install -q --target .tools uv"
COMMAND = re.compile(r"^(?:.*&& )?(?:\.tools/bin/uv run )?holdfast ([a-z]+)\b", re.MULTILINE)


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_command_line_of_the_tests_once(readme: str) -> None:
    assert readme.splitlines().count(f"{INSTALL} && .tools/bin/uv run pytest -q") == 1


def test_the_readme_has_one_command_line_from_nothing_to_a_first_run(readme: str) -> None:
    first = [
        line for line in readme.splitlines() if line.startswith(f"{INSTALL} && .tools/bin/uv run holdfast ")
    ]
    assert len(first) == 1


def test_every_subcommand_the_readme_shows_exists(readme: str) -> None:
    shown = set(COMMAND.findall(readme))
    assert shown
    assert shown - set(SUMMARIES) == set()


def test_what_the_commands_leave_behind_is_ignored_by_git(root: Path) -> None:
    ignored = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".tools/", ".venv/", "node_modules/"} <= set(ignored)
