"""What these tests share: the modules beside this one, and a core to run sessions in."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("sessions", "hub", "journal"))]

pytest.register_assert_rewrite("core_world", "outlets", "journal_world", "vendor_models")

# No test judges by the clock: neither an example's time nor how long its data take to draw.
settings.register_profile("timeless", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("timeless")
