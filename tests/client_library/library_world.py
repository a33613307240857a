"""The library and a daemon under test: connected, cut off, connected again."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio.abc import ByteStream, SocketAttribute

from fakes.daemons import Home, InProcessDaemon
from holdfast_client import aio
from holdfast_client.aio.routes import Dialled, Fixed, Shared
from holdfast_protocol import discovery

WAIT_S = 30
"""The bound of every wait: far above what it takes, for the machine may be shared."""


def locations(home: Home) -> discovery.Locations:
    return discovery.Locations(config="", state=str(home.state), runtime=str(home.runtime))


Over = Literal["unix", "tcp", "websocket"]


class Cuttable:
    """A route whose connections a test can break. Implements `Route`.

    Attributes:
        dialled: how many connections were made.
    """

    def __init__(self, home: Home, over: Over = "unix", *, may_start: bool = False) -> None:
        self._shared = Shared(locations(home), may_start=may_start)
        self._record = locations(home).record
        self._over = over
        self._streams: list[ByteStream] = []
        self._again = anyio.Event()
        self.dialled = 0
        self.refuse = False
        self.may_start = may_start
        self.start_after_s = 0.0

    async def dial(self, *, start: bool) -> Dialled:
        if self.refuse:
            await Fixed("unix:/nonexistent/socket", None).dial(start=False)
        dialled = await self._shared.dial(start=start)
        if self._over != "unix":
            await dialled.stream.aclose()
            record = discovery_record(self._record)
            address = "tcp:{}:{}".format(*record["tcp"])
            if self._over == "websocket":
                address = "ws://{}:{}/".format(*record["ws"])
            dialled = await Fixed(address, record["token"]).dial(start=False)
        self.dialled += 1
        self._streams.append(dialled.stream)
        self._again.set()
        return dialled

    async def aclose(self) -> None:
        await self._shared.aclose()

    def cut(self) -> None:
        """Break the newest connection, both ways, whatever is on its way."""
        raw = self._streams[-1].extra(SocketAttribute.raw_socket)
        with contextlib.suppress(OSError):  # It is broken already.
            raw.shutdown(socket.SHUT_RDWR)

    async def cut_and_dialled_again(self) -> None:
        """Break the connection, and wait until another one was dialled."""
        self._again = anyio.Event()
        self.cut()
        await self._again.wait()


def discovery_record(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text())


@asynccontextmanager
async def daemon_in(home: Home, **options: Any) -> AsyncIterator[InProcessDaemon]:
    """Run a daemon in the test's loop."""
    async with anyio.create_task_group() as tasks:
        daemon = InProcessDaemon(home, tasks, **options)
        await daemon.start()
        yield daemon
        await daemon.stop()


@asynccontextmanager
async def client_of(home: Home, **options: Any) -> AsyncIterator[aio.Client]:
    """Attach to a home's daemon."""
    options.setdefault("autostart", False)
    async with aio.connect("attach", locations=locations(home), **options) as client:
        yield client


LOAD = """script:
  - interleave: {{blocks: 32, count: {count}, per_second: {per_second}, text: "tick "}}
"""


def load(count: int, per_second: int = 20000) -> str:
    """Give a prompt that makes so many events that the log cannot join."""
    return LOAD.format(count=count, per_second=per_second)


HANG = "script:\n  - text: I wait.\n    hang: true\n"

TERMINAL = {"run_completed", "run_failed", "run_cancelled", "run_interrupted"}
