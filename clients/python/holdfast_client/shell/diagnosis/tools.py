"""What tool calls need, and what confines them."""

import os
from collections.abc import Mapping
from typing import Final

from holdfast_client.shell.diagnosis.check import Check, Daemon, Finding, Scene

_SHELLS: Final = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh")
"""Where the shell tool looks, in its order."""


_UNCONFINED: Final = "no sandbox: each command asks, and what you approve runs with your rights"
_INSTALL: Final = "install bubblewrap"


def _shell(_: Scene) -> Finding:
    found = next((path for path in _SHELLS if os.access(path, os.X_OK)), None)
    if found is None:
        return Finding("failed", "there is no shell for the shell tool", _SHELLS, "install bash")
    if found.endswith("/sh"):
        return Finding("warning", "the shell tool runs /bin/sh: models expect bash", (), "install bash")
    return Finding("ok", f"the shell tool runs {found}")


def _programs(scene: Scene) -> Finding:
    found = _on_path("git", scene.environ)
    if not found:
        return Finding("warning", "git is not on the PATH; models use it", (), "install git")
    return Finding("ok", f"git is {found}")


def _sandbox(scene: Scene) -> Finding:
    bubblewrap = _on_path("bwrap", scene.environ)
    details = (f"bubblewrap is {bubblewrap or 'not installed'}",)
    if not isinstance(scene.daemon, Daemon):
        if bubblewrap:
            return Finding("ok", "bubblewrap is there; a daemon tries it before the first session", details)
        return Finding("warning", _UNCONFINED, details, _INSTALL)
    active = scene.daemon.status["sandbox"]
    if active != "none":
        return Finding("ok", f"tool calls run in {active}")
    fix = "it is off, or does not work here: `session_started` says why" if bubblewrap else _INSTALL
    return Finding("warning", _UNCONFINED, details, fix)


def _on_path(name: str, environ: Mapping[str, str]) -> str:
    paths = (f"{directory}/{name}" for directory in environ.get("PATH", "").split(":") if directory)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), "")  # noqa: PTH113 - paths are strings here


CHECKS: Final = (
    Check("shell", "Tools", _shell),
    Check("programs", "Tools", _programs),
    Check("sandbox", "Tools", _sandbox),
)
