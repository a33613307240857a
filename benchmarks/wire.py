"""A client that blocks: one JSON object per line, one call at a time."""

import itertools
import json
import socket
from typing import Any, Self

WAIT_S = 120.0
"""The bound of every wait: far above what anything here takes."""

_READ_BYTES = 256 * 1024


class CallError(Exception):
    """A call was refused."""


class Wire:
    """One connection.

    Args:
        sock: connected; closed with this.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self._ids = itertools.count(1)
        sock.settimeout(WAIT_S)

    @classmethod
    def connect(cls, path: str) -> Self:
        """Connect to a unix socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT_S)
        sock.connect(path)
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def initialize(self, token: str) -> None:
        """Shake hands."""
        self.call("initialize", **hello(token))

    def call(self, method: str, **params: Any) -> Any:
        """Call and give the result; notifications that come before it are dropped.

        Raises:
            CallError: the call was refused.
        """
        number = next(self._ids)
        self.sock.sendall(request(number, method, params))
        return self.answer(number)

    def answer(self, number: int) -> Any:
        """Read on to the answer to a call.

        Raises:
            CallError: the call was refused.
        """
        while True:
            message = self.message()
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise CallError(str(message["error"]))
                return message["result"]

    def notified(self, method: str) -> dict[str, Any]:
        """Read on to a notification; give its params."""
        while True:
            message = self.message()
            if message.get("method") == method:
                return message["params"]

    def message(self) -> dict[str, Any]:
        """Read the next message."""
        return json.loads(self.line())

    def line(self) -> bytes:
        """Read the next line."""
        searched = 0
        while (end := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer)
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("The daemon closed the connection.")
            self.buffer += data
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        return line


def request(number: int, method: str, params: dict[str, Any]) -> bytes:
    """Give a call's line."""
    call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(call, separators=(",", ":")).encode() + b"\n"


def hello(token: str | None) -> dict[str, Any]:
    """Give the params of `initialize`."""
    client = {"id": "benchmarks", "name": "benchmarks", "version": "1"}
    params: dict[str, Any] = {"protocol": "holdfast", "versions": [1], "client": client}
    return params if token is None else {**params, "token": token}
