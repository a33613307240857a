"""Lets the tests of this folder import their parts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # In every import mode of pytest.
