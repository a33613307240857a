"""Lets the tests of this folder import the daemon processes and clients of `tests/e2e`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))  # In every import mode of pytest.
