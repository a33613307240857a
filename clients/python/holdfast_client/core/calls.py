"""What one client has asked and was not answered, over as many connections as it takes. No I/O, no tasks.

    calls.add(call)                   asked
    calls.take_frames()               what may be sent now
    calls.receive(response)           what came back
    calls.disconnect()                the connection is gone
    calls.connect(connection, …)      here is another: what may be asked twice is, in the order it was asked

A connection may have a limited number of calls in flight; the rest wait here. Calls that wait for long by
nature (`session/wait`) get at most half of the places, so that they cannot hold up all others.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from holdfast_client.core.resend import may_resend
from holdfast_client.errors import ConnectionLost
from holdfast_protocol import jsonrpc
from holdfast_protocol.connection import URGENT_METHODS, Connection
from holdfast_protocol.errors import RpcError, TooLarge, from_object
from holdfast_protocol.jsonrpc import Id, InvalidMessage, Response

DEATHS_MAX: Final = 3
"""Daemons that may end while they have a call: then it is given up, for it may be what ends them."""

_WAITS: Final = frozenset({"session/wait"})

_URGENT_PLACES: Final = 4
"""Places left free for calls that are served before all others; they are answered at once."""

_ENVELOPE_BYTES: Final = 64

Outcome = msgspec.Raw | Exception

_encode = msgspec.json.Encoder().encode


class Call:
    """One call, from its being made to its end.

    Args:
        method: as on the wire.
        params: a Struct or plain JSON; encoded once, so that it is the same whenever it is sent.
        on_end: called once, with the call, when `outcome` is set. Must not raise and not wait.
        bound_to: the number of the connection it belongs to; it ends with that one. None: to none.
        early: it is sent before the client is said to be connected: part of making the connection usable.

    Attributes:
        body: the encoded params.
        outcome: the encoded result, or why there is none; None until then.
        sent_to: the daemon it was sent to last.
        deaths: how many daemons ended while they had it.
        serial: its place in the order of calls.

    Raises:
        TypeError: the params are no JSON.
    """

    __slots__ = (
        "body",
        "bound_to",
        "deaths",
        "early",
        "method",
        "on_end",
        "outcome",
        "params",
        "sent_to",
        "serial",
    )

    def __init__(
        self,
        method: str,
        params: Any,
        on_end: Callable[["Call"], None],
        *,
        bound_to: int | None = None,
        early: bool = False,
    ) -> None:
        self.method = method
        self.params = params
        self.body = msgspec.Raw(_encode(params))
        self.on_end = on_end
        self.bound_to = bound_to
        self.early = early
        self.outcome: Outcome | None = None
        self.sent_to: str | None = None
        self.deaths = 0
        self.serial = 0

    @property
    def is_wait(self) -> bool:
        """Whether it may take long without anything being wrong."""
        return self.method in _WAITS

    @property
    def may_resend(self) -> bool:
        """Whether it goes on over another connection."""
        return self.bound_to is None and may_resend(self.method, self.params)

    def end(self, outcome: Outcome) -> None:
        """Set the outcome, once."""
        if self.outcome is None:
            self.outcome = outcome
            self.on_end(self)


class _Lane:
    """Calls that share a number of places in flight; the first to come is the first to be sent."""

    def __init__(self) -> None:
        self.places = 0
        self.taken = 0
        self.waiting: deque[Call] = deque()

    def take(self) -> Call | None:
        if not self.waiting or self.taken >= self.places:
            return None
        self.taken += 1
        return self.waiting.popleft()


class Calls:
    """The unanswered calls of one client. One owner.

    Attributes:
        connection_number: counts connections, from 1; 0 before the first.
    """

    def __init__(self) -> None:
        self.connection_number = 0
        self._connection: Connection | None = None
        self._instance_id = ""
        self._usable = False  # Between `release` and `disconnect`: all calls may be sent.
        self._message_bytes_max = 0
        self._serial = 0
        self._short, self._long = _Lane(), _Lane()
        self._now: deque[Call] = deque()  # Urgent and early ones: not counted, sent before all others.
        self._in_flight: dict[Id, tuple[Call, _Lane | None]] = {}
        self._notifications: deque[bytes] = deque()

    @property
    def in_flight(self) -> int:
        """How many calls were sent on this connection and are not answered."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """How many calls were not sent yet."""
        return len(self._short.waiting) + len(self._long.waiting) + len(self._now)

    def add(self, call: Call) -> None:
        """Take a call; it ends at once if the connection it is bound to is gone."""
        self._serial += 1
        call.serial = self._serial
        if call.bound_to is not None and (
            self._connection is None or call.bound_to != self.connection_number
        ):
            call.end(_lost(call))
        else:
            self._queue_of(call).append(call)

    def withdraw(self, call: Call) -> None:
        """Let go of a call nobody waits for any more: not sent if it was not, cancelled if it was."""
        queue = self._queue_of(call)
        if call in queue:
            queue.remove(call)
        for call_id, (sent, _lane) in self._in_flight.items():
            if sent is call and self._connection is not None:
                self._notifications.append(self._connection.notify("$/cancelRequest", {"id": call_id}))
        call.outcome = call.outcome or ConnectionLost("The caller left.", call.method)

    def notify(self, method: str, params: Any) -> None:
        """Send a notification on the present connection.

        Raises:
            ConnectionLost: there is none.
        """
        if self._connection is None:
            raise ConnectionLost("There is no connection to send a notification on.", method)
        self._notifications.append(self._connection.notify(method, params))

    # Connections ---------------------------------------------------------------------------------------

    def connect(
        self, connection: Connection, *, instance_id: str, message_bytes_max: int, in_flight_max: int
    ) -> int:
        """Go on with a new, initialized connection: early calls only, until `release`; give its number.

        Args:
            connection: it replaces the one before, which was disconnected.
            instance_id: of the daemon.
            message_bytes_max: the largest message the daemon takes.
            in_flight_max: how many calls it takes at once.
        """
        assert self._connection is None
        self.connection_number += 1
        self._connection = connection
        if instance_id != self._instance_id:
            self._count_deaths(self._instance_id)
            self._instance_id = instance_id
        self._message_bytes_max = message_bytes_max
        places = max(2, in_flight_max - _URGENT_PLACES)
        self._long.places = places // 2
        self._short.places = places - self._long.places
        return self.connection_number

    def release(self) -> None:
        """Let all calls pass: the connection is what the one before was."""
        self._usable = self._connection is not None

    def disconnect(self) -> None:
        """The connection is gone: keep what may be sent again, in its order, and end the rest."""
        self._connection = None
        self._usable = False
        self._notifications.clear()
        sent = [call for call, _lane in self._in_flight.values()]
        self._in_flight.clear()
        for queue in (self._short.waiting, self._long.waiting, self._now):
            self._keep(queue, [call for call in sent if self._queue_of(call) is queue])
        self._short.taken = self._long.taken = 0

    def fail(self, why: Callable[[Call], Exception]) -> None:
        """End every call that waits: no connection came in time.

        Args:
            why: gives a call's error.
        """
        for queue in (self._short.waiting, self._long.waiting, self._now):
            while queue:
                call = queue.popleft()
                call.end(why(call))

    def _count_deaths(self, instance_id: str) -> None:
        """A daemon has ended: give up calls that several of them did not survive."""
        for queue in (self._short.waiting, self._long.waiting, self._now):
            for call in list(queue):
                call.deaths += call.sent_to == instance_id and not call.is_wait
                if call.deaths >= DEATHS_MAX:
                    queue.remove(call)
                    call.end(_lost(call))

    def _keep(self, queue: deque[Call], sent: list[Call]) -> None:
        """Put the calls that were sent back before those that were not."""
        kept: list[Call] = []
        for call in sorted([*sent, *queue], key=lambda call: call.serial):
            if call.outcome is not None:
                continue
            if call.bound_to is not None or (call.sent_to and not call.may_resend):
                call.end(_lost(call))
            else:
                kept.append(call)
        queue.clear()
        queue.extend(kept)

    # Messages ------------------------------------------------------------------------------------------

    def take_frames(self) -> list[bytes]:
        """Give what may be sent now, framed, one message each, in order."""
        frames = list(self._notifications)
        self._notifications.clear()
        if self._connection is None:
            return frames
        # In the order in which they were made, urgent ones too: who prompts and cancels in one breath means
        # that prompt. Overtaken are only calls that have no place.
        while ready := sorted(self._take_ready(), key=lambda item: item[0].serial):
            for call, lane in ready:  # One that is too large to be sent leaves its place to another.
                frames += self._send(call, lane)
        return frames

    def _take_ready(self) -> Iterator[tuple[Call, _Lane | None]]:
        """Take the calls that may be sent now, and whose place each has; urgent ones need none."""
        for call in [call for call in self._now if self._usable or call.early]:
            self._now.remove(call)
            yield call, None
        if self._usable:
            for lane in (self._short, self._long):
                while (call := lane.take()) is not None:
                    yield call, lane

    def receive(self, response: Response) -> None:
        """Take the daemon's answer to a call."""
        if response.id is None:
            self._find_refused()
            return
        call, lane = self._in_flight.pop(response.id, (None, None))
        if call is None:
            return
        if lane is not None:
            lane.taken -= 1
        call.end(from_object(response.error) if response.error is not None else response.result)

    def _send(self, call: Call, lane: _Lane | None) -> list[bytes]:
        """Give a call's frame, or none if the daemon would not even read it."""
        assert self._connection is not None
        limit = self._message_bytes_max
        if len(bytes(call.body)) + len(call.method) + _ENVELOPE_BYTES > limit:
            if lane is not None:
                lane.taken -= 1
            message = f"A message is at most {limit} bytes."
            call.end(TooLarge(message, limit="message_bytes_max", limit_value=limit))
            return []
        call_id, frame = self._connection.request(call.method, call.body)
        call.sent_to = self._instance_id
        self._in_flight[call_id] = (call, lane)
        return [frame]

    def _find_refused(self) -> None:
        """The daemon could not read one of our calls, and so not its id: find out which, and end it."""
        for call_id, (call, lane) in list(self._in_flight.items()):
            refusal = _refusal(call_id, call)
            if refusal is not None:
                del self._in_flight[call_id]
                if lane is not None:
                    lane.taken -= 1
                call.end(refusal)

    def _queue_of(self, call: Call) -> deque[Call]:
        if call.early or call.method in URGENT_METHODS:
            return self._now
        return self._long.waiting if call.is_wait else self._short.waiting


def _refusal(call_id: Id, call: Call) -> RpcError | None:
    try:
        jsonrpc.decode(jsonrpc.encode_request(call_id, call.method, call.body))
    except InvalidMessage as invalid:
        return invalid.error
    return None


def _lost(call: Call) -> ConnectionLost:
    if call.sent_to:
        message = f"The connection was lost before {call.method} was answered."
    else:
        message = f"The connection was lost before {call.method} was sent."
    return ConnectionLost(message, call.method, maybe_done=bool(call.sent_to))
