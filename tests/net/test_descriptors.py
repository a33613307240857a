"""Out of descriptors: a daemon process that can open no more refuses, waits, and serves again."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from net_world import hello

from fakes.home import Home

WAIT_S = 30.0

DESCRIPTORS = 48
"""Fewer than the places for strangers, and enough to start with."""


def limit_descriptors() -> None:
    """The hard limit: the daemon raises the soft one."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


@pytest.fixture
def daemon(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    reading, writing = os.pipe()
    command = [str(Path(sys.executable).with_name("holdfastd")), "--state", str(home.state)]
    process = subprocess.Popen(
        [*command, "--runtime", str(home.runtime), "--ready-fd", str(writing)],
        pass_fds=[writing],
        preexec_fn=limit_descriptors,  # noqa: PLW1509 - no threads are running yet
    )
    os.close(writing)
    with os.fdopen(reading) as ready:
        assert ready.readline(), "it did not start"
    yield process
    process.terminate()
    assert process.wait(WAIT_S) == 0


def connect(home: Home) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(WAIT_S)
    connected.connect(str(home.runtime / "daemon-v1.sock"))
    return connected


def call(connected: socket.socket, method: str, **params: object) -> dict[str, object] | None:
    """Call on a fresh line; None if the daemon closed."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    data = b""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connected.sendall(json.dumps(message).encode() + b"\n")
        while b"\n" not in data:
            piece = connected.recv(65536)
            if not piece:
                return None
            data += piece
        return json.loads(data.partition(b"\n")[0])
    return None


def test_it_refuses_while_it_has_none_left_and_serves_again_afterwards(
    home: Home, daemon: subprocess.Popen[bytes]
) -> None:
    token = json.loads((home.runtime / "daemon-v1.json").read_text())["token"]
    with ExitStack() as opened:
        use_up_and_let_go(home, daemon, token, opened)


def use_up_and_let_go(home: Home, daemon: subprocess.Popen[bytes], token: str, opened: ExitStack) -> None:
    client = opened.enter_context(connect(home))
    assert call(client, "initialize", **hello(token))
    hogs = [opened.enter_context(connect(home)) for _ in range(60)]
    # The last in the queue is closed by the spare descriptor, or waits: either way the daemon lives on.
    assert call(client, "ping") == {"jsonrpc": "2.0", "id": 1, "result": {}}
    for _ in range(500):  # It goes on taking them in, one a turn.
        if len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) >= DESCRIPTORS - 2:
            break
        assert call(client, "ping")
    else:
        pytest.fail("it never ran out")
    assert call(client, "ping")
    refused = 0
    for hog in hogs:
        hog.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            refused += hog.recv(1) == b""
    hogs_left = len(hogs) - refused
    for hog in hogs:
        hog.close()
    for _ in range(20):  # Whoever comes while it still has none left may be the one it refuses.
        late = opened.enter_context(connect(home))
        answer = call(late, "initialize", **hello(token))
        if answer is not None:
            break
    assert answer is not None
    assert "result" in answer
    created = call(late, "session/create", cwd="/")
    assert created is not None
    assert "result" in created
    assert daemon.poll() is None
    assert hogs_left > 0
