"""The sandbox of this machine, and commands in it."""

from collections.abc import Mapping
from pathlib import Path

import anyio
from process_sightings import Lines

from fakes.sandboxes import need_sandbox
from holdfast_daemon.config import ExecutionLimits, SandboxSettings
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.mount_points import MountPoints

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def launcher(
    *,
    settings: SandboxSettings | None = None,
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    points: MountPoints | None = None,
    brands: Brands | None = None,
    own: tuple[Path, ...] = (),
) -> Launcher:
    """Give what starts processes in this machine's sandbox."""
    need_sandbox()
    settings = settings or SandboxSettings()
    points = points or MountPoints()
    sandbox = detect_sandbox(settings, points, home or Path.home(), environ or {}, tuple(map(str, own)))
    return Launcher(sandbox, brands, settings)


async def said(
    command: str,
    *,
    launched_by: Launcher,
    root: Path,
    hidden: tuple[Path, ...] = (),
    shown: tuple[Path, ...] = (),
    lines: Lines | None = None,
    code: int | None = None,
    network: bool = False,
    **limits: float,
) -> str:
    """Run a shell command in a root; give what it wrote."""
    lines = lines or Lines()
    with anyio.fail_after(30):
        ended = await launched_by.run(
            ["/bin/bash", "-c", command],
            cwd=str(root),
            env=ENV,
            limits=ExecutionLimits(**limits),
            output=lines.take,
            confinement=Confinement(
                writable=(str(root),),
                hidden=tuple(map(str, hidden)),
                shown=tuple(map(str, shown)),
                network=network,
            ),
        )
    if code is not None:
        assert ended == code, lines.text
    return lines.text
