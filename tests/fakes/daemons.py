"""Real daemons for tests: one inside the test's own loop, and one as a process that can be killed.

Both work on a `Home` and can be started again on it, so that a test sees what a restart keeps.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from fakes.links import Link, pipes
from holdfast_daemon.app import App
from holdfast_daemon.config import Config
from holdfast_protocol.discovery import Record

START_S_MAX = 20.0


class Home(NamedTuple):
    """Directories of one daemon and its sessions, below one short path: socket paths are bounded."""

    path: Path

    @property
    def state(self) -> Path:
        """The log lives here."""
        return self.path / "state"

    @property
    def runtime(self) -> Path:
        """The socket and the discovery record live here."""
        return self.path / "run"

    @property
    def work(self) -> Path:
        """A directory for sessions to work in."""
        return self.path / "work"

    @property
    def wal(self) -> Path:
        """What was committed and not yet moved into the database."""
        return self.state / "journal.db-wal"

    def logged_errors(self) -> list[str]:
        """Give the errors a daemon process has written into its log: bugs, and faults it was made to meet."""
        log = self.state / "daemon.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if " ERROR " in line or " CRITICAL " in line]


@contextmanager
def temporary_home() -> Iterator[Home]:
    """Make a home, and remove it with all there is in it."""
    home = Home(Path(tempfile.mkdtemp(prefix="hf")))
    home.work.mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(home.path)


class Endpoint(NamedTuple):
    """How to reach a daemon."""

    token: str
    unix: str
    tcp: tuple[str, int]


class Daemon(Protocol):
    """A daemon that is started, ended and started again on the same home."""

    @property
    def endpoint(self) -> Endpoint:
        """How to reach it; another one after each start."""
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
    """

    def __init__(self, home: Home, tasks: TaskGroup) -> None:
        self._config = Config(state_dir=str(home.state), runtime_dir=str(home.runtime), tcp=0)
        self._tasks = tasks
        self._app: App | None = None
        self._endpoint: Endpoint | None = None
        self._ended = anyio.Event()

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    async def start(self) -> None:
        self._app = app = App(self._config)
        self._ended = ended = anyio.Event()
        ready = anyio.Event()

        def on_ready(record: Record) -> None:
            self._endpoint = _endpoint_of(record)
            ready.set()

        async def serve() -> None:
            try:
                await app.run(on_ready)
            finally:
                ended.set()

        self._tasks.start_soon(serve)
        with anyio.fail_after(START_S_MAX):
            await ready.wait()

    async def stop(self) -> None:
        assert self._app is not None
        self._app.shutdown(0)
        await self._ended.wait()

    async def exited(self) -> int:
        await self._ended.wait()
        return 0


class ProcessDaemon:
    """A daemon as a process of its own, optionally a sidecar that also speaks on its stdin and stdout.

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
        self._reap(kill=True)

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
        """Give the sidecar's stdin and stdout, to one client; closing them ends it."""
        assert self._link is not None, "the sidecar's stdio was taken already"
        link, self._link = self._link, None
        return link

    async def start(self) -> None:
        self._reap(kill=False)
        await self._wait_until_ready(self._spawn())
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

    def _command(self, ready_end: int) -> list[str]:
        return [
            str(Path(sys.executable).with_name("holdfastd")),
            *("--state", str(self._home.state)),
            *("--runtime", str(self._home.runtime)),
            *("--ready-fd", str(ready_end)),
            "--tcp",
            *(["--stdio"] if self._stdio else []),
        ]

    def _spawn(self) -> int:
        """Start the process; give the descriptor it says on that it is ready."""
        ready, ready_end = os.pipe()
        theirs, self._link = self._pipes()
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

    def _pipes(self) -> tuple[tuple[int, int], Link | None]:
        """Give the daemon's stdin and stdout, and our ends of them."""
        if not self._stdio:
            return (os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)), None
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        return (their_in, their_out), pipes(our_in, our_out)

    async def _wait_until_ready(self, ready: int) -> None:
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

    def _reap(self, *, kill: bool) -> None:
        if self._process is not None:
            if kill:
                self._process.kill()
            self._process.wait(START_S_MAX)
            self._process = None
        if self._link is not None:
            self._link.close()
            self._link = None


def _endpoint_of(record: Record) -> Endpoint:
    assert record["unix"] is not None
    assert record["tcp"] is not None
    host, port = record["tcp"]
    return Endpoint(record["token"], record["unix"], (str(host), int(port)))
