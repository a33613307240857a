"""Lets the tests of this folder import `benchmarks`, which is no distribution: it runs from a checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
