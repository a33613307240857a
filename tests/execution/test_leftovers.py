"""Tool processes that nobody stands for: found by their brands, ended, and no one else's touched."""
# ruff: noqa: ASYNC220 - starting a process is short, and nothing else waits

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from process_sightings import Lines, living_with, new_mark
from sandbox_here import need_sandbox

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution import shims
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.leftovers import end_left_behind
from holdfast_daemon.execution.process import become_subreaper

pytestmark = pytest.mark.skipif(not shims.available_shims().prlimit, reason="no prlimit(1): no brand")

ROUNDS = int(os.environ.get("HOLDFAST_SANDBOX_ROUNDS", "2"))
"""How often a daemon is killed; 100 in a long run."""

KILLED_DAEMON = """
import anyio, sys
from pathlib import Path
from holdfast_daemon.config import ExecutionLimits, SandboxSettings
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.confinement import Confinement
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.execution.process import become_subreaper
from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox
state, mode, command = sys.argv[1:]
async def show(text):
    print(text, end="", flush=True)
async def main():
    become_subreaper()
    settings = SandboxSettings(mode=mode, processes_max=1000)
    sandbox = detect_sandbox(settings, MountPoints(), Path.home(), {})
    launcher = Launcher(sandbox, Brands.of_state(Path(state)), settings)
    await launcher.run(["/bin/bash", "-c", command], cwd=state, env={"PATH": "/usr/bin:/bin"},
                       limits=ExecutionLimits(), output=show, confinement=Confinement(writable=(state,)))
anyio.run(main)
"""


def tree(mark: str, count: int) -> str:
    """A command with so many descendants that ignore SIGTERM, each got away in another way."""
    plain = f"sh -c 'trap \"\" TERM INT HUP; echo up; sleep {mark}; :'"
    return (
        f"for i in $(seq {count // 2}); do {plain} & (setsid env -i PATH=/usr/bin:/bin {plain} &); done; wait"
    )


async def kill_a_daemon(state: Path, mode: str, command: str, count: int, mark: str) -> None:
    """Run a daemon until its tool has started so many processes, then kill it."""
    argv = [sys.executable, "-c", KILLED_DAEMON, str(state), mode, command]
    async with await anyio.open_process(argv, stderr=None) as daemon:
        assert daemon.stdout is not None
        text = b""
        with anyio.fail_after(20):
            while text.count(b"up\n") < count:
                text += await daemon.stdout.receive()
            while len(await anyio.to_thread.run_sync(living_with, mark)) < count:
                pass  # Between fork and exec it has another command line.
        daemon.kill()
    assert daemon.returncode == -signal.SIGKILL


async def until_gone(mark: str) -> None:
    with anyio.fail_after(10):
        while await anyio.to_thread.run_sync(living_with, mark):
            pass


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_the_kernel_ends_all_descendants_of_a_killed_daemon_in_a_sandbox(tmp_path: Path) -> None:
    """failures.md D26, security.md P4."""
    need_sandbox()
    for _ in range(ROUNDS):
        mark = new_mark()
        await kill_a_daemon(tmp_path, "require", tree(mark, 200), 200, mark)
        started = anyio.current_time()
        await until_gone(mark)
        print(f"200 descendants were gone {(anyio.current_time() - started) * 1000:.0f} ms after the kill")


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_the_next_daemon_ends_what_a_killed_one_left_behind_without_a_sandbox(tmp_path: Path) -> None:
    for _ in range(ROUNDS):
        mark = new_mark()
        await kill_a_daemon(tmp_path, "off", tree(mark, 200), 200, mark)
        assert len(living_with(mark)) == 200, "this is what the test is about"
        assert await end_left_behind(Brands.of_state(tmp_path)) >= 200
        assert living_with(mark) == []


async def test_processes_of_another_state_are_left_alone(tmp_path: Path) -> None:
    mark = new_mark()
    states = [tmp_path / name for name in ("one", "other")]
    for state in states:
        state.mkdir()
    await kill_a_daemon(states[0], "off", tree(mark, 2), 2, mark)
    try:
        assert await end_left_behind(Brands.of_state(states[1])) == 0
        assert len(living_with(mark)) == 2
    finally:
        await end_left_behind(Brands.of_state(states[0]))
    assert living_with(mark) == []


async def test_processes_with_no_brand_are_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True) as stranger:
        assert await end_left_behind(Brands.of_state(tmp_path)) == 0
        assert stranger.poll() is None
        stranger.kill()


def test_the_brands_of_a_state_are_the_same_every_time_and_no_one_elses(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    brand = Brands.of_state(one).new()
    assert Brands.of_state(one).has(brand)
    assert (one / "brand").stat().st_mode & 0o777 == 0o600
    shutil.copytree(one, other)
    assert not Brands.of_state(other).has(brand), "a copy has brands of its own"
    assert not Brands.of_process().has(brand)
    one.rename(tmp_path / "moved")
    assert Brands.of_state(tmp_path / "moved").has(brand)
    assert 0 < brand < 1 << 63


def test_a_secret_that_was_not_written_whole_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "brand").write_bytes(b"short")
    brand = Brands.of_state(tmp_path).new()
    assert Brands.of_state(tmp_path).has(brand)


async def launch(launcher: Launcher, command: str, lines: Lines | None = None) -> None:
    with anyio.fail_after(20):
        await launcher.run(
            ["/bin/bash", "-c", command],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            limits=ExecutionLimits(grace_s=0.1),
            output=(lines or Lines()).take,
            confinement=Confinement(),
        )


SHED = "(ulimit -R 1000000; setsid bash -c 'sleep {mark} >/dev/null 2>&1 &' &) >/dev/null 2>&1; echo up"


async def test_adopted_children_that_shed_their_brand_end_with_the_last_call() -> None:
    assert become_subreaper()
    launcher = Launcher()
    mark, other = new_mark(), new_mark()
    lines = Lines()
    stranger = subprocess.Popen(["/bin/sleep", other])  # A process of the daemon's own, as a server it uses.
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(launch, launcher, f"echo up; sleep {mark}; :", lines)
            await lines.until(1)
            await launch(launcher, SHED.format(mark=mark))
            assert launcher.statistics().running == 1
            group.cancel_scope.cancel()
        assert launcher.statistics().running == 0
        assert living_with(mark) == []
        assert living_with(other), "it never had a brand"
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_brand_cannot_be_taken_off() -> None:
    lines = Lines()
    await launch(
        Launcher(), "ulimit -R unlimited && echo off; ulimit -H -R unlimited && echo off; true", lines
    )
    assert "off" not in lines.text
