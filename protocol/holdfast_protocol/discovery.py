"""Where a daemon and its clients meet: directories, the discovery record, its fields.

Pure functions over an environment mapping, standard library only: the `holdfast` command's fast path
imports this module and nothing else of the protocol.

A user has at most one daemon per protocol major and state directory. Its runtime directory (0700) holds

    daemon-v1.json   the discovery record (0600), replaced atomically
    daemon-v1.sock   the unix socket (0600)
    start-v1.lock    taken by whoever starts the daemon
"""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

PROTOCOL_MAJOR = 1

SUN_PATH_BYTES_MAX = 100
"""The kernel takes about 107 bytes on Linux and 103 on macOS, the final NUL included."""


class Locations(NamedTuple):
    """The directories of one user's holdfast; none need exist."""

    config: str
    state: str
    runtime: str

    @property
    def file(self) -> str:
        """The configuration file."""
        return f"{self.config}/config.toml"

    @property
    def record(self) -> str:
        """The discovery record."""
        return f"{self.runtime}/daemon-v{PROTOCOL_MAJOR}.json"

    @property
    def socket(self) -> str:
        """The unix socket."""
        return f"{self.runtime}/daemon-v{PROTOCOL_MAJOR}.sock"

    @property
    def start_lock(self) -> str:
        """The lock taken by whoever starts the daemon."""
        return f"{self.runtime}/start-v{PROTOCOL_MAJOR}.lock"

    @property
    def log(self) -> str:
        """The daemon's log file."""
        return f"{self.state}/daemon.log"


class Record(TypedDict):
    """The discovery record: JSON, 0600, one object. The socket's answer is the truth, not this file."""

    protocol: str
    major: int
    version: str
    instanceId: str
    pid: int
    startedAt: int
    unix: str | None
    tcp: list[str | int] | None
    ws: list[str | int] | None
    token: str
    state: str
    log: str


def locations(environ: Mapping[str, str], home: str, platform: str = "linux") -> Locations:
    """Give the directories for an environment.

    `HOLDFAST_HOME` moves all of them. Otherwise XDG on Linux (the runtime directory falls back to the state
    directory, never to a shared temporary one) and Application Support on macOS.

    Args:
        environ: the process environment.
        home: the user's home directory, absolute.
        platform: `sys.platform`.
    """
    moved = environ.get("HOLDFAST_HOME")
    if moved:
        return Locations(config=f"{moved}/config", state=f"{moved}/state", runtime=f"{moved}/run")
    if platform == "darwin":
        base = f"{home}/Library/Application Support/holdfast"
        return Locations(config=base, state=f"{base}/state", runtime=f"{base}/run")
    config = _absolute(environ.get("XDG_CONFIG_HOME")) or f"{home}/.config"
    state = (_absolute(environ.get("XDG_STATE_HOME")) or f"{home}/.local/state") + "/holdfast"
    runtime = _absolute(environ.get("XDG_RUNTIME_DIR"))
    return Locations(
        config=f"{config}/holdfast",
        state=state,
        runtime=f"{runtime}/holdfast" if runtime else f"{state}/run",
    )


def _absolute(path: str | None) -> str | None:
    """XDG says that relative paths are ignored."""
    return path if path and path.startswith("/") else None
