"""`holdfast rpc`: the protocol on standard input and output, the token added. Copies bytes both ways.

Looks at the first message only: an `initialize` without a token is given the daemon's. All else goes through
as it is, in either framing. The daemon is started if none runs; what it does not answer is not answered here.
"""

import contextlib
import os
import socket
import threading
from typing import Final

from holdfast_client.shell import endpoint, first_message, reach, streams
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, CommandFailed, Unreachable

SPEC: Final = Spec(
    usage="""\
holdfast rpc [--no-spawn]

Speak the daemon's protocol on standard input and output: JSON-RPC, one object
per line or with Content-Length headers. The token is added to `initialize`.
The daemon is started if none runs. Works over SSH: `ssh HOST holdfast rpc`.

  --no-spawn   start none; exit code 69 if none runs
""",
    flags={"--no-spawn": "no-spawn"},
)

_COPY_BYTES: Final = 256 * 1024
_STDIN: Final = 0
_STDOUT: Final = 1


class _Uplink:
    """What comes in, on its way to the daemon. Runs in a thread of its own.

    Attributes:
        ended: standard input has come to its end.
        failure: why it ended too early, if it did.
    """

    def __init__(self, sock: socket.socket, token: str) -> None:
        self._sock = sock
        self._token = token
        self.ended = False
        self.failure: CommandFailed | None = None

    def run(self) -> None:
        """Copy until one side ends; then tell the daemon that no more will come."""
        try:
            sent = first_message.with_token(_read, self._token)
            self._sock.sendall(sent)
            has_lines, last = first_message.has_lines(sent), sent[-1:]
            while chunk := _read():
                self._sock.sendall(chunk)
                last = chunk[-1:]
            if has_lines and last != b"\n":
                self._sock.sendall(b"\n")  # The end of the input ends the last message too.
            self.ended = True
        except CommandFailed as failure:
            self.failure = failure
        except OSError:
            pass  # The daemon has gone: the other direction says so.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


def run(arguments: Arguments) -> int:
    """Copy until the client, or the daemon, has said its last."""
    connection = reach.running() if "no-spawn" in arguments.flags else reach.started()
    connection.wire.close()  # It was to find out that a daemon answers; the client shakes hands by itself.
    sock, token = endpoint.dial(endpoint.locate())
    sock.settimeout(None)
    uplink = _Uplink(sock, token)
    threading.Thread(target=uplink.run, name="stdin", daemon=True).start()
    try:
        _copy_down(sock)
    except BrokenPipeError:
        streams.abandon(_STDOUT)  # The client has gone.
        return OK
    if uplink.failure is not None:
        raise uplink.failure
    if not uplink.ended:
        raise Unreachable("the daemon closed the connection", "connection_lost")
    return OK


def _copy_down(sock: socket.socket) -> None:
    while True:
        try:
            chunk = sock.recv(_COPY_BYTES)
        except ConnectionError:
            return
        if not chunk:
            return
        _write(chunk)


def _read() -> bytes:
    return os.read(_STDIN, _COPY_BYTES)


def _write(chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(_STDOUT, rest) :]
