"""One session's log, from a cursor on, each event once, over as many connections as it takes.

Knows what batches are, not what events mean. `wait` blocks until something arrived and `arrivals` gives it:
events in the order of their seq, and the little that happens between them.
"""

import select
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from holdfast_client.shell.exit_codes import CommandFailed
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link
from holdfast_client.shell.wire import ConnectionLost

BROKEN_BATCHES_MAX: Final = 3
"""So many gaps in a row, without one event between them, mean that the log cannot be read."""

_READ_TIMEOUT_S: Final = 1.0  # Never reached: the socket is readable.

Deltas = Literal["all", "settled", "none"]


class Arrival(NamedTuple):
    """Something that came.

    Attributes:
        kind: `event` (data: the event), `answer` (data: the message that answers a posted call),
            `caught_up` (data: the head), `restored` (data: `initialize`'s server; posted calls that were
            not answered are lost), `notice` (data: any other notification of the session or the daemon).
    """

    kind: Literal["event", "answer", "caught_up", "restored", "notice"]
    data: Any


class Follower:
    """Follows one session.

    Attributes:
        cursor: the seq of the last event given; what a filter left out counts as given.
        epoch: of the session's log.
        head: the log's head when the subscription was made.
    """

    def __init__(self, link: Link, session_id: str, interrupts: Interrupts) -> None:
        self._link = link
        self._session_id = session_id
        self._interrupts = interrupts
        self._broken_batches = 0
        self._lost = False
        self._deltas: Deltas = "settled"
        self.cursor = 0
        self.epoch: str | None = None
        self.head = 0

    def begin(self, after: Literal["head"] | int, deltas: Deltas = "settled") -> None:
        """Subscribe for the first time.

        Args:
            after: the last seq the caller has, or `head` for what comes from now on.
            deltas: `settled` leaves out those of blocks that have ended already, `none` leaves out all; the
                end of a block has the whole.

        Raises:
            CallRefused: no such session, or no such place in its log.
        """
        self._deltas = deltas
        self._subscribe(after)

    def post(self, method: str, params: dict[str, Any]) -> int | None:
        """Send a call whose answer will be an arrival; None if the connection is lost just now."""
        if self._lost:
            return None
        try:
            return self._link.wire.post(method, params)
        except ConnectionLost:
            self._lost = True
            return None

    def wait(self, *others: int, timeout_s: float | None = None) -> set[int]:
        """Block until something arrived, somebody interrupts, or one of the other descriptors is readable.

        Args:
            others: descriptors.
            timeout_s: return then in any case; None: never.

        Returns:
            Which of the others are readable.
        """
        if self._lost or self._link.wire.holds_message():
            return set()
        readable, _, _ = select.select([self._link.wire, self._interrupts, *others], [], [], timeout_s)
        if self._interrupts in readable:
            self._interrupts.drain()
        if self._link.wire in readable:
            self._fill()
        return {item for item in readable if isinstance(item, int)}

    def arrivals(self) -> Iterator[Arrival]:
        """Give what arrived since; reconnects first if the connection was lost.

        Raises:
            Unreachable: no daemon came back in time.
            CallRefused: the log cannot be resumed at our cursor.
            Detached: the person left while no daemon was there.
        """
        try:
            while (message := self._link.wire.take()) is not None:
                yield from self._understand(message)
        except ConnectionLost:
            self._lost = True
        if self._lost:
            self._resume()
            yield Arrival("restored", self._link.server)

    def _fill(self) -> None:
        try:
            self._link.wire.fill(_READ_TIMEOUT_S)
        except ConnectionLost:
            self._lost = True

    def _resume(self) -> None:
        self._link.reconnect()
        self._subscribe(self.cursor)
        self._lost = False

    def _subscribe(self, after: Literal["head"] | int) -> None:
        params: dict[str, Any] = {"sessionId": self._session_id, "after": after, "deltas": self._deltas}
        if self.epoch is not None:
            params["epoch"] = self.epoch
        result = self._link.call("session/subscribe", params)
        self.epoch = result["epoch"]
        self.head = result["head"]
        self.cursor = self.head if after == "head" else after

    def _understand(self, message: dict[str, Any]) -> Iterator[Arrival]:
        params: dict[str, Any] = message.get("params") or {}
        match message.get("method"):
            case None:
                yield Arrival("answer", message)
            case "session/events" if self._is_ours(params):
                yield from self._batch(params)
            case "session/caughtUp" if self._is_ours(params):
                yield Arrival("caught_up", params["head"])
            case "session/lagged" | "session/events" | "session/caughtUp":
                return
            case "daemon/state":
                self._link.stopped_on_purpose = params.get("state") in ("draining", "stopping")
                yield Arrival("notice", message)
            case _:
                if params.get("sessionId") == self._session_id:
                    yield Arrival("notice", message)

    def _is_ours(self, params: dict[str, Any]) -> bool:
        return params.get("sessionId") == self._session_id and params.get("epoch") == self.epoch

    def _batch(self, params: dict[str, Any]) -> Iterator[Arrival]:
        if params["from"] > self.cursor + 1:
            self._broken_batches += 1
            if self._broken_batches > BROKEN_BATCHES_MAX:
                raise CommandFailed(f"the log has a gap after event {self.cursor}", kind="gap")
            raise ConnectionLost("a batch is missing")  # Begin again at our cursor, on a fresh connection.
        for event in params["events"]:
            if event["seq"] > self.cursor:
                self._broken_batches = 0
                self.cursor = event["seq"]
                yield Arrival("event", event)
        self.cursor = max(self.cursor, params["to"])
