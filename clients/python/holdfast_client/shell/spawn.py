"""Execute `holdfastd` detached and wait until it says that it is ready. Knows no wire and no locks.

The daemon gets its own session, no input, an environment of allow-listed names and, as its standard error,
its log file. It outlives the command that started it.
"""

import json
import os
import re
import select
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

from holdfast_client.shell.endpoint import is_private
from holdfast_client.shell.exit_codes import Unreachable
from holdfast_client.shell.plain import plain
from holdfast_protocol import discovery

STATE_IN_USE_EXIT_CODE: Final = 75
"""How the daemon ends if another one holds its state directory (EX_TEMPFAIL)."""

_ENVIRONMENT: Final = re.compile(
    r"PATH|HOME|USER|TMPDIR|LANG|LC_[A-Z]+|XDG_[A-Z_]+|HOLDFAST_[A-Z_]+|[A-Z][A-Z0-9_]*_API_KEY"
)
"""What the daemon's start may depend on, and the keys it speaks to models with.

Sessions bring the environment their tools get, which has no keys.
"""

_READY_BYTES_MAX: Final = 64 * 1024
_EXIT_TIMEOUT_S: Final = 5.0
_COMPLAINT_LINES_MAX: Final = 20
_COMPLAINT_BYTES_MAX: Final = 16 * 1024

_started: Final[list["subprocess.Popen[bytes]"]] = []
# Held so that none is collected while it runs; at most one per time this process had to start a daemon.


class StateInUse(Unreachable):
    """Another daemon holds the state directory."""


def start(locations: discovery.Locations, timeout_s: float) -> dict[str, Any]:
    """Start the daemon and give what it wrote when it was ready: its record without the token.

    Raises:
        StateInUse: another daemon holds the state directory.
        Unreachable: it was not found, could not start (with its own words), or was not ready in time.
    """
    program = find_daemon(os.environ)
    log = _open_log(locations)
    log_start = os.fstat(log).st_size
    ready, ready_of_daemon = os.pipe()
    try:
        process = _execute(program, locations, log, ready_of_daemon)
        os.close(ready_of_daemon)
        ready_of_daemon = -1
        line = _read_line(ready, monotonic() + timeout_s)
    finally:
        for descriptor in (ready, ready_of_daemon, log):
            if descriptor >= 0:
                os.close(descriptor)
    if line is None:
        # It is left alone: on a starved machine it may yet become ready, and the next client will find it.
        message = f"the daemon was not ready within {timeout_s:g} s; its log is {locations.log}"
        raise Unreachable(_with_complaint(message, locations.log, log_start), "start_failed")
    if not line:
        raise _explain(process, locations.log, log_start)
    return json.loads(line)


def find_daemon(environ: Mapping[str, str]) -> str:
    """Give the path of `holdfastd`: named by HOLDFAST_DAEMON, beside this command, or on the PATH.

    Raises:
        Unreachable: there is none.
    """
    for path in _candidates(environ):
        if path.startswith("/") and os.access(path, os.X_OK) and stat.S_ISREG(Path(path).stat().st_mode):
            return path
    raise Unreachable(
        "holdfastd was not found; install holdfast-daemon or set HOLDFAST_DAEMON", "start_failed"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    named = environ.get("HOLDFAST_DAEMON")
    if named:
        yield named
        return
    if (
        "/" in sys.argv[0]
    ):  # Else it was not called by a path, and the working directory is not to be trusted.
        yield f"{Path(sys.argv[0]).absolute().parent}/holdfastd"
    yield f"{Path(sys.executable).parent}/holdfastd"
    for directory in environ.get("PATH", "").split(":"):
        yield f"{directory}/holdfastd"


def daemon_environment(environ: Mapping[str, str], locations: discovery.Locations) -> dict[str, str]:
    """Give the environment of a daemon started from this one: allow-listed names, absolute directories."""
    kept = {name: value for name, value in environ.items() if _ENVIRONMENT.fullmatch(name)}
    if kept.get("HOLDFAST_HOME"):
        kept["HOLDFAST_HOME"] = locations.runtime.removesuffix("/run")
    return kept


def _execute(program: str, locations: discovery.Locations, log: int, ready: int) -> "subprocess.Popen[bytes]":
    try:
        process = subprocess.Popen(  # noqa: S603 - the daemon's own program, no shell, no input from outside
            [program, "--ready-fd", str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(ready,),
            env=daemon_environment(os.environ, locations),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unreachable(f"cannot execute {program}: {error.strerror}", "start_failed") from None
    _started.append(process)
    return process


def _open_log(locations: discovery.Locations) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        state = Path(locations.state)
        state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.mkdir(mode=0o700, exist_ok=True)
        log = os.open(locations.log, flags, 0o600)
    except OSError as error:
        message = f"cannot write {error.filename}: {error.strerror}"
        raise Unreachable(message, "start_failed") from None
    if not is_private(os.fstat(log)):
        os.close(log)
        raise Unreachable(
            f"refusing {locations.log}: it must be a file of yours with mode 0600", "start_failed"
        )
    return log


def _read_line(descriptor: int, deadline: float) -> bytes | None:
    """Give the ready line, nothing if the daemon ended without one, None if the time is up."""
    received = b""
    while not received.endswith(b"\n") and len(received) < _READY_BYTES_MAX:
        if not select.select([descriptor], [], [], max(0.0, deadline - monotonic()))[0]:
            return None
        chunk = os.read(descriptor, _READY_BYTES_MAX)
        if not chunk:
            return b""
        received += chunk
    return received


def _explain(process: "subprocess.Popen[bytes]", log: str, log_start: int) -> Unreachable:
    """Turn the end of a daemon that never was ready into an error with its own words."""
    try:
        exit_code = process.wait(_EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        message = f"the daemon will not be ready, but does not end; its log is {log}"
        return Unreachable(_with_complaint(message, log, log_start), "start_failed")
    message = _with_complaint(f"the daemon could not start (status {exit_code})", log, log_start)
    kind = StateInUse if exit_code == STATE_IN_USE_EXIT_CODE else Unreachable
    return kind(message, "start_failed")


def _with_complaint(message: str, log: str, log_start: int) -> str:
    """Add the last lines the daemon wrote since it was started."""
    with Path(log).open("rb") as file:
        file.seek(log_start)
        content = file.read(_COMPLAINT_BYTES_MAX)
    lines = plain(content.decode("utf-8", "replace")).splitlines()[-_COMPLAINT_LINES_MAX:]
    return "\n".join([message, *(f"  {line}" for line in lines)])
