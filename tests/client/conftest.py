"""A home of its own for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell_world import Home

from holdfast_client.shell.endpoint import locate
from holdfast_protocol import discovery


@pytest.fixture
def home() -> Iterator[Home]:
    """A home without a daemon; one that a test starts is stopped at its end."""
    path = Path(tempfile.mkdtemp(prefix="hf"))
    made = Home(path)
    try:
        yield made
    finally:
        if Path(made.locations.record).exists():
            made.run("stop", "--now")
        made.wait_for_the_lock()
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def in_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> discovery.Locations:
    """Let this process itself be in the home."""
    monkeypatch.setenv("HOLDFAST_HOME", str(home.path))
    return locate()
