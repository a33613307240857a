"""The sending end of a floor."""

import socket
import sys
from pathlib import Path

from benchmarks.wire import WAIT_S


def listen(path: str) -> socket.socket:
    """Listen at a path, and say so."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(256)
    print("ready", flush=True)
    return listener


def accept(listener: socket.socket, count: int) -> list[socket.socket]:
    """Wait for the word to begin; give so many connections, which block."""
    sys.stdin.readline()
    listener.settimeout(WAIT_S)
    sockets = [listener.accept()[0] for _ in range(count)]
    for sock in sockets:
        sock.setblocking(True)
    return sockets
