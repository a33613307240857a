"""examples/embed_node.mjs: plain Node embeds the daemon (docs/embedding.md)."""

import os
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed_node.mjs"
RUN_S_MAX = 60.0


@pytest.fixture(scope="module")
def plain_node() -> str:
    """Node without any package."""
    command = shutil.which("node")
    assert command, "node is not installed"
    return command


def start(node: str, holdfastd: str, state: Path, directory: Path, prompt: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [node, str(EXAMPLE), str(state), str(directory), prompt],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(state), "HOLDFAST_DAEMON": holdfastd},
    )


def run(
    node: str, holdfastd: str, state: Path, directory: Path, prompt: str
) -> "subprocess.CompletedProcess[str]":
    process = start(node, holdfastd, state, directory, prompt)
    out, error = process.communicate(timeout=RUN_S_MAX)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def test_a_node_program_streams_a_run_of_its_own_daemon(plain_node: str, holdfastd: str, tmp_path: Path):
    (tmp_path / "README.md").write_text("# Hello\n")
    ran = run(plain_node, holdfastd, tmp_path / "state", tmp_path, "read README.md")
    assert ran.returncode == 0, ran.stderr
    assert "read `README.md`: 1 line, first heading “Hello”." in ran.stdout
    assert re.search(r"^run_completed, \d+ tokens out, session \S+$", ran.stdout, re.MULTILINE)
    assert '{"path"' not in ran.stdout


def test_a_long_run_comes_whole(plain_node: str, holdfastd: str, tmp_path: Path):
    ran = run(plain_node, holdfastd, tmp_path / "state", tmp_path, "count 20000")
    assert ran.returncode == 0, ran.stderr
    words = ran.stdout.rpartition("\nrun_completed")[0].split()
    assert words[-20000:] == [str(number) for number in range(1, 20001)]


def test_its_exit_code_says_that_the_run_failed(plain_node: str, holdfastd: str, tmp_path: Path):
    script = "script:\n  - error: {kind: overloaded, message: Later.}\n"
    ran = run(plain_node, holdfastd, tmp_path / "state", tmp_path, script)
    assert ran.returncode == 1
    assert "run_failed" in ran.stdout


def test_a_refused_call_and_a_daemon_that_cannot_start_are_told(
    plain_node: str, holdfastd: str, tmp_path: Path
):
    refused = run(plain_node, holdfastd, tmp_path / "state", tmp_path / "nowhere", "say hi")
    assert (refused.returncode, refused.stderr.partition(":")[0]) == (1, "invalid_params")
    (tmp_path / "file").touch()
    unusable = run(plain_node, holdfastd, tmp_path / "file" / "state", tmp_path, "say hi")
    assert unusable.returncode == 1
    assert "holdfastd ended with 1" in unusable.stderr
    missing = run(plain_node, str(tmp_path / "no-daemon"), tmp_path / "state", tmp_path, "say hi")
    assert missing.returncode == 1
    assert "ENOENT" in missing.stderr


def test_the_daemon_dies_with_the_program(plain_node: str, holdfastd: str, tmp_path: Path):
    script = "script:\n  - text: I wait.\n    hang: true\n"
    state = tmp_path / "state"
    process = start(plain_node, holdfastd, state, tmp_path, script)
    with process:
        assert process.stdout is not None
        assert process.stdout.read(len("I wait.")) == "I wait."
        (daemon,) = children_of(process.pid)
        ended = os.pidfd_open(daemon)
        process.send_signal(signal.SIGKILL)
        process.wait(RUN_S_MAX)
        wait_for_end(ended)


def children_of(pid: int) -> list[int]:
    """Give the ids of a process's children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def wait_for_end(process: int) -> None:
    readable, _, _ = select.select([process], [], [], RUN_S_MAX)
    os.close(process)
    assert readable, "the daemon outlived its parent"
