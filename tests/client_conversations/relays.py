"""The runner's end of a relay: one process for many conversations, and in it a channel for each client."""

import contextlib
import json
import os
import subprocess
from collections.abc import Sequence
from typing import Self

from fakes.links import LinkClosed, pipes

END = b"end"
"""The client has lost its connection."""


class RelayFailed(AssertionError):
    """The relay ended, or the library in it did what it must not."""


class RelayProcess:
    """A running relay; see `relay_lines`. Started when it is first needed.

    Args:
        command: the program.

    Use as a context manager: it is ended with it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""  # Of a line whose end has not come.
        self._broken = False  # It has ended, or is about to.
        self._to = -1  # Its standard input.
        self._unsent = b""  # Commands for it that are to be sent with the next.
        self._clients = 0
        self._heard: dict[int, list[bytes]] = {}  # By client, what nobody has taken.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def open(self) -> int:
        """Give the number of a new client; starts the process if there is none, or none any more."""
        if self._process is None or self._broken or self._process.poll() is not None:
            self._end()
            self._start()
        self._clients += 1
        self._heard[self._clients] = []
        return self._clients

    def _start(self) -> None:
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        self._process = subprocess.Popen(self._command, stdin=their_in, stdout=their_out)
        os.close(their_in)
        os.close(their_out)
        self._link, self._to = pipes(our_in, our_out), our_out
        self._rest = self._unsent = b""
        self._broken = False

    def _end(self) -> None:
        if self._process is not None:
            self._link.close()
            self._process.kill()
            self._process.wait()

    async def write(self, number: int, what: str, value: bytes) -> None:
        """Send a command."""
        commands, self._unsent = self._unsent + _command(number, what, value), b""
        try:
            await self._link.write(commands)
        except LinkClosed:
            raise RelayFailed("the relay has ended") from None

    def leave(self, number: int) -> None:
        """Have a client left; what it still says is dropped."""
        if self._heard.pop(number, None) is not None:
            self._unsent += _command(number, "close", b"true")
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # Then it is sent with the next.
                self._unsent = self._unsent[os.write(self._to, self._unsent) :]

    async def read(self, number: int) -> list[bytes]:
        """Wait for something, perhaps for another client; give what there is for this one."""
        if not self._heard[number]:
            self._sort(await self._link.read())
        heard = self._heard[number]
        self._heard[number] = []
        return heard

    def _sort(self, data: bytes) -> None:
        if not data:
            self._broken = True
            raise RelayFailed("the relay has ended")
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            number, _, body = line.partition(b" ")
            heard = self._heard.get(int(number))
            if heard is not None:
                heard.append(body)


class RelayChannel:
    """One client of a conversation, as a channel of messages. Implements `Channel`.

    Args:
        relay: where the library runs.
        name: of the client; one that lost its connection goes on under its name.
        runtime: where the daemon's record lies.
    """

    unfinished = b""

    def __init__(self, relay: RelayProcess, name: str, runtime: str) -> None:
        self._relay = relay
        self._name = name
        self._runtime = runtime
        self._number = relay.open()
        self._attached = False
        self._ended = False

    async def send(self, bodies: list[bytes]) -> None:
        if not self._attached:
            self._attached = True
            who = {"runtime": self._runtime, "name": self._name, "hello": json.loads(bodies.pop(0))}
            await self._relay.write(self._number, "connect", json.dumps(who).encode())
        if bodies:
            await self._relay.write(self._number, "send", b"[%s]" % b",".join(bodies))

    async def send_bytes(self, data: bytes) -> None:
        raise AssertionError(f"a library sends messages only, not {data!r}")

    async def receive(self) -> list[bytes] | None:
        if self._ended:
            return None
        bodies = await self._relay.read(self._number)
        self._ended = bodies[-1:] == [END]
        return bodies[:-1] if self._ended else bodies

    def close(self) -> None:
        self._relay.leave(self._number)


def _command(number: int, what: str, value: bytes) -> bytes:
    return b'{"client":%d,"%s":%s}\n' % (number, what.encode(), value)
