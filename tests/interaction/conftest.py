"""Lets the tests of this folder, and the hooks they give to a daemon, import each other."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.daemons import Home

sys.path.insert(0, str(Path(__file__).parent))  # In every import mode of pytest; hook processes get it too.

pytest.register_assert_rewrite("interaction_world", "interaction_rules", "person")

_MEMORY = Path("/dev/shm")


@pytest.fixture
def home() -> Iterator[Home]:
    """A daemon's directories below one short path, in memory where that can be: nothing here loses power.

    Else these conversations mostly wait for the disk, once for each of their steps.
    """
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    made = Home(Path(tempfile.mkdtemp(prefix="hf", dir=parent)))
    made.work.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made.path)
