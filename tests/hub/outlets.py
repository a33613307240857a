"""A connection as the hub sees it: takes frames, checks what every client may rely on, can be slow."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio

from holdfast_protocol.connection import Connection, Side
from holdfast_protocol.framing import Framing
from holdfast_protocol.jsonrpc import Notification

WAIT_S = 10.0
"""The bound of every wait: far above what it takes, for the machine may be shared."""


class Told(NamedTuple):
    """One notification."""

    method: str
    params: dict[str, Any]


class Follower:
    """What a client does with the notifications of one session: keeps its cursor and finds gaps."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.events: list[dict[str, Any]] = []
        self.batches = 0
        self.caught_up: list[int] = []
        self.lagged: list[dict[str, Any]] = []
        self.gaps: list[tuple[int, int]] = []
        self.halted: list[str] = []

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    def take(self, told: Told) -> None:
        params = told.params
        match told.method:
            case "session/events":
                self.batches += 1
                assert params["from"] == self.cursor + 1, "a hole or an overlap"
                assert params["to"] >= self.cursor
                seqs = [event["seq"] for event in params["events"]]
                assert seqs == sorted(set(seqs))
                assert all(params["from"] <= seq <= params["to"] for seq in seqs)
                self.events += params["events"]
                self.cursor = params["to"]
            case "session/caughtUp":
                assert params["head"] == self.cursor, "caught up, but not at the head"
                self.caught_up.append(params["head"])
            case "session/lagged":
                assert params["cursor"] == self.cursor < params["head"]
                self.lagged.append(params)
            case "session/gap":
                assert params["from"] == self.cursor + 1
                self.gaps.append((params["from"], params["to"]))
                self.cursor = params["to"]
            case "session/halted":
                self.halted.append(params["kind"])
            case other:
                raise AssertionError(other)


class FakeOutlet:
    """Implements the hub's `Outlet`.

    Args:
        framing: how frames must be delimited.
        high_water: pauses by itself after so many bytes, as a client that does not read; None: never.
    """

    def __init__(self, framing: Framing = Framing.LINES, *, high_water: int | None = None) -> None:
        self.framing = framing
        self.paused = False
        self.frames: list[bytes] = []
        self.told: list[Told] = []
        self.followers: dict[str, Follower] = {}
        self.on_write: Callable[[bytes], None] = lambda _frame: None
        self._connection = Connection(Side.CLIENT, framing=framing)
        self._high_water = high_water
        self._unread = 0
        self._written = anyio.Event()

    def write(self, frame: bytes) -> None:
        self.on_write(frame)
        self.frames.append(frame)
        self._unread += len(frame)
        if self._high_water is not None and self._unread >= self._high_water:
            self.paused = True
        self._connection.receive_data(frame)
        while (event := self._connection.next_event()) is not None:
            assert isinstance(event, Notification)
            self._take(Told(event.method, json.loads(json.dumps(event.params))))
        self._written.set()
        self._written = anyio.Event()

    def read(self) -> None:
        """Take everything that was written: there is room again. The hub has to be told."""
        self._unread = 0
        self.paused = False

    def follow(self, session_id: str, cursor: int) -> Follower:
        """Begin to check what is told of a session from a cursor on."""
        follower = self.followers[session_id] = Follower(cursor)
        return follower

    def of(self, method: str) -> list[dict[str, Any]]:
        return [told.params for told in self.told if told.method == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that was written makes a condition true."""
        with anyio.fail_after(WAIT_S):
            while not condition():
                await self._written.wait()

    def _take(self, told: Told) -> None:
        self.told.append(told)
        if told.method.startswith("session/"):
            follower = self.followers.get(told.params["sessionId"])
            if follower is not None:
                follower.take(told)
