"""Child processes: streamed, bounded, and gone with all their descendants."""

import codecs
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_sightings import Lines, is_dead, living_with, new_mark, unreaped_children, until_dead

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution import process_table, shims
from holdfast_daemon.execution.process import (
    OutputTooLarge,
    _OutputReader,
    become_subreaper,
    run_process,
)

LINUX = sys.platform == "linux"
BRANDED = pytest.mark.skipif(not shims.available_shims().prlimit, reason="no prlimit(1): no brand")

pytestmark = pytest.mark.skipif(not LINUX, reason="processes are found in procfs")


async def run(
    command: str,
    output: Callable[[str], Awaitable[None]] | None = None,
    *,
    cwd: str = "/",
    env: dict[str, str] | None = None,
    **limits: Any,
) -> int:
    with anyio.fail_after(20):
        return await run_process(
            ["/bin/sh", "-c", command],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin"} if env is None else env,
            limits=ExecutionLimits(**limits),
            output=output or Lines().take,
        )


async def test_both_streams_come_as_text_and_the_exit_code_is_returned() -> None:
    lines = Lines()
    assert await run("echo out; echo err >&2; exit 7", lines.take) == 7
    assert lines.text == "out\nerr\n"


async def test_a_child_ended_by_a_signal_gives_its_negative_number() -> None:
    assert await run("kill -9 $$") == -signal.SIGKILL


async def test_the_environment_is_the_given_one_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CANARY", "of the daemon")
    lines = Lines()
    await run_process(
        ["/usr/bin/env"], cwd="/", env={"A": "1", "B": "ü"}, limits=ExecutionLimits(), output=lines.take
    )
    assert sorted(lines.text.splitlines()) == ["A=1", "B=ü"]


async def test_the_daemons_stdin_is_not_the_childs() -> None:
    given, giver = os.pipe()
    os.write(giver, b"for the daemon\n")
    os.close(giver)
    saved = os.dup(0)
    os.dup2(given, 0)
    try:
        lines = Lines()
        assert await run("cat; echo end", lines.take) == 0
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(given)
    assert lines.text == "end\n"


async def test_the_child_leads_a_session_of_its_own(tmp_path: Path) -> None:
    lines = Lines()
    await run("echo $$; cut -d' ' -f5,6 /proc/$$/stat; pwd", lines.take, cwd=str(tmp_path))
    pid, group_and_session, cwd = lines.text.splitlines()
    assert group_and_session == f"{pid} {pid}"
    assert cwd == str(tmp_path)


async def test_a_directory_that_is_gone_is_an_error_and_starts_nothing(tmp_path: Path) -> None:
    before = set(unreaped_children())  # Another test of this process may have left one.
    with pytest.raises(FileNotFoundError):
        await run("true", cwd=str(tmp_path / "gone"))
    assert set(unreaped_children()) <= before


async def test_output_up_to_the_limit_is_read_and_one_byte_more_kills() -> None:
    lines = Lines()
    assert await run("head -c 1000 /dev/zero | tr '\\0' x", lines.take, output_read_bytes_max=1000) == 0
    assert lines.text == "x" * 1000
    mark = new_mark()
    with pytest.raises(OutputTooLarge, match="more than 1000 bytes"):
        await run(
            f"head -c 1001 /dev/zero | tr '\\0' x; exec sleep {mark}", output_read_bytes_max=1000, grace_s=0.1
        )
    assert living_with(mark) == []


async def test_endless_output_is_stopped_at_the_limit() -> None:
    taken = 0

    async def count(text: str) -> None:
        nonlocal taken
        taken += len(text)

    with pytest.raises(OutputTooLarge):
        await run("yes", count, output_read_bytes_max=1_000_000)
    assert taken <= 1_000_000


