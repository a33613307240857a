"""Terminals of tmux, and a home with one daemon for the tests of a module."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_world import People


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    """A home; its daemon is started by the first terminal and stopped at the end."""
    if shutil.which("tmux") is None:
        reason = "these tests drive the terminal with tmux, which is not installed"
        if os.environ.get("CI"):  # The gate installs it.
            pytest.fail(reason)
        pytest.skip(reason)
    made = People(Path(tempfile.mkdtemp(prefix="hf")))
    try:
        yield made
    finally:
        made.run("stop", "--now")
        lock = made.path / "state" / "daemon.lock"
        if lock.is_file():
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # Its socket closes a little before it has ended.
        shutil.rmtree(made.path)
