"""A process that only reads: subscribers, or the other ends of a floor's sockets.

`python -m benchmarks.reader CONFIG` with a `Config` as JSON. Says `ready` when all are connected and at the
head, `done` when all have read the end.
"""

import select
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.wire import Wire

_READ_BYTES = 1024 * 1024

Chunk = tuple[int, bytes]
"""What one `recv` gave, and when (monotonic, ns)."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What to read.

    Attributes:
        path: the unix socket.
        sockets: how many connections.
        until: what stands in the last of what is read.
        token: for the daemon; None for a floor, which speaks to whoever connects.
        session: what to subscribe to.
        after: `head` subscribes before `ready`, `start` when a line comes on stdin.
        trace: where to write what the last connection read, as MessagePack `list[Chunk]`.
    """

    path: str
    sockets: int
    until: str
    token: str | None = None
    session: str | None = None
    after: Literal["head", "start"] = "head"
    trace: str | None = None


class Reader:
    """One connection's end of it."""

    def __init__(self, wire: Wire, until: bytes, *, traced: bool) -> None:
        self.wire = wire
        self.chunks: list[Chunk] | None = [] if traced else None
        self._until = until
        self._tail = b""

    def take(self) -> bool:
        """Read once; tell whether that was the end."""
        data = self.wire.sock.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("The connection ended before the log did.")
        if self.chunks is not None:
            self.chunks.append((time.monotonic_ns(), data))
        ended = self._until in data or self._until in self._tail + data[: len(self._until)]
        self._tail = data[-len(self._until) :]
        return ended


def main(config: Config) -> None:
    """Connect, read, and say so."""
    wires = [_connect(config) for _ in range(config.sockets)]
    print("ready", flush=True)
    if config.after == "start":
        sys.stdin.readline()
        for wire in wires:
            wire.sock.sendall(_subscribe(config))
    last = len(wires) - 1
    readers = [
        Reader(wire, config.until.encode(), traced=config.trace is not None and number == last)
        for number, wire in enumerate(wires)
    ]
    _read(readers)
    print("done", flush=True)
    if config.trace is not None:
        Path(config.trace).write_bytes(msgspec.msgpack.encode(readers[last].chunks))


def _connect(config: Config) -> Wire:
    wire = Wire.connect(config.path)
    if config.token is not None:
        wire.initialize(config.token)
    if config.session is not None and config.after == "head":
        wire.call("session/subscribe", sessionId=config.session)
        wire.notified("session/caughtUp")
    return wire


def _subscribe(config: Config) -> bytes:
    params = {"sessionId": config.session, "after": "start"}
    call = {"jsonrpc": "2.0", "id": 1000, "method": "session/subscribe", "params": params}
    return msgspec.json.encode(call) + b"\n"


def _read(readers: list[Reader]) -> None:
    with select.epoll() as poll:
        open_readers = {reader.wire.sock.fileno(): reader for reader in readers}
        for descriptor in open_readers:
            poll.register(descriptor, select.EPOLLIN)
        while open_readers:
            for descriptor, _ in poll.poll():
                if open_readers[descriptor].take():
                    poll.unregister(descriptor)
                    del open_readers[descriptor]


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Config))
