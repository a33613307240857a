"""JSON-RPC over one blocking socket, a JSON object per line. Knows no methods, no sessions, no retrying.

A connection is used in one of two ways. A plain command makes calls and waits for each (`call`). A
follower posts calls and takes every message as it comes, answers among them (`post`, `fill`, `take`).
"""

import json
import socket
from time import monotonic
from typing import Any, Final, NoReturn, cast

from holdfast_client.shell import exit_codes

CALL_TIMEOUT_S: Final = 30.0
"""An admission waits for the daemon's disk; more than this is a daemon that hangs."""

LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Far beyond any answer of a sane daemon; bounds what a mad one can make us hold."""

_RECEIVE_BYTES: Final = 256 * 1024


class ConnectionLost(exit_codes.CommandFailed):
    """The connection ended, or what came over it was no JSON-RPC."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_codes.UNREACHABLE, "connection_lost")


class NoAnswer(exit_codes.CommandFailed):
    """The daemon did not answer in time."""

    def __init__(self, method: str, timeout_s: float) -> None:
        message = f"the daemon did not answer {method} within {timeout_s:g} s"
        super().__init__(message, exit_codes.UNREACHABLE, "timeout")


class CallRefused(exit_codes.CommandFailed):
    """The daemon answered a call with an error.

    Attributes:
        code: the JSON-RPC code.
        data: the error's data, an object; empty if there was none.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        data = error.get("data")
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        self.code: int = error.get("code", 0)
        kind = str(self.data.get("kind", "error"))
        message = str(error.get("message", "the daemon refused the call"))
        super().__init__(message, exit_codes.of_refusal(kind, self.data), kind)


class Wire:
    """One connection to the daemon. One owner, one thread.

    Args:
        sock: connected; the wire closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = bytearray()
        self._searched = 0  # Bytes of `_received` known to hold no newline.
        self._last_id = 0

    def fileno(self) -> int:
        """Give the descriptor to wait on; messages may be held already, so `take` first."""
        return self._sock.fileno()

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def post(self, method: str, params: dict[str, Any]) -> int:
        """Send a call without waiting for its answer, and give its id.

        Raises:
            ConnectionLost: the daemon is gone, or has not read for `CALL_TIMEOUT_S`.
        """
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        frame = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            self._sock.settimeout(CALL_TIMEOUT_S)
            self._sock.sendall(frame)
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon broke: {error.strerror or error}") from None
        return self._last_id

    def call(self, method: str, params: dict[str, Any], timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Make a call on a connection that follows nothing, and give its result.

        Notifications that come meanwhile are dropped.

        Raises:
            CallRefused: the daemon answered with an error.
            ConnectionLost: the connection ended before the answer.
            NoAnswer: none within `timeout_s`.
        """
        deadline = monotonic() + timeout_s
        call_id = self.post(method, params)
        while True:
            try:
                message = self.receive(deadline)
            except TimeoutError:
                raise NoAnswer(method, timeout_s) from None
            if message.get("id") == call_id and "method" not in message:
                return result_of(message)
            if message.get("id") is None and "error" in message:
                raise CallRefused(message["error"])  # The daemon could not even read the id.

    def receive(self, deadline: float) -> dict[str, Any]:
        """Wait for the next message.

        Raises:
            ConnectionLost: the connection ended.
            TimeoutError: nothing came until `deadline`, on the monotonic clock.
        """
        while (message := self.take()) is None:
            self.fill(max(0.001, deadline - monotonic()))
        return message

    def fill(self, timeout_s: float) -> None:
        """Read once from the socket.

        Raises:
            ConnectionLost: the connection ended.
            TimeoutError: nothing came.
        """
        try:
            self._sock.settimeout(timeout_s)
            chunk = self._sock.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(f"the connection to the daemon broke: {error.strerror or error}") from None
        if not chunk:
            raise ConnectionLost("the daemon closed the connection")
        self._received += chunk

    def holds_message(self) -> bool:
        """Tell whether `take` has one to give."""
        return self._received.find(b"\n", self._searched) >= 0

    def take(self) -> dict[str, Any] | None:
        """Give the next message among the bytes received so far, if there is a whole one."""
        end = self._received.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._received)
            if self._searched > LINE_BYTES_MAX:
                _unreadable()
            return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._searched = 0
        return _message(line)


def result_of(answer: dict[str, Any]) -> Any:
    """Give the result of an answer.

    Raises:
        CallRefused: the answer is an error.
    """
    if "error" in answer:
        raise CallRefused(answer["error"])
    return answer["result"]


def _message(line: bytes) -> dict[str, Any]:
    try:
        message: Any = json.loads(line)
    except ValueError:
        _unreadable()
    if not isinstance(message, dict) or not ("method" in message or "id" in message):
        _unreadable()
    return cast("dict[str, Any]", message)


def _unreadable() -> NoReturn:
    raise ConnectionLost("the other side does not speak JSON-RPC")
