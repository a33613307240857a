"""Daemons as processes of their own, on a home of their own, to be signalled, killed and started again."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from wire_client import Client, Framing

WAIT_S = 30.0
"""The bound of every wait: far above what it takes, for the machine may be shared."""


class Daemon:
    """A `holdfastd` process.

    Args:
        home: a short directory; state, runtime directory and the sessions' directory are in it.
        process: the process.
        stdio: whether it is a sidecar, whose stdin and stdout are pipes.
    """

    def __init__(self, home: Path, process: "subprocess.Popen[bytes]", *, stdio: bool) -> None:
        self.home = home
        self.process = process
        self.stdio = stdio
        self.record: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def work(self) -> Path:
        """A directory for sessions."""
        return self.home / "work"

    async def connect(
        self, transport: Literal["unix", "tcp"] = "unix", framing: Framing = "lines", client_id: str = "test"
    ) -> Client:
        """Connect and initialize."""
        client = self.dial(transport, framing)
        await client.initialize(self.record["token"], client_id)
        return client

    def dial(self, transport: Literal["unix", "tcp"] = "unix", framing: Framing = "lines") -> Client:
        """Connect, no more."""
        if transport == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.record["unix"])
        else:
            sock = socket.create_connection(tuple(self.record["tcp"]))
        return Client.of_socket(sock, framing)

    def parent(self, framing: Framing = "lines") -> Client:
        """Give the sidecar's own client, once; the pipes are its from now on."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        reading, writing = os.dup(self.process.stdout.fileno()), os.dup(self.process.stdin.fileno())
        self.process.stdin.close()
        self.process.stdout.close()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        return Client(reading, writing, framing)

    def logged_errors(self) -> list[str]:
        """Give what the daemon wrote down as its own faults."""
        log = self.home / "state" / "daemon.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if " ERROR " in line or " CRITICAL " in line]

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the process's end; give its exit code."""
        if self.process.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)
        return self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()


def holdfastd() -> str:
    """The command, of the environment the tests run in."""
    return str(Path(sys.executable).with_name("holdfastd"))


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Make a home: its path is short, because the kernel takes no long one for a socket."""
    path = Path(tempfile.mkdtemp(prefix="hf"))
    (path / "work").mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def spawn(home: Path, *flags: str, stdio: bool = False, ready_fd: int | None = None) -> Daemon:
    """Start a daemon and do not wait for it."""
    places = ["--state", str(home / "state")]
    if not stdio or "--with-runtime" in flags:
        places += ["--runtime", str(home / "run")]
    ready = ["--ready-fd", str(ready_fd)] if ready_fd is not None else []
    mode = ["--stdio"] if stdio else []
    own = [flag for flag in flags if flag != "--with-runtime"]
    pipe = subprocess.PIPE if stdio else subprocess.DEVNULL
    process = subprocess.Popen(
        [holdfastd(), *places, *mode, *ready, *own],
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        pass_fds=[ready_fd] if ready_fd is not None else [],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
    )
    return Daemon(home, process, stdio=stdio)


async def start(home: Path, *flags: str, stdio: bool = False) -> Daemon:
    """Start a daemon; it serves when this returns.

    Args:
        home: from `temporary_home`, or one a daemon ran in before.
        flags: of `holdfastd`; `--with-runtime` gives a sidecar a socket too.
        stdio: as a sidecar.
    """
    ready, ready_end = os.pipe()
    try:
        daemon = spawn(home, *flags, stdio=stdio, ready_fd=ready_end)
    finally:
        os.close(ready_end)
    try:
        await anyio.wait_readable(ready)
        line = os.read(ready, 65536)
    finally:
        os.close(ready)
    assert line, f"the daemon ended: {await daemon.ended()}"
    daemon.record = json.loads(line)
    daemon.record["token"] = (home / "state" / "token").read_text(encoding="ascii")
    return daemon


@asynccontextmanager
async def running(home: Path, *flags: str, stdio: bool = False) -> AsyncIterator[Daemon]:
    """Run a daemon. Unless the test ended it, it is told to stop, and must do so in order."""
    with anyio.fail_after(WAIT_S):
        daemon = await start(home, *flags, stdio=stdio)
    try:
        yield daemon
        if daemon.process.poll() is None:
            daemon.process.terminate()
            with anyio.fail_after(WAIT_S):
                assert await daemon.ended() == 0
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.wait()
        for pipe in (daemon.process.stdin, daemon.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
