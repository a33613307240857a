"""Benchmarks: what a user would feel, each figure beside the least code that does the same work."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
"""The checkout: processes that are modules of this package are started there."""
