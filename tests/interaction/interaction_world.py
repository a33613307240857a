"""A daemon in the test's own loop, the people at it, and a daemon that can be killed.

Whatever a test does, at its end every log keeps the rules (`interaction_rules`) and the daemon has reported
no bug of its own.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
from interaction_rules import check
from person import EVERYTHING, Person

from fakes.daemons import Home
from fakes.framings import FRAMINGS
from fakes.links import connect_tcp, connect_unix
from fakes.raw_client import StreamChannel
from fakes.unconfined import FLAGS
from holdfast_daemon.app import App
from holdfast_daemon.config import Config, HookSpec, SandboxSettings
from holdfast_protocol.discovery import Record

WAIT_S = 30.0
"""The bound of a whole conversation: far above what it takes, for the machine may be shared."""


def within(seconds: float = WAIT_S) -> Any:
    """Bound a conversation."""
    return anyio.fail_after(seconds)


class Place:
    """Where a daemon can be reached, and how people get there.

    Attributes:
        record: the discovery record.
        people: who came; their connections are closed with the place.
    """

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.people: list[Person] = []

    def connect(self, name: str, *, over: str = "unix", framing: str = "lines", slow: bool = False) -> Person:
        """Connect, no more."""
        if over == "unix":
            link = connect_unix(self.record["unix"], slow=slow)
        else:
            host, port = self.record["tcp"]
            link = connect_tcp(host, port, slow=slow)
        person = Person(StreamChannel(link, FRAMINGS[framing]()), name)
        self.people.append(person)
        return person

    async def person(
        self,
        name: str,
        answers: tuple[str, ...] = EVERYTHING,
        *,
        token: str | None = None,
        **how: Any,
    ) -> Person:
        """Connect and initialize, with the owner's token unless another is given."""
        person = self.connect(name, **how)
        await person.enter(token or self.record["token"], answers)
        return person

    def leave(self) -> None:
        """Close all connections."""
        for person in self.people:
            person.close()
        self.people.clear()


class Resident(Place):
    """A daemon in this loop.

    Attributes:
        audited: whether all logs are looked at in the end; not where the test has stopped it.
    """

    def __init__(self, app: App) -> None:
        super().__init__()
        self.app = app
        self.audited = True

    @property
    def registry(self) -> Any:
        """The sessions, to look inside."""
        assert self.app._server is not None
        return self.app._server._dispatcher._services.registry


class _Reports(logging.Handler):
    """What the daemon wrote down as its own faults."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def _no_bug_reported() -> Iterator[None]:
    reports = _Reports()
    loggers = [logging.getLogger(name) for name in ("holdfast_daemon", "asyncio")]
    for logger in loggers:
        logger.addHandler(reports)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(reports)
    assert reports.lines == []


def settings_of(home: Home, **settings: Any) -> Config:
    """Give a daemon's settings."""
    config: dict[str, Any] = {"state_dir": str(home.state), "runtime_dir": str(home.runtime), "tcp": 0}
    config["sandbox"] = SandboxSettings(mode="off")  # What is asked does not depend on this machine.
    return Config(**(config | settings))


@asynccontextmanager
async def resident(home: Home, *, wait_s: float = WAIT_S, **settings: Any) -> AsyncIterator[Resident]:
    """Run a daemon in this loop; at the end look at all logs.

    Args:
        home: where it lives.
        wait_s: bounds the whole conversation.
        **settings: of `Config`.
    """
    config = settings_of(home, **settings)
    daemon = Resident(App(config))
    ready = anyio.Event()

    def on_ready(record: Record) -> None:
        daemon.record = dict(record)
        ready.set()

    with _no_bug_reported():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.app.run, on_ready)
            with within():
                await ready.wait()
            try:
                with within(wait_s):
                    yield daemon
                    if daemon.audited:
                        await check_all_logs(daemon)
            finally:
                daemon.leave()
                daemon.app.stop()


async def check_all_logs(place: Place) -> None:
    """Check the log of every session, those of sub-agents too."""
    auditor = await place.person("auditor")
    listed = (await auditor.call("session/list", limit=1000))["sessions"]
    for session in listed:  # It grows meanwhile.
        check(await auditor.log(session["sessionId"]))
        below = await auditor.call("session/list", parent=session["sessionId"], limit=1000)
        listed += below["sessions"]


def crash(home: Home, copy: Path) -> Home:
    """Give what a SIGKILL at this instant would leave of a daemon in this loop: a copy of its files.

    Nothing may be under way in the journal's thread; what is committed is there, and nothing else.
    """
    left = Home(copy)
    copy.mkdir()
    shutil.copytree(home.state, left.state)
    left.state.chmod(0o700)
    left.work.symlink_to(home.work)
    return left


_HERE = str(Path(__file__).parent)


class Killable(Place):
    """A daemon as a process, which can be killed and started again.

    Args:
        home: where it lives.
        hooks: given to it.
        path: where it finds the modules of the hooks.
        env: variables beside those it needs.
        flags: of the command line, behind the others.

    Attributes:
        faults_expected: it was made to meet faults, and has reported them.
    """

    def __init__(
        self,
        home: Home,
        hooks: tuple[HookSpec, ...] = (),
        *,
        path: str = _HERE,
        env: Mapping[str, str] | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._env = dict(env or {})
        self._flags = flags
        self.faults_expected = False
        self._path = path
        self._home = home
        self.hooks = hooks
        self._errors = home.path / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.leave()
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S)
        if kind is None and not self.faults_expected:
            assert self._home.logged_errors() == []

    async def start(self) -> None:
        """Start; returns when it takes connections."""
        ready, ready_end = os.pipe()
        self._spawn(ready_end)
        os.close(ready_end)
        try:
            with within():
                await anyio.wait_readable(ready)
            assert os.read(ready, 65536), self._errors.read_text(encoding="utf-8")
        finally:
            os.close(ready)
        record = self._home.runtime / "daemon-v1.json"
        self.record = json.loads(record.read_text(encoding="utf-8"))

    def _spawn(self, ready_end: int) -> None:
        hooks = [flag for hook in self.hooks for flag in ("--hook", f"{hook.event}={hook.target}")]
        errors = os.open(self._errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("holdfastd")), "--ready-fd", str(ready_end), "--tcp"),
                *("--state", str(self._home.state), "--runtime", str(self._home.runtime)),
                *hooks,
                *FLAGS,
                *self._flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[ready_end],
            env={
                **self._env,
                "PATH": os.environ["PATH"],
                "HOME": str(self._home.path),
                "PYTHONPATH": self._path,
            },
        )
        os.close(errors)

    @property
    def pid(self) -> int:
        """The process now."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        with within():
            await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        self.leave()

    async def ended(self) -> None:
        """Wait until it has ended by itself."""
        assert self._process is not None
        with within():
            await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        self.leave()

    async def restart(self) -> None:
        """Kill it and start it again."""
        await self.kill()
        await self.start()
