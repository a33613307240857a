"""The real daemon, for peers that share no code with it.

A peer that is missing fails the suite, and so does a missing browser: run
`npm ci --prefix tests/peers --ignore-scripts` and `uv run --group peers pytest tests/peers -q -n 0`
(CONTRIBUTING.md, "Set up" and "Checks").
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from daemon_process import DaemonProcess
from typescript_client import build

PEERS = Path(__file__).parent
NODE_MODULES = PEERS / "node_modules"
SCHEMA = PEERS.parent.parent / "protocol" / "schema"


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
def built() -> Path:
    """The TypeScript client's modules, built once."""
    return build()


@pytest.fixture(scope="session")
def daemon(holdfastd: str) -> Iterator[Daemon]:
    """A daemon on a unix socket and on TCP; its end is checked too."""
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        process = DaemonProcess(holdfastd, Path(directory))
        try:
            # Without a sandbox: the checkout, with the servers in it, may lie where one shows nothing.
            record = process.start("--tcp", "0", "--set", "sandbox.mode=off")
            host, port = record["tcp"]
            yield Daemon(token=record["token"], unix=record["unix"], tcp=(host, port))
            assert process.stop() == 0
        finally:
            process.kill()
