"""Real daemons for tests: one inside the test's own loop, and one as a process that can be killed.

Both work on a `Home` and can be started again on it, so that a test sees what a restart keeps. Both can be
sidecars, which also speak on a pair of pipes. What the machine has (a sandbox, keys, model servers) changes
neither: commands are not confined and the default model is the offline one.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from fakes.home import Home
from fakes.links import Link, pipes
from holdfast_daemon.app import App
from holdfast_daemon.config import Config, SandboxSettings
from holdfast_daemon.models.offline_info import NAME as OFFLINE
from holdfast_protocol.discovery import Record

START_S_MAX = 20.0


class Endpoint(NamedTuple):
    """How to reach a daemon."""

    token: str
    unix: str
    tcp: tuple[str, int]
    ws: tuple[str, int]


class Daemon(Protocol):
    """A daemon that is started, ended and started again on the same home."""

    @property
    def endpoint(self) -> Endpoint:
        """How to reach it; another one after each start."""
        ...

    def take_stdio(self) -> Link:
        """Give a sidecar's stdin and stdout, once after each start; closing them ends it."""
        ...

    async def start(self) -> None:
        """Start; returns when it takes connections."""
        ...

    async def stop(self) -> None:
        """End it in order, as a service manager would."""
        ...

    async def exited(self) -> int:
        """Wait until it has ended by itself; give its exit status."""
        ...


class InProcessDaemon:
    """A daemon in the test's loop: quick, and its errors are the test's.

    Args:
        home: where it lives.
        tasks: where it runs; the test's own.
        stdio: whether it is a sidecar.
    """

    def __init__(self, home: Home, tasks: TaskGroup, *, stdio: bool = False) -> None:
        self._config = Config(
            state_dir=str(home.state),
            runtime_dir=str(home.runtime),
            tcp=0,
            ws=0,
            stdio=stdio,
            default_model=OFFLINE,
            sandbox=SandboxSettings(mode="off"),
        )
        self._tasks = tasks
        self._app: App | None = None
        self._endpoint: Endpoint | None = None
        self._link: Link | None = None  # The parent's end of a sidecar's pipes, until it is taken.
        self._ended = anyio.Event()

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    def take_stdio(self) -> Link:
        assert self._link is not None, "its stdio was taken already"
        link, self._link = self._link, None
        return link

    async def start(self) -> None:
        self._app = App(self._config)
        self._ended = anyio.Event()
        ready = anyio.Event()
        self._tasks.start_soon(self._serve, self._app, self._ended, ready)
        with anyio.fail_after(START_S_MAX):
            await ready.wait()

    async def stop(self) -> None:
        assert self._app is not None
        self._app.shutdown(0)
        await self._ended.wait()

    async def exited(self) -> int:
        await self._ended.wait()
        return 0

    async def _serve(self, app: App, ended: anyio.Event, ready: anyio.Event) -> None:
        def on_ready(record: Record) -> None:
            self._endpoint = _endpoint_of(record)
            ready.set()

        theirs: tuple[int, int] | None = None
        if self._config.stdio:
            theirs, self._link = _stdio_pipes()
        try:
            await app.run(on_ready, theirs)
        finally:
            ended.set()


class ProcessDaemon:
    """A daemon as a process of its own.

    Args:
        home: where it lives.
        stdio: whether it is a sidecar.

    Use as a context manager: whatever is left of it is killed at the end.
    """

    def __init__(self, home: Home, *, stdio: bool = False) -> None:
        self._home = home
        self._stdio = stdio
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._reap()

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    @property
    def pid(self) -> int:
        """The process now."""
        assert self._process is not None
        return self._process.pid

    def take_stdio(self) -> Link:
        assert self._link is not None, "its stdio was taken already"
        link, self._link = self._link, None
        return link

    async def start(self) -> None:
        self._reap()
        await _wait_until_ready(self._spawn())
        record = (self._home.runtime / "daemon-v1.json").read_text(encoding="utf-8")
        self._endpoint = _endpoint_of(json.loads(record))

    async def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        await self.exited()

    async def kill(self) -> None:
        """End it as a crash would: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await self.exited()

    async def exited(self) -> int:
        assert self._process is not None
        return await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    def limit_file_size(self, bytes_max: int | None) -> None:
        """Let no file of the daemon grow beyond so many bytes, which is how a full disk looks; None: free."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard if bytes_max is None else bytes_max, hard))

    def _spawn(self) -> int:
        """Start the process; give the descriptor it says on that it is ready."""
        ready, ready_end = os.pipe()
        if self._stdio:
            theirs, self._link = _stdio_pipes()
        else:
            theirs = (os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY))
        errors = os.open(self._home.path / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                self._command(ready_end),
                stdin=theirs[0],
                stdout=theirs[1],
                stderr=errors,
                pass_fds=[ready_end],
                cwd=self._home.path,
                env={"PATH": os.environ["PATH"], "HOME": str(self._home.path)},
            )
        finally:
            for descriptor in (ready_end, errors, *theirs):
                os.close(descriptor)
        return ready

    def _command(self, ready_end: int) -> list[str]:
        flags = ["--stdio"] if self._stdio else []
        return [
            str(Path(sys.executable).with_name("holdfastd")),
            *("--state", str(self._home.state)),
            *("--runtime", str(self._home.runtime)),
            *("--ready-fd", str(ready_end)),
            "--tcp",
            "--ws",
            *("--set", "sandbox.mode=off"),
            *("--set", f"daemon.default_model={OFFLINE}"),
            *flags,
        ]

    def _reap(self) -> None:
        """Wait for a process that was ended, and let go of its pipes."""
        if self._process is not None:
            self._process.wait(START_S_MAX)
            self._process = None
        if self._link is not None:
            self._link.close()
            self._link = None


def _stdio_pipes() -> tuple[tuple[int, int], Link]:
    """Give a sidecar's stdin and stdout, and its parent's ends of them."""
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    return (their_in, their_out), pipes(our_in, our_out)


async def _wait_until_ready(ready: int) -> None:
    link = pipes(ready, os.open(os.devnull, os.O_WRONLY))
    try:
        with anyio.fail_after(START_S_MAX):
            line = b""
            while not line.endswith(b"\n"):
                piece = await link.read()
                assert piece, "the daemon ended before it was ready"
                line += piece
    finally:
        link.close()


def _endpoint_of(record: Record) -> Endpoint:
    assert record["unix"] is not None
    assert record["tcp"] is not None
    assert record["ws"] is not None
    return Endpoint(record["token"], record["unix"], _address(record["tcp"]), _address(record["ws"]))


def _address(pair: list[str | int]) -> tuple[str, int]:
    host, port = pair
    return str(host), int(port)
