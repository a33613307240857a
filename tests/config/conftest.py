"""A home of its own for each test."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from config_world import ConfigHome


@pytest.fixture
def home() -> Iterator[ConfigHome]:
    """A home without a daemon; one that a test starts is stopped at its end."""
    path = Path(tempfile.mkdtemp(prefix="hf"))
    made = ConfigHome(path)
    try:
        yield made
    finally:
        shutil.rmtree(made.file.parent, ignore_errors=True)
        if Path(made.locations.record).exists():
            made.run("stop", "--now")
        lock = Path(made.locations.state) / "daemon.lock"
        if lock.is_file():
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)
        shutil.rmtree(path, ignore_errors=True)
