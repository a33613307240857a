"""The built-in tools that start processes, in this machine's sandbox."""
# ruff: noqa: ASYNC240 - the files are the test's own, and it has nothing else to do

import socket
import sys
import threading
from pathlib import Path

import anyio
import pytest
from process_sightings import Lines
from sandbox_here import ENV, launcher

from holdfast_daemon.config import ExecutionLimits, FetchSettings
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_daemon.tools.fetch import FetchInput, FetchTool
from holdfast_daemon.tools.search import GrepInput, GrepTool
from holdfast_daemon.tools.shell import ShellInput, ShellTool
from holdfast_protocol.content import TextBlock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

LIMITS = ExecutionLimits(grace_s=0.1)


def context(cwd: Path, hidden: tuple[Path, ...] = ()) -> ToolContext:
    return ToolContext(
        tool_call_id="c1",
        cwd=str(cwd),
        roots=(str(cwd),),
        hidden=tuple(map(str, hidden)),
        env=ENV,
        output=Lines().take,
    )


def text_of(result: ToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextBlock))


async def test_a_command_changes_its_directory_and_does_not_see_the_daemons(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "token").write_text("canary")
    command = ShellInput(command="echo made > file; ls -a; cat state/token; touch /etc/x || exit 9")
    with anyio.fail_after(20):
        text = text_of(await ShellTool(LIMITS, launcher()).run(command, context(tmp_path, (state,))))
    assert text.startswith("exit code 9\n")
    assert "canary" not in text
    assert (tmp_path / "file").read_text() == "made\n"


async def test_how_a_signal_ended_a_command_is_said(tmp_path: Path) -> None:
    tool = ShellTool(LIMITS, launcher())
    text = text_of(await tool.run(ShellInput(command="kill -9 $$"), context(tmp_path)))
    assert text == "exit code 137 (as of SIGKILL), no output"


async def test_a_directory_that_is_gone_is_said_as_without_a_sandbox(tmp_path: Path) -> None:
    tool = ShellTool(LIMITS, launcher())
    with pytest.raises(ToolFailure, match="is gone"):
        await tool.run(ShellInput(command="true"), context(tmp_path / "gone"))


async def test_a_search_finds_what_is_in_the_directory_and_cannot_write_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a needle\n")
    with anyio.fail_after(20):
        result = await GrepTool(LIMITS, launcher()).run(GrepInput(pattern="needle"), context(tmp_path))
    assert text_of(result).startswith("file:1:a needle")


async def test_a_fetch_has_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine"
                )

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        settings = FetchSettings(domains=(f"localhost:{port}",), private_addresses=True)
        tool = FetchTool(LIMITS, launcher(), settings)
        with anyio.fail_after(20):
            result = await tool.run(FetchInput(url=f"http://localhost:{port}/"), context(tmp_path))
        assert text_of(result).endswith("\nfine")
        thread.join(5)


async def test_a_directory_in_shared_memory_is_a_root_like_any_other() -> None:
    path = Path("/dev/shm/hfroot")
    path.mkdir(exist_ok=True)
    try:
        tool = ShellTool(LIMITS, launcher())
        text = text_of(
            await tool.run(ShellInput(command="echo x > y; cat y"), context(path, (path / "state",)))
        )
        assert text == "exit code 0\nx\n"
        assert sorted(entry.name for entry in path.iterdir()) == ["y"]
    finally:
        (path / "y").unlink(missing_ok=True)
        path.rmdir()
