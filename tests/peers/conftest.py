"""The real daemon, for peers that share no code with it.

A peer that is missing fails the suite: run `npm ci --prefix tests/peers --ignore-scripts` and
`uv run --group peers pytest tests/peers -q -n 0` (CONTRIBUTING.md, "Checks").
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PEERS = Path(__file__).parent
NODE_MODULES = PEERS / "node_modules"
SCHEMA = PEERS.parent.parent / "protocol" / "schema"

START_S_MAX = 20.0
STOP_S_MAX = 10.0


class Daemon(NamedTuple):
    """A running daemon, as its discovery record describes it."""

    token: str
    unix: str
    tcp: tuple[str, int]


@pytest.fixture(scope="session")
def holdfastd() -> str:
    """The command, of the environment the tests run in."""
    command = Path(sys.executable).with_name("holdfastd")
    assert command.exists(), f"{command} is not installed"
    return str(command)


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages of package-lock.json installed."""
    command = shutil.which("node")
    assert command, "node is not installed"
    assert NODE_MODULES.is_dir(), "the peers are not installed: npm ci --prefix tests/peers --ignore-scripts"
    return command


@pytest.fixture(scope="session")
def daemon(holdfastd: str) -> Iterator[Daemon]:
    """A daemon on a unix socket and on TCP; its end is checked too."""
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        home = Path(directory)
        ready, ready_end = os.pipe()
        process = subprocess.Popen(
            [
                holdfastd,
                *("--state", str(home / "state")),
                *("--runtime", str(home / "run")),
                *("--tcp", "0"),
                *("--ready-fd", str(ready_end)),
            ],
            pass_fds=[ready_end],
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        os.close(ready_end)
        try:
            _wait_until_ready(ready)
            record = json.loads((home / "run" / "daemon-v1.json").read_text(encoding="utf-8"))
            host, port = record["tcp"]
            yield Daemon(token=record["token"], unix=record["unix"], tcp=(host, port))
        finally:
            process.terminate()
            try:
                status = process.wait(STOP_S_MAX)
            finally:
                process.kill()
        assert status == 0


def _wait_until_ready(ready: int) -> None:
    """Read the ready line: one JSON object."""
    with os.fdopen(ready, encoding="utf-8") as stream:
        readable, _, _ = select.select([stream], [], [], START_S_MAX)
        assert readable, "the daemon is not ready in time"
        line = stream.readline()
        assert line, "the daemon ended before it was ready"
        json.loads(line)
