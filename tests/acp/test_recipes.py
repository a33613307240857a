"""The recipes of docs/acp.md are short, and what they have an editor start is an agent."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from published_schema import violations

from fakes.home import Home

TEXT = (Path(__file__).parents[2] / "docs" / "acp.md").read_text(encoding="utf-8")

RECIPES: dict[str, str] = dict(
    re.findall(r"^### ([^\n]+)\n.*?^```\w+[^\n]*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
)

LINES_MAX = 6

HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}}


def test_there_is_a_recipe_for_every_client() -> None:
    assert [name.split(",")[0] for name in RECIPES] == [
        *("Zed", "JetBrains IDEs", "Neovim", "Emacs", "acpx", "marimo")
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_at_most_six_lines(name: str) -> None:
    assert 1 <= len(RECIPES[name].splitlines()) <= LINES_MAX


@pytest.mark.parametrize("name", ["Zed", "JetBrains IDEs"])
def test_what_a_recipe_starts_answers_an_editor(home: Home, name: str) -> None:
    server = json.loads(RECIPES[name])["agent_servers"]["holdfast"]
    done = subprocess.run(
        [server["command"], *server["args"]],
        input=json.dumps(HELLO) + "\n",
        env={
            "PATH": str(Path(sys.executable).parent),
            "HOME": str(home.path),
            "HOLDFAST_HOME": str(home.path / "hf"),
            "HOLDFAST_DAEMON": str(home.path / "none"),  # An answer needs no daemon, and none is to be left.
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    (answer,) = done.stdout.splitlines()
    assert violations("InitializeResponse", json.loads(answer)["result"]) == []
