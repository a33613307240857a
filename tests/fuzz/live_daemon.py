"""A daemon in the test's loop, and a blocking client in a thread, where Hypothesis runs its examples."""

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Self

import anyio
import anyio.to_thread
from hypothesis import HealthCheck, settings

from fakes.daemons import Endpoint, Home, InProcessDaemon

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "150"))

LIVE = settings(
    max_examples=EXAMPLES,
    deadline=None,  # No example is judged by the clock.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ANSWER_S_MAX = 10.0

FramingName = Literal["lines", "headers"]

Answer = dict[str, Any]


async def against_live_daemon(home: Home, examples: Callable[[Endpoint], None]) -> None:
    """Run blocking examples against a daemon that serves them from this loop."""
    async with anyio.create_task_group() as tasks:
        daemon = InProcessDaemon(home, tasks)
        await daemon.start()
        try:
            await anyio.to_thread.run_sync(examples, daemon.endpoint)
        finally:
            await daemon.stop()


class BlockingClient:
    """One connection. Notifications are dropped; answers are kept until they are asked for."""

    def __init__(self, endpoint: Endpoint, framing: FramingName) -> None:
        self.framing: FramingName = framing
        self.answers: list[Answer] = []
        self._endpoint = endpoint
        self._ids = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.connect(endpoint.unix)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def initialize(self) -> Answer:
        return self.call(
            "initialize",
            {
                "protocol": "holdfast",
                "versions": [1],
                "client": {"id": "fuzz"},
                "token": self._endpoint.token,
            },
        )

    def frame(self, body: bytes) -> bytes:
        if self.framing == "lines":
            return body + b"\n"
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish_writing(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send all there will be; the daemon may close before it has it."""
        with contextlib.suppress(OSError):
            self.send(data)
            self.finish_writing()

    def call(self, method: str, params: Any) -> Answer:
        """Call; give the whole answer."""
        call_id = f"own-{next(self._ids)}"
        body = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}
        self.send(self.frame(json.dumps(body).encode("utf-8", "surrogatepass")))
        self.read_until(lambda: any(answer.get("id") == call_id for answer in self.answers))
        found = next(answer for answer in self.answers if answer.get("id") == call_id)
        self.answers.remove(found)
        return found

    def read_until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert self._read(), f"the daemon closed; {len(self.answers)} answers until then"

    def read_to_the_end(self) -> None:
        """Read until the daemon closes."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Read a piece and take its messages; False at the end."""
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:  # It closed with bytes of ours unread.
            return False
        self._buffer += data
        for body in self._cut():
            message = json.loads(body)
            assert message["jsonrpc"] == "2.0"
            if "method" not in message:
                self.answers.append(message)
        return bool(data)

    def _cut(self) -> Iterator[bytes]:
        while self._buffer:
            if self.framing == "lines":
                body, end, rest = self._buffer.partition(b"\n")
            else:
                header, end, rest = self._buffer.partition(b"\r\n\r\n")
                length = int(header.partition(b":")[2]) if end else 0
                body, rest = rest[:length], rest[length:]
                end = end if len(body) == length else b""
            if not end:
                return
            self._buffer = rest
            yield body


@contextmanager
def initialized(endpoint: Endpoint, framing: FramingName) -> Iterator[BlockingClient]:
    with BlockingClient(endpoint, framing) as client:
        assert "result" in client.initialize()
        yield client
