"""What a short command imports: nothing that is slow to import (benchmarks/ has the times)."""

import subprocess
import sys

import pytest
from shell_world import Home

PROBE = """
import sys
sys.argv = ["holdfast", *{arguments!r}]
from holdfast_client.shell.__main__ import main
code = main()
sys.stderr.write(" ".join(sorted(sys.modules)))
sys.exit(code)
"""

SLOW_EVERYWHERE = {
    "msgspec",
    "anyio",
    "asyncio",
    "holdfast_daemon",
    "inspect",
    "dataclasses",
    "logging",
    "uuid",
}
SLOW_ON_THE_FAST_PATH = {
    "argparse",
    "subprocess",
    "pathlib",
    "shutil",
    "tempfile",
    "signal",
    "difflib",
    "threading",
}


def modules(home: Home, *arguments: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments)],
        env=home.environ,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.split("\n")[-1].split())


def test_commands_of_the_fast_path_import_nothing_slow(home: Home) -> None:
    session_id = home.run("run", "--detach", "say hello").stdout.strip()
    for arguments in (
        ("ps",),
        ("ps", "--json"),
        ("status",),
        ("version",),
        ("cancel", session_id),
        ("close", session_id),
        ("rename", session_id, "Other"),
        ("socket",),
        ("approvals",),
        ("stop",),
    ):
        imported = modules(home, *arguments)

        assert not imported & (SLOW_EVERYWHERE | SLOW_ON_THE_FAST_PATH), arguments
        assert "holdfast_client.shell.wire" in imported


def test_commands_that_change_or_answer_import_nothing_slow(home: Home) -> None:
    asking = home.run("run", "--detach", "write a.txt: hello").stdout.strip()
    home.run("run", "--max-steps", "1", "--session", asking, "say hello")  # Waits behind the question.
    for arguments in (("approve", asking), ("export", asking), ("fork", asking), ("rm", "-f", asking)):
        assert not modules(home, *arguments) & (SLOW_EVERYWHERE | {"argparse", "subprocess", "pathlib"})


@pytest.mark.parametrize("arguments", [("--version",), ("help",), ("help", "run"), ("run", "--help")])
def test_help_imports_nothing_slow(home: Home, arguments: tuple[str, ...]) -> None:
    assert not modules(home, *arguments) & SLOW_EVERYWHERE


def test_a_run_imports_no_framework_and_no_agent_code(home: Home) -> None:
    assert not modules(home, "run", "say hello") & SLOW_EVERYWHERE
