"""Python, this command, and the daemon's program beside it."""

import platform
import subprocess
import sys
from typing import Final

from holdfast_client.shell import spawn
from holdfast_client.shell.diagnosis.check import Check, Finding, Scene
from holdfast_client.shell.exit_codes import Unreachable
from holdfast_protocol.version import PROTOCOL_VERSIONS, VERSION

_OLDEST_PYTHON: Final = (3, 11)
_TIMEOUT_S: Final = 10.0
"""Of a program that prints its version; on a starved machine a start takes seconds."""


def _python(_: Scene) -> Finding:
    summary = f"Python {platform.python_version()} ({platform.python_implementation()})"
    details = (sys.executable, platform.platform())
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("failed", f"{summary} is too old", details, "install Python 3.11 or newer")
    return Finding("ok", summary, details)


def _versions(scene: Scene) -> Finding:
    ours = f"holdfast {VERSION}, protocol {', '.join(map(str, PROTOCOL_VERSIONS))}"
    try:
        program = spawn.find_daemon(scene.environ)
    except Unreachable as missing:
        return Finding("failed", missing.message, (ours,), "install holdfast-daemon beside this command")
    said = _version_of(program, scene)
    if said != f"holdfastd {VERSION}":
        summary = f"{program} is {said or 'not what it should be'}, this command is {VERSION}"
        return Finding("warning", summary, (ours,), "install both in the same version")
    return Finding("ok", f"{ours}; holdfastd is the same", (program,))


def _version_of(program: str, scene: Scene) -> str:
    """Give what the program says of itself; nothing if it says nothing."""
    try:
        ran = subprocess.run(  # noqa: S603 - the program that would be started anyway
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=spawn.daemon_environment(scene.environ, scene.locations),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.decode("utf-8", "replace").strip() if ran.returncode == 0 else ""


CHECKS: Final = (Check("python", "Program", _python), Check("versions", "Program", _versions))
