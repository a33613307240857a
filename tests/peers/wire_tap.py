"""A port between a browser and a daemon: it writes down how each connection begins, and cuts some of them.

It passes bytes on as they are, so that the daemon sees the browser's own Host and Origin.
"""

import random
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

HEAD_END = b"\r\n\r\n"
IDLE_S_MAX = 60.0


class Cuts(NamedTuple):
    """When to cut: after so many bytes from the daemon, so most often inside a message."""

    count: int = 0
    bytes_min: int = 0
    bytes_max: int = 0


NONE = Cuts()


@dataclass
class Exchange:
    """What both sides said first, each up to the end of its HTTP head."""

    request: bytes = b""
    response: bytes = b""

    @property
    def status(self) -> int:
        """The daemon's answer."""
        return int(self.response.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        """Give a header of the request that stands there once."""
        lines = self.request.decode("latin-1").split("\r\n")[1:]
        found = [line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name.lower()}: ")]
        assert len(found) <= 1, found
        return found[0] if found else None


@dataclass
class WireTap:
    """A running tap.

    Attributes:
        target: the daemon's port.
        port: where it listens.
        exchanges: one for each connection that the daemon took, in order.
        cuts: how many connections were cut.
    """

    target: int
    plan: Cuts
    port: int = 0
    cuts: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    connected: set[socket.socket] = field(default_factory=set)
    seeded: random.Random = field(default_factory=lambda: random.Random(20))

    def serve(self, browser: socket.socket) -> None:
        """Pass on until both sides have ended, or the connection is cut."""
        try:
            daemon = socket.create_connection(("127.0.0.1", self.target), timeout=IDLE_S_MAX)
        except ConnectionRefusedError:
            return
        browser.settimeout(IDLE_S_MAX)
        exchange = Exchange()
        self.exchanges.append(exchange)
        pair = {browser, daemon}
        self.connected |= pair
        upward = threading.Thread(target=self._pass_up, args=(browser, daemon, exchange))
        upward.start()
        try:
            self._pass_down(daemon, browser, exchange)
        finally:
            _hang_up(*pair)
            upward.join()
            self.connected -= pair
            daemon.close()

    def _pass_up(self, browser: socket.socket, daemon: socket.socket, exchange: Exchange) -> None:
        with suppress(OSError):
            while data := browser.recv(65536):
                exchange.request = _head(exchange.request + data)
                daemon.sendall(data)
        _hang_up(daemon)

    def _pass_down(self, daemon: socket.socket, browser: socket.socket, exchange: Exchange) -> None:
        left = self.seeded.randint(self.plan.bytes_min, self.plan.bytes_max)
        with suppress(OSError):
            while data := daemon.recv(65536):
                exchange.response = _head(exchange.response + data)
                if self.cuts < self.plan.count and len(data) > left:
                    self.cuts += 1
                    browser.sendall(data[:left])
                    return
                left -= len(data)
                browser.sendall(data)


@contextmanager
def tapping(target: int, plan: Cuts = NONE) -> Iterator[WireTap]:
    """Listen on a free port, for a daemon at another."""
    tap = WireTap(target, plan)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            tap.serve(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        tap.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield tap
        finally:
            server.shutdown()
            thread.join()
            _hang_up(*tuple(tap.connected))


def _hang_up(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _head(data: bytes) -> bytes:
    head, end, _rest = data.partition(HEAD_END)
    return head + end
