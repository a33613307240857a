"""holdfastd as a process: started, killed and started again on one home. Shares no code with it."""

import json
import os
import select
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

START_S_MAX = 20.0
STOP_S_MAX = 10.0
ANSWER_S_MAX = 10.0


class DaemonProcess:
    """One daemon on one home.

    Args:
        command: holdfastd.
        home: a directory with a short path, for its state and its socket.
    """

    def __init__(self, command: str, home: Path) -> None:
        self._command = command
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> dict[str, Any]:
        """Start it; give its discovery record once it serves."""
        ready, ready_end = os.pipe()
        self._process = subprocess.Popen(
            [
                self._command,
                *("--state", str(self._home / "state")),
                *("--runtime", str(self._home / "run")),
                *("--ready-fd", str(ready_end)),
                *flags,
            ],
            pass_fds=[ready_end],
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home)},
        )
        os.close(ready_end)
        _wait_until_ready(ready)
        return json.loads((self._home / "run" / "daemon-v1.json").read_text(encoding="utf-8"))

    def stop(self) -> int:
        """End it in order; give its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_S_MAX)

    def kill(self) -> None:
        """End it as a crash would, if it has not ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)


class Owner:
    """The owner of a daemon on its unix socket: one JSON object per line. Use as a context manager.

    Attributes:
        calls: how many it has made.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.connect(record["unix"])
        self._lines = self._socket.makefile("rb")
        self.calls = 0
        client = {"id": "owner", "name": "owner"}
        self.call("initialize", protocol="holdfast", versions=[1], client=client, token=record["token"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lines.close()
        self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a call; give its result."""
        self.calls += 1
        request = {"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while message := self._lines.readline():
            answer = json.loads(message)
            if answer.get("id") == self.calls:
                return answer["result"]
        raise ConnectionError(f"no answer to {method}")

    def log(self, session_id: str) -> list[dict[str, Any]]:
        """Read a session's log from its beginning to its head."""
        events: list[dict[str, Any]] = []
        page: dict[str, Any] = {"to": 0, "more": True}
        while page["more"]:
            page = self.call("session/read", sessionId=session_id, after=page["to"], limit=1000)
            events += page["events"]
        return events


def _wait_until_ready(ready: int) -> None:
    """Read the ready line: one JSON object."""
    with os.fdopen(ready, encoding="utf-8") as stream:
        readable, _, _ = select.select([stream], [], [], START_S_MAX)
        assert readable, "the daemon is not ready in time"
        line = stream.readline()
        assert line, "the daemon ended before it was ready"
        json.loads(line)
