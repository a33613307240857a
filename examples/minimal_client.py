"""A whole holdfast client on the standard library: one prompt, streamed, whatever happens to the connection.

    python3 examples/minimal_client.py "read README.md"

Runs the prompt in a new session of the working directory. Exits by the outcome: 0 completed, 1 failed or
refused, 69 no daemon, 75 interrupted, 130 cancelled. protocol/PROTOCOL.md explains the messages.
"""

import contextlib
import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

OUTCOMES = {"run_completed": 0, "run_failed": 1, "run_interrupted": 75, "run_cancelled": 130}
RECONNECT_S = 30.0  # How long to look for a daemon that is gone.


class Lost(Exception):
    """The daemon, or the way to it, is gone; what was done is not."""


def runtime_directory() -> Path:
    """Give the directory with the discovery record (PROTOCOL.md, "Discovery")."""
    if home := os.environ.get("HOLDFAST_HOME"):
        return Path(home) / "run"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/holdfast/run"
    if (runtime := os.environ.get("XDG_RUNTIME_DIR", "")).startswith("/"):
        return Path(runtime) / "holdfast"
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local/state") / "holdfast/run"


class Connection(contextlib.ExitStack):
    """JSON-RPC, one object per line, over the daemon's unix socket; everything may raise Lost."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = self.enter_context(socket.socket(socket.AF_UNIX))
        self._lines = self.enter_context(self._socket.makefile("rb"))
        self._early: list[dict[str, Any]] = []  # Notifications that came while an answer was awaited.
        self._calls = 0

    def open(self, client_id: str) -> None:
        """Find the daemon, connect, shake hands."""
        try:
            record = json.loads((runtime_directory() / "daemon-v1.json").read_text(encoding="utf-8"))
            self._socket.connect(record["unix"])
        except (OSError, ValueError) as error:
            raise Lost(f"no daemon: {error}") from error
        client = {"id": client_id, "name": "minimal_client"}
        self.call("initialize", protocol="holdfast", versions=[1], client=client, token=record["token"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a call and wait for its answer."""
        self._calls += 1
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        with contextlib.suppress(OSError):  # What cannot be sent is not answered either.
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        while (answer := self._read()).get("id") != self._calls:
            self._early.append(answer)
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def notification(self) -> dict[str, Any]:
        """Wait for the next notification."""
        return self._early.pop(0) if self._early else self._read()

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            if (line := self._lines.readline()).endswith(b"\n"):  # Else nothing, or half a message.
                return json.loads(line)
        raise Lost("the daemon closed the connection")


class PromptRun:
    """One prompt in one session. Its ids are chosen here, so that every call can be made again."""

    def __init__(self, prompt: str) -> None:
        self.client_id = f"minimal-{uuid.uuid4().hex}"
        self.outcome: str | None = None
        self._session = {"sessionId": f"s-{uuid.uuid4().hex}"}
        self._content = [{"type": "text", "text": prompt}]
        self._cursor = 0  # The last event that was printed: all that is needed to go on.
        self._printed: dict[str, int] = {}  # How much of each text block was printed.

    def follow(self, connection: Connection) -> None:
        """Ask for everything again (the daemon knows what it has done), and print what comes."""
        epoch = connection.call("session/create", **self._session, cwd=str(Path.cwd()))["epoch"]
        connection.call("session/subscribe", **self._session, after=self._cursor, epoch=epoch)
        connection.call("session/prompt", **self._session, promptId="p-1", content=self._content)
        while self.outcome is None:
            message = connection.notification()
            if message["method"] == "session/events":
                self._take(message["params"])

    def _take(self, batch: dict[str, Any]) -> None:
        if batch["from"] != self._cursor + 1:
            raise Lost("events are missing")  # Subscribing again brings them.
        for event in batch["events"]:
            self._print(event)
        self._cursor = batch["to"]

    def _print(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "content_block_start", "kind": "text", "blockId": block}:
                self._printed[block] = 0
            case {"type": "token_delta", "blockId": block, "text": text} if block in self._printed:
                self._printed[block] += len(text)
                print(text, end="", flush=True)
            case {"type": "content_block_end", "kind": "text", "blockId": block, "text": text}:
                print(text[self._printed.pop(block, 0) :], flush=True)
            case {"type": "tool_call_started", "title": title}:
                print(f"* {title}", file=sys.stderr, flush=True)
            case {"type": "tool_call_failed", "error": {"message": message}}:
                print(f"  failed: {message}", file=sys.stderr, flush=True)
            case {"type": kind} if kind in OUTCOMES:
                self.outcome = kind


def main() -> int:
    """Run the prompt of the command line; when the connection is lost, connect and go on at the cursor."""
    run = PromptRun(" ".join(sys.argv[1:]) or "read README.md")
    give_up_at = time.monotonic()  # At first there is nothing to come back to.
    while run.outcome is None:
        try:
            with Connection() as connection:
                connection.open(run.client_id)
                give_up_at = float("inf")
                run.follow(connection)
        except Lost as loss:
            give_up_at = min(give_up_at, time.monotonic() + RECONNECT_S)
            if time.monotonic() >= give_up_at:
                print(loss, file=sys.stderr)
                return 69
            time.sleep(0.2)
    print(run.outcome, file=sys.stderr)
    return OUTCOMES[run.outcome]


if __name__ == "__main__":
    raise SystemExit(main())