class Pipe:
    """A byte stream that gives what it was told."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def receive(self, max_bytes: int = 65536) -> bytes:
        del max_bytes
        if not self._pieces:
            raise anyio.EndOfStream
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        pass


@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"\xe2", b"\x82", b"\xac", b"\xf0\x9f"])))
async def test_text_does_not_depend_on_how_the_bytes_were_split(pieces: list[bytes]) -> None:
    lines = Lines()
    await _OutputReader(Pipe(pieces), lines.take, 10_000).read()  # pyright: ignore[reportArgumentType]
    assert lines.text == codecs.decode(b"".join(pieces), "utf-8", "replace")


async def test_what_a_command_leaves_in_the_background_ends_with_it() -> None:
    mark = new_mark()
    lines = Lines()
    assert await run(f"sleep {mark} & echo started", lines.take, grace_s=0.1) == 0
    assert lines.text == "started\n"
    assert living_with(mark) == []


async def test_a_background_process_that_ignores_sigterm_ends_too() -> None:
    mark = new_mark()
    assert await run(f"trap '' TERM; sleep {mark} >/dev/null 2>&1 &", grace_s=0.05) == 0
    assert living_with(mark) == []


async def test_sigterm_comes_before_sigkill(tmp_path: Path) -> None:
    lines = Lines()
    async with anyio.create_task_group() as group:
        command = f"trap 'echo > {tmp_path}/cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
        group.start_soon(lambda: run(command, lines.take, grace_s=5))
        await lines.until(1)
        group.cancel_scope.cancel()
    assert (tmp_path / "cleaned").exists()


async def test_cancelling_ends_the_child_before_it_returns() -> None:
    before = set(unreaped_children())  # Another test of this process may have left one.
    lines = Lines()
    async with anyio.create_task_group() as group:
        group.start_soon(run, "echo $$; exec sleep 1000", lines.take)
        (pid,) = await lines.until(1)
        child = os.pidfd_open(int(pid))
        assert not is_dead(child)
        group.cancel_scope.cancel()
    assert is_dead(child)
    os.close(child)
    assert set(unreaped_children()) <= before


@BRANDED
async def test_no_double_forked_descendant_in_a_session_of_its_own_survives_a_cancellation() -> None:
    """security.md P4; killpg alone ends none of these."""
    before = set(unreaped_children())  # Another test of this process may have left one.
    assert become_subreaper()
    lines = Lines()
    escape = "(setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &)"
    async with anyio.create_task_group() as group:
        command = f"i=0; while [ $i -lt 50 ]; do {escape}; i=$((i+1)); done; exec sleep 1000"
        group.start_soon(lambda: run(command, lines.take, grace_s=0.1))
        escaped = [os.pidfd_open(int(pid)) for pid in await lines.until(50)]
        assert not any(is_dead(process) for process in escaped)
        group.cancel_scope.cancel()
    assert len(escaped) == 50
    assert all(is_dead(process) for process in escaped)
    for process in escaped:
        os.close(process)
    assert set(unreaped_children()) <= before


@BRANDED
async def test_an_escaped_process_without_environment_and_descriptors_is_found(tmp_path: Path) -> None:
    assert become_subreaper()
    mark = new_mark()
    lines = Lines()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    inner = f"echo > {fifo}; exec sleep {mark}"
    command = f'(setsid env -i /bin/sh -c "{inner}" </dev/null >/dev/null 2>&1 &); cat {fifo}; echo up'
    assert await run(command, lines.take, grace_s=0.1) == 0
    assert "up" in lines.text
    assert living_with(mark) == []


async def test_families_leave_each_other_alone() -> None:
    assert become_subreaper()
    mark = new_mark()
    lines = Lines()
    async with anyio.create_task_group() as group:
        group.start_soon(run, f"(setsid sleep {mark} &); echo up; exec sleep {mark}", lines.take)
        await lines.until(1)
        with anyio.fail_after(10):
            while len(living_with(mark)) < 2:  # Between fork and exec it has another command line.
                await run("true")
        await run("(setsid sleep 0 &); true")
        assert len(living_with(mark)) == 2
        group.cancel_scope.cancel()
    assert living_with(mark) == []


async def test_a_cancellation_while_output_is_handed_on_ends_the_child() -> None:
    mark = new_mark()
    reached = anyio.Event()

    async def stuck(text: str) -> None:
        del text
        reached.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(run, f"echo x; sleep {mark}", stuck)
        with anyio.fail_after(10):
            await reached.wait()
        group.cancel_scope.cancel()
    assert living_with(mark) == []


async def test_an_error_of_the_output_callback_comes_out_as_it_is() -> None:
    mark = new_mark()

    async def refuse(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="first"):
        await run(f"echo first; exec sleep {mark}", refuse)
    assert living_with(mark) == []


async def test_a_cancellation_before_the_start_starts_nothing() -> None:
    mark = new_mark()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run(f"exec sleep {mark}")
    assert scope.cancelled_caught
    assert living_with(mark) == []


async def test_a_signal_reaches_exactly_the_process_that_was_seen() -> None:
    """A pid that has gone to another process since the scan must not be hit."""
    async with await anyio.open_process(["/bin/sleep", "1000"]) as child:
        seen = process_table.process_entry(child.pid)
        process_table.send(seen._replace(started=seen.started + 1), signal.SIGKILL)
        process_table.send(seen, signal.SIGTERM)
        with anyio.fail_after(10):
            assert await child.wait() == -signal.SIGTERM  # Not of the SIGKILL that came before.


def test_a_process_name_cannot_forge_the_fields_behind_it(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 1"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "1000"])
    try:
        entry = process_table.process_entry(child.pid)
        assert (entry.parent, entry.zombie) == (os.getpid(), False)
    finally:
        child.kill()
        child.wait()


DAEMON = """
import anyio, sys
from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.process import run_process
async def show(text):
    print(text, end="", flush=True)
async def main():
    await run_process(["/bin/sh", "-c", "echo $$; exec sleep 1000"], cwd="/", env={},
                      limits=ExecutionLimits(), output=show)
anyio.run(main)
"""


@pytest.mark.skipif(not shims.available_shims().setpriv, reason="no setpriv(1): no parent-death signal")
async def test_a_child_dies_with_the_daemon() -> None:
    async with await anyio.open_process([sys.executable, "-c", DAEMON], stderr=None) as daemon:
        assert daemon.stdout is not None
        with anyio.fail_after(10):
            pid = int(await daemon.stdout.receive())
        descriptor = os.pidfd_open(pid)
        try:
            daemon.kill()
            await until_dead(descriptor)
        finally:
            os.close(descriptor)
    assert daemon.returncode == -signal.SIGKILL


WITHOUT_DESCRIPTORS = """
import anyio, os, resource, signal
from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.process import run_process
started = anyio.Event()
leader = 0
async def note(text):
    global leader
    leader = os.pidfd_open(int(text))
    started.set()
async def run():
    await run_process(["/bin/sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done"], cwd="/",
                      env={"PATH": "/usr/bin:/bin"}, limits=ExecutionLimits(grace_s=0.1), output=note)
async def main():
    taken = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await started.wait()
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                # The group is killed without a look at procfs; then procfs must say that it is gone.
                await anyio.wait_readable(leader)
                for descriptor in taken:
                    os.close(descriptor)
    print("ended")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
anyio.run(main)
"""


async def test_without_a_free_descriptor_the_group_is_still_killed() -> None:
    with anyio.fail_after(30):
        done = await anyio.run_process([sys.executable, "-c", WITHOUT_DESCRIPTORS], check=False)
    assert done.stdout == b"ended\n", done.stderr.decode()
    assert b"procfs cannot be read" in done.stderr
