"""The daemon's sockets and the record that leads to them; opened together, removed together."""

import os
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio.abc import TaskGroup

from holdfast_daemon.config import Config
from holdfast_daemon.journal.state_dir import StateDirError, check_private, hold_lock
from holdfast_daemon.net.auth import Tokens
from holdfast_daemon.net.discovery_record import DiscoveryRecord
from holdfast_daemon.net.listener import Listener, listen_tcp, listen_unix
from holdfast_daemon.server import Server
from holdfast_protocol.discovery import PROTOCOL_MAJOR, Locations, Record
from holdfast_protocol.methods.connection import ServerInfo
from holdfast_protocol.version import PROTOCOL


class Endpoints:
    """Where one daemon can be reached.

    Args:
        config: says which endpoints.
        server: takes the connections.
        info: which daemon this is.
        tokens: checks tokens where the transport itself asks for one.
        token: the owner's.
    """

    def __init__(self, config: Config, server: Server, info: ServerInfo, tokens: Tokens, token: str) -> None:
        self._config = config
        self._server = server
        self._info = info
        self._tokens = tokens
        self._token = token
        self._sockets: list[socket.socket] = []
        self._listeners: list[Listener] = []
        self._unix: str | None = None
        self._unix_inode: int | None = None
        self._tcp: list[str | int] | None = None
        self._ws: list[str | int] | None = None
        self._discovery: DiscoveryRecord | None = None
        self._lock: int | None = None  # Of the runtime directory: its socket and record are ours.

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints, as `unix:PATH`, `tcp:HOST:PORT` and `ws://HOST:PORT/`."""
        unix = f"unix:{self._unix}" if self._unix else ""
        tcp = f"tcp:{self._tcp[0]}:{self._tcp[1]}" if self._tcp else ""
        ws = f"ws://{self._ws[0]}:{self._ws[1]}/" if self._ws else ""
        return tuple(name for name in (unix, tcp, ws) if name)

    @property
    def record(self) -> Record:
        """The discovery record."""
        return Record(
            protocol=PROTOCOL,
            major=PROTOCOL_MAJOR,
            version=self._info.version,
            instanceId=self._info.instance_id,
            pid=self._info.pid,
            startedAt=self._info.started_at,
            unix=self._unix,
            tcp=self._tcp,
            ws=self._ws,
            token=self._token,
            state=self._config.state_dir,
            log=f"{self._config.state_dir}/daemon.log",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self, tasks: TaskGroup) -> None:
        """Bind, listen, then say so in the record: who reads it finds somebody there.

        Raises:
            BindError: a socket cannot be made.
            StateDirError: the runtime directory is not ours, or another daemon uses it.
        """
        config = self._config
        if config.tcp is not None:
            listening = listen_tcp(config.tcp)
            self._tcp = [*listening.getsockname()[:2]]
            self._listen(listening, tasks)
        if config.ws is not None:
            self._open_websocket(config.ws, tasks)
        if config.runtime_dir is None:
            return
        self._lock = _hold_directory(Path(config.runtime_dir))
        places = Locations(config="", state=config.state_dir, runtime=config.runtime_dir)
        listening = listen_unix(places.socket)
        self._unix = places.socket
        self._unix_inode = Path(places.socket).stat().st_ino
        self._listen(listening, tasks)
        self._discovery = DiscoveryRecord(Path(places.record), self.record)
        self._discovery.write()

    def _open_websocket(self, port: int, tasks: TaskGroup) -> None:
        from holdfast_daemon.net.upgrade import Gatekeeper  # noqa: PLC0415 - loaded on first use

        listening = listen_tcp(port)
        host, bound = listening.getsockname()[:2]
        self._ws = [host, bound]
        gatekeeper = Gatekeeper(host, bound, self._config.ws_origins, self._tokens.principal_of)
        listener = Listener(listening, partial(self._server.admit_websocket, gatekeeper))
        self._listeners.append(listener)
        tasks.start_soon(listener.serve)

    def accept_waiting(self) -> int:
        """Take in whoever knocked and was not let in yet; give how many."""
        return sum(listener.accept_waiting() for listener in self._listeners)

    def close(self) -> None:
        """Remove the record and the socket, if they are still ours, and stop listening."""
        if self._discovery is not None:
            self._discovery.remove()
            self._discovery = None
        if self._unix is not None:
            with suppress(OSError):
                if Path(self._unix).stat().st_ino == self._unix_inode:  # Not a successor's.
                    Path(self._unix).unlink()
            self._unix = None
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _listen(self, listening: socket.socket, tasks: TaskGroup) -> None:
        listener = Listener(listening, self._server.admit)
        self._listeners.append(listener)
        tasks.start_soon(listener.serve)


def _hold_directory(runtime: Path) -> int:
    """Make a runtime directory, if need be, and take its lock."""
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(runtime)
        return hold_lock(runtime / f"daemon-v{PROTOCOL_MAJOR}.lock")
    except OSError as error:
        raise StateDirError(f"Cannot use {runtime}: {error.strerror}") from error
