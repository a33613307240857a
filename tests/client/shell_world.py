"""A user's home, the `holdfast` command in it, and a scripted daemon for faults a real one does not have."""

import contextlib
import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from holdfast_protocol import discovery, events

WAIT_S = 60.0
"""The bound of every wait here: machines are shared, and a process is started for each command."""


def wire_form(event: events.EventBase, seq: int = 1, run_id: str | None = None) -> dict[str, Any]:
    """Give an event as it comes over the wire."""
    numbered = msgspec.structs.replace(event, seq=seq, at=1_700_000_000_000, run_id=run_id)
    return json.loads(msgspec.json.encode(numbered))


class Home:
    """A user's holdfast, all of it below one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "LANG": "C.UTF-8",
            "HOLDFAST_HOME": str(path),
        }
        self.locations: discovery.Locations = discovery.locations(self.environ, str(path))

    def command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("holdfast")), *arguments]

    def run(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        return subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            cwd=options.pop("cwd", self.path),
            env={**self.environ, **options.pop("env", {})},
            **{name: value for name, value in options.items() if value is not None},
        )

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Start the command; whoever does waits for its end."""
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            self.command(*arguments),
            text=True,
            cwd=self.path,
            env={**self.environ, **options.pop("env", {})},
            **{**pipes, **options},
        )

    def wait_for_the_lock(self) -> None:
        """Wait until no daemon holds the log any more, if one did: its socket closes a little before."""
        lock = Path(self.locations.state) / "daemon.lock"
        if lock.is_file():
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", "--json").stdout)

    def write_record(self, **members: Any) -> dict[str, Any]:
        """Write a discovery record as a daemon would."""
        Path(self.locations.runtime).mkdir(mode=0o700, parents=True, exist_ok=True)
        record = {
            "protocol": "holdfast",
            "major": 1,
            "version": "0.1.0",
            "instanceId": "forged",
            "pid": 1,
            "startedAt": 0,
            "unix": self.locations.socket,
            "tcp": None,
            "token": "t" * 43,
            "state": self.locations.state,
            "log": self.locations.log,
            **members,
        }
        path = Path(self.locations.record)
        path.touch(mode=0o600)
        path.write_text(json.dumps(record))
        return record


Script = Callable[["Peer"], None]


class Peer:
    """One connection of a scripted daemon, seen from the daemon's side."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT_S)
        self._sock = sock
        self._lines = sock.makefile("rb")

    def receive(self) -> dict[str, Any]:
        return json.loads(self._lines.readline())

    def receive_end(self) -> list[dict[str, Any]]:
        """Wait until the client has closed the connection; give what it still sent."""
        return [json.loads(line) for line in self._lines]

    def send(self, message: dict[str, Any]) -> None:
        self._sock.sendall(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        self._sock.sendall(data)

    def answer(self, result: Any) -> dict[str, Any]:
        """Answer the next call, and give it."""
        call = self.receive()
        self.send({"id": call["id"], "result": result})
        return call

    def refuse(self, code: int, kind: str, **data: Any) -> dict[str, Any]:
        """Refuse the next call, and give it."""
        call = self.receive()
        error = {"code": code, "message": kind, "data": {"kind": kind, **data}}
        self.send({"id": call["id"], "error": error})
        return call

    def shake_hands(self, instance_id: str = "scripted", pid: int = 4711) -> dict[str, Any]:
        server = {
            "name": "holdfast",
            "version": "0.1.0",
            "instanceId": instance_id,
            "pid": pid,
            "startedAt": 0,
        }
        return self.answer(
            {"version": 1, "server": server, "capabilities": {}, "limits": {}, "role": "controller"}
        )

    def notify(self, method: str, **params: Any) -> None:
        self.send({"method": method, "params": params})

    def close(self) -> None:
        self._lines.close()
        self._sock.close()


class ScriptedDaemon:
    """Plays one script per connection, in order, on the socket of a record; then listens no more."""

    def __init__(self, home: Home, *scripts: Script) -> None:
        self._home = home
        self._scripts = scripts
        self._failures: list[BaseException] = []
        Path(home.locations.runtime).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(home.locations.socket)
        self._listener.listen()
        self._listener.settimeout(WAIT_S)
        home.write_record()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.join(WAIT_S)
        Path(self._home.locations.record).unlink()
        if kind is None and self._failures:
            raise self._failures[0]

    def _serve(self) -> None:
        try:
            for script in self._scripts:
                sock, _ = self._listener.accept()
                peer = Peer(sock)
                try:
                    script(peer)
                finally:
                    peer.close()
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            self._failures.append(failure)
        finally:
            self._listener.close()
            Path(self._home.locations.socket).unlink()


def terminal_of(home: Home, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run a command at a terminal, without a person, and give what the terminal got."""
    master, slave = pty.openpty()
    client = home.start(*arguments, stdin=slave, stdout=slave, stderr=slave, env=env or {"TERM": "xterm"})
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the last writer has gone.
        while chunk := os.read(master, 65536):
            shown += chunk
    os.close(master)
    client.wait(WAIT_S)
    return shown.decode()
