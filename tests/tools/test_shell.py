"""The `shell` tool: one command, its output as it comes, its end as it was."""

import secrets
from pathlib import Path

import anyio
import pytest
from tool_calls import Called, call, runs_with

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.tools.shell import SHOWN_BYTES_MAX, ShellInput, ShellTool

TOOL = ShellTool(ExecutionLimits(grace_s=0.1))


async def test_a_command_runs_in_the_sessions_directory_and_both_streams_are_shown(tmp_path: Path) -> None:
    called = await call(TOOL, tmp_path, command="pwd; echo error >&2")
    assert called.texts == [f"exit code 0\n{tmp_path}\nerror\n"]
    assert called.output == f"{tmp_path}\nerror\n"
    assert called.outcome.truncated is False


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("exit 3", "exit code 3, no output"),
        ("kill -9 $$", "ended by SIGKILL, no output"),
        ("kill -TERM $$", "ended by SIGTERM, no output"),
        ("no_such_command_here", "exit code 127\n"),
    ],
)
async def test_how_a_command_ended_is_a_result_not_a_failure(tmp_path: Path, command: str, text: str) -> None:
    assert (await call(TOOL, tmp_path, command=command)).texts[0].startswith(text)


async def test_only_the_sessions_environment_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CANARY", "of the daemon")
    output = (await call(TOOL, tmp_path, command="env")).output
    assert "HOLDFAST_CANARY" not in output
    assert "PATH=/usr/bin:/bin" in output


async def test_no_start_up_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("echo from bashrc\n")
    (tmp_path / ".profile").write_text("echo from profile\n")
    called = await call(TOOL, tmp_path, command="echo end")
    assert called.output == "end\n"


async def test_output_comes_before_the_command_has_ended(tmp_path: Path) -> None:
    called = Called()
    mark = f"99999.{secrets.randbelow(10**12):012d}"
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: call(TOOL, tmp_path, called, command=f"echo first; exec sleep {mark}"))
        with anyio.fail_after(10):
            await called.spoke.wait()
        assert called.output == "first\n"
        assert called.outcome is None
        assert runs_with(mark)
        group.cancel_scope.cancel()
    assert not runs_with(mark)


async def test_long_output_is_shown_from_both_ends(tmp_path: Path) -> None:
    called = await call(TOOL, tmp_path, command="echo first; yes | head -n 100000; echo last")
    (text,) = called.texts
    assert text.startswith("exit code 0\nfirst\n")
    assert text.endswith("last\n")
    assert "bytes left out" in text
    assert len(text.encode()) <= SHOWN_BYTES_MAX + 100
    assert called.outcome.truncated


async def test_output_past_what_may_be_read_fails_the_call(tmp_path: Path) -> None:
    tool = ShellTool(ExecutionLimits(output_read_bytes_max=1000, grace_s=0.1))
    whole = await call(tool, tmp_path, command="head -c 1000 /dev/zero | tr '\\0' x")
    assert whole.texts == ["exit code 0\n" + "x" * 1000]
    error = (await call(tool, tmp_path, command="head -c 1001 /dev/zero | tr '\\0' x")).error
    assert error.kind == "output_too_large"
    assert "output_read_bytes_max" in error.message


async def test_a_command_is_stopped_after_the_time_it_asked_for(tmp_path: Path) -> None:
    called = await call(TOOL, tmp_path, command="echo started; sleep 1000", timeout_s=0.5)
    assert called.error.kind == "timeout"


async def test_a_directory_that_is_gone_is_an_error_of_that_kind(tmp_path: Path) -> None:
    """failures.md D25."""
    gone = tmp_path / "gone"
    gone.mkdir()
    gone.rmdir()
    error = (await call(TOOL, gone, command="true")).error
    assert (error.kind, error.message) == ("not_found", f"the working directory {gone} is gone")


async def test_a_nul_character_is_refused_before_anything_runs(tmp_path: Path) -> None:
    error = (await call(TOOL, tmp_path, command="touch made\0")).error
    assert error.kind == "invalid_input"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("command", "title"),
    [("ls -l", "run ls -l"), ("  a\nb", "run a …"), ("x" * 81, f"run {'x' * 80} …"), (" ", "run ")],
)
def test_a_title_is_the_first_line(command: str, title: str) -> None:
    assert TOOL.title(ShellInput(command=command)) == title


async def test_a_command_that_begins_with_a_dash_is_a_command(tmp_path):
    called = await call(ShellTool(ExecutionLimits()), tmp_path, command="-x || echo said by the shell")
    assert "said by the shell" in called.texts[0] + called.output
