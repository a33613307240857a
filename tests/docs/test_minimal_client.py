"""examples/minimal_client.py against real daemons, through everything that can happen to its connection."""

import ast
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast_protocol.discovery import Locations, locations

CLIENT = Path(__file__).parents[2] / "examples" / "minimal_client.py"
HOLDFASTD = Path(sys.executable).with_name("holdfastd")

WAIT_S = 30
LINES_MAX = 150


class Home:
    """A user's holdfast, and the processes in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(path), "HOLDFAST_HOME": str(path)}
        self.places: Locations = locations(self.environ, str(path))
        self.processes: list[subprocess.Popen] = []

    def start_daemon(self) -> subprocess.Popen:
        """Start a daemon; it takes connections when this returns."""
        ready, ready_end = os.pipe()
        daemon = subprocess.Popen(
            [HOLDFASTD, "--ready-fd", str(ready_end)], pass_fds=[ready_end], env=self.environ
        )
        self.processes.append(daemon)
        os.close(ready_end)
        with os.fdopen(ready) as stream:
            assert select.select([stream], [], [], WAIT_S)[0]
            assert json.loads(stream.readline())["pid"] == daemon.pid
        return daemon

    def start_client(self, prompt: str) -> subprocess.Popen:
        client = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", CLIENT, prompt],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.path,
        )
        self.processes.append(client)
        return client


@pytest.fixture
def home() -> Iterator[Home]:
    made = Home(Path(tempfile.mkdtemp(prefix="hf")))
    (made.path / "README.md").write_text("# Hello\n\nA file to read.\n")
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.communicate()
        shutil.rmtree(made.path, ignore_errors=True)


def _read_until(stream, text: bytes) -> bytes:
    """Read until some text was said."""
    said = b""
    while text not in said:
        assert select.select([stream], [], [], WAIT_S)[0], said
        piece = os.read(stream.fileno(), 4096)
        assert piece, said
        said += piece
    return said


def _end(client: subprocess.Popen) -> tuple[int, str, str]:
    out, err = client.communicate(timeout=WAIT_S)
    return client.returncode, out.decode(), err.decode()


@contextmanager
def _cutting(home: Home, bytes_first: int) -> Iterator[list[int]]:
    """Stand between clients and the daemon; cut each connection after some bytes, twice as many each time.

    Gives how many bytes each connection brought.
    """
    record_path = Path(home.places.record)
    record = json.loads(record_path.read_text())
    path = str(home.path / "cutting.sock")
    passed: list[int] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=_serve_cutting, args=(listener, record["unix"], bytes_first, passed))
        thread.start()
        record_path.write_text(json.dumps({**record, "unix": path}))
        try:
            yield passed
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(WAIT_S)
            assert not thread.is_alive()


def _serve_cutting(listener: socket.socket, daemon_path: str, bytes_max: int, passed: list[int]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(daemon_path)
            passed.append(_pass(client, daemon, bytes_max))
        bytes_max *= 2


def _pass(client: socket.socket, daemon: socket.socket, bytes_max: int) -> int:
    """Pass bytes both ways until the client got `bytes_max`, or either side ends."""
    got = 0
    while got < bytes_max:
        for readable in select.select([client, daemon], [], [], WAIT_S)[0]:
            data = readable.recv(min(4096, bytes_max - got))
            if not data:
                return got
            (daemon if readable is client else client).sendall(data)
            got += len(data) if readable is daemon else 0
    return got


def test_it_is_short_and_stands_on_the_standard_library_alone():
    source = CLIENT.read_text()
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names
    assert len(source.splitlines()) <= LINES_MAX


def test_it_streams_text_and_tool_calls_and_exits_with_0(home):
    home.start_daemon()
    code, out, err = _end(home.start_client("read README.md"))
    assert code == 0
    assert "read `README.md`: 3 lines, first heading “Hello”." in out
    assert err.splitlines() == ["* read README.md", "run_completed"]


def test_it_finds_the_daemon_where_the_environment_says(home):
    home.start_daemon()
    for runtime in (home.path / "xdg" / "holdfast", home.path / ".local" / "state" / "holdfast" / "run"):
        runtime.mkdir(parents=True)
        shutil.copy(home.places.record, runtime)
    del home.environ["HOLDFAST_HOME"]
    home.environ["XDG_RUNTIME_DIR"] = "not/absolute"
    assert _end(home.start_client("say one"))[0] == 0
    shutil.rmtree(home.path / ".local")
    assert _end(home.start_client("say two"))[0] == 69
    home.environ["XDG_RUNTIME_DIR"] = str(home.path / "xdg")
    assert _end(home.start_client("say three"))[0] == 0


def test_without_a_daemon_it_says_so_and_exits_with_69(home):
    code, out, err = _end(home.start_client("say hello"))
    assert (code, out) == (69, "")
    assert err.startswith("no daemon: ")


def test_a_failed_run_exits_with_1(home):
    home.start_daemon()
    script = "script:\n  - text: One moment.\n    error: {kind: overloaded, message: Too many people ask.}"
    code, out, err = _end(home.start_client(script))
    assert (code, out) == (1, "One moment.\n")
    assert err.splitlines() == ["run_failed"]


def test_a_refusal_is_not_tried_again(home):
    home.start_daemon()
    record = Path(home.places.record)
    record.write_text(json.dumps({**json.loads(record.read_text()), "token": "a guess"}))
    code, out, err = _end(home.start_client("say hello"))
    assert (code, out) == (1, "")
    assert err == "initialize: The token is missing or wrong.\n"


@pytest.mark.parametrize("bytes_first", [1_500, 2_777])
def test_each_text_is_printed_once_however_often_the_connection_is_cut(home, bytes_first):
    home.start_daemon()
    with _cutting(home, bytes_first) as passed:
        script = "script:\n  - text: {value: 'abcdefghij ', delta_chars: 3, delay_ms: 1, repeat: 60}"
        code, out, err = _end(home.start_client(script))
    assert (code, out) == (0, "abcdefghij " * 60 + "\n")
    assert err.splitlines() == ["run_completed"]
    assert len(passed) > 1


def test_it_goes_on_after_the_daemon_was_killed_in_mid_run_and_started_again(home):
    first = home.start_daemon()
    client = home.start_client("script:\n  - text: {value: Once upon a time, end: false}\n    hang: true")
    said = _read_until(client.stdout, b"time")
    first.kill()
    assert first.wait(WAIT_S) == -9
    home.start_daemon()
    code, out, err = _end(client)
    assert (code, said.decode() + out) == (75, "Once upon a time\n")
    assert err.splitlines() == ["run_interrupted"]
