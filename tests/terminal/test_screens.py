"""What docs/terminal.md says and shows is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_client.terminal import commands

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")


def test_the_pictures_are_what_is_shown_now():
    """If this fails: run .ci/screens.py, and look at what it changed."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "screens.py"), "--check"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


@pytest.mark.parametrize("picture", ["answer", "approval", "working", "narrow"])
def test_each_picture_is_in_the_page_and_asks_nothing_of_other_hosts(picture):
    assert f"(screens/{picture}.svg)" in PAGE
    drawn = (ROOT / "docs" / "screens" / f"{picture}.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"')]+", drawn)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }


def test_the_page_explains_every_command_and_key():
    assert [name for name in commands.NAMES if f"`/{name}" not in PAGE] == []
    keys = [key for named, _ in commands.KEYS for key in named.split(", ")]
    assert [key for key in keys if f"`{key}`" not in PAGE] == []
