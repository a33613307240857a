"""The TypeScript client as the tests use it: installed from its lock file, built from its sources."""

import os
import shutil
import subprocess
from pathlib import Path

CLIENT = Path(__file__).parent.parent.parent / "clients" / "typescript"
BUILT = CLIENT / "dist"

INSTALL_S_MAX = 110.0


def run(*command: str, timeout_s: float = INSTALL_S_MAX, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the client's folder."""
    return subprocess.run(
        command,
        check=False,
        cwd=CLIENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=timeout_s,
    )


def build() -> Path:
    """Build the client from the sources and the types as they are now; give the folder of its modules."""
    npm = shutil.which("npm")
    assert npm, "npm is not installed"
    if not _is_installed():
        installed = run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        assert installed.returncode == 0, installed.stderr
    shutil.rmtree(BUILT, ignore_errors=True)
    built = run(npm, "run", "build")
    assert built.returncode == 0, built.stdout + built.stderr
    return BUILT / "src"


def _is_installed() -> bool:
    """Tell whether node_modules is what the lock file says; npm notes there what it installed."""
    installed = CLIENT / "node_modules" / ".package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (CLIENT / "package-lock.json").stat().st_mtime
