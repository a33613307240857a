"""Whether there is a sandbox on this machine, for tests that need one."""

import functools
import os
import subprocess
from pathlib import Path

import pytest

from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
from holdfast_daemon.execution.mount_points import MountPoints


@functools.cache
def why_not() -> str | None:
    """Say why there is no sandbox; None if there is one."""
    found = detect_sandbox(SandboxSettings(), MountPoints(), Path.home(), {})
    return None if found.confines else found.info.detail


def need_sandbox() -> None:
    """Leave the test out where there is no sandbox; fail it where the gate could have made one."""
    reason = why_not()
    if reason is None:
        return
    message = f"there is no sandbox here: {reason}"
    if os.environ.get("CI") == "true" and _namespaces_work():
        pytest.fail(message)
    pytest.skip(message)


def _namespaces_work() -> bool:
    """Try what every sandbox stands on; where the kernel forbids it, no test of one can say anything."""
    tried = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "true"]
    try:
        return subprocess.run(tried, check=False, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
