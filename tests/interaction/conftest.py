"""Lets the tests of this folder, and the hooks they give to a daemon, import each other."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # In every import mode of pytest; hook processes get it too.

pytest.register_assert_rewrite("interaction_world", "interaction_rules", "person")
