"""Makes calls, whoever carries them. Knows no streams and no reconnecting.

`perform` is for whoever wants an answer; the lower half is for the keeper of the connection, who takes frames
and gives what comes back.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from holdfast_client.core.calls import Call, Calls
from holdfast_client.errors import ClientClosed, NoAnswer
from holdfast_protocol.connection import Connection
from holdfast_protocol.jsonrpc import Response
from holdfast_protocol.methods.connection import InitializeResult

CALL_TIMEOUT_S: Final = 120.0
"""An admission waits for the daemon's disk; more than this is a daemon that hangs."""

OUTSIDE: Final = "The client was left, or was never entered: use it inside its `with` block."


class Statistics(NamedTuple):
    """How a client stands with its daemon.

    Attributes:
        connections: how many there were, with the present one.
        in_flight: calls sent and not answered.
        waiting: calls not sent yet.
    """

    connections: int
    in_flight: int
    waiting: int


class Caller:
    """One client's calls. The keeper of its connection alone uses what stands below `connect`.

    Args:
        call_timeout_s: how long a call that is not a wait may take in all.
    """

    def __init__(self, call_timeout_s: float) -> None:
        self._call_timeout_s = call_timeout_s
        self._calls = Calls()
        self._closed = True  # Until `open`, and after `close`.
        self._usable = anyio.Event()  # Set while calls pass, and when they never will; else replaced.
        self._to_send = anyio.Event()  # There may be frames to take.
        self._sent = anyio.Event()  # What there was to send has been, or its connection is gone.
        self._wanted = anyio.Event()  # Somebody called since `gave_up`.

    @property
    def connected(self) -> bool:
        """Whether calls pass now."""
        return self._usable.is_set() and not self._closed

    @property
    def number(self) -> int:
        """The number of the present connection."""
        return self._calls.connection_number

    async def wait_connected(self) -> None:
        """Wait until calls pass. Does not make anybody try anew to connect.

        Raises:
            ClientClosed: they never will.
        """
        if not self._closed:
            await self._usable.wait()
        if self._closed:
            raise ClientClosed(OUTSIDE)

    def statistics(self) -> Statistics:
        """Count connections and calls."""
        return Statistics(self._calls.connection_number, self._calls.in_flight, self._calls.waiting)

    async def perform(
        self,
        method: str,
        params: Any,
        *,
        bound_to: int | None = None,
        early: bool = False,
        on_result: Callable[[msgspec.Raw], None] | None = None,
        timeout_s: float | None = None,
    ) -> msgspec.Raw:
        """Make a call and give its encoded result.

        Args:
            method: as on the wire.
            params: a Struct or plain JSON.
            bound_to: the connection it belongs to; see `Call`.
            early: it is part of making a new connection usable.
            on_result: called with the result before any later message is looked at.
            timeout_s: in all, reconnecting included; None: as configured, and for waits without a bound.

        Raises:
            RpcError: the daemon refused it.
            ConnectionLost: it could not be made, or was not answered.
            NoAnswer: not in time.
            ClientClosed: the client was left.
        """
        done = anyio.Event()

        def ended(call: Call) -> None:
            if on_result is not None and isinstance(call.outcome, msgspec.Raw):
                on_result(call.outcome)
            done.set()

        call = Call(method, params, ended, bound_to=bound_to, early=early)
        if timeout_s is None:
            timeout_s = None if call.is_wait else self._call_timeout_s
        with anyio.move_on_after(timeout_s):
            await self._end_of(call, done)
        if not done.is_set():
            raise NoAnswer(method, timeout_s or 0)
        if isinstance(call.outcome, Exception):
            raise call.outcome
        assert call.outcome is not None
        return call.outcome

    async def notify(self, method: str, params: Any) -> None:
        """Send a notification on the present connection.

        Raises:
            ConnectionLost: there is none.
        """
        self._calls.notify(method, params)
        self._to_send.set()
        await self._sent.wait()

    def post(self, call: Call) -> None:
        """Add a call nobody waits for; its `on_end` is told."""
        self._calls.add(call)
        self._to_send.set()

    async def _end_of(self, call: Call, done: anyio.Event) -> None:
        if self._closed:
            raise ClientClosed(OUTSIDE)
        self.post(call)
        self._wanted.set()
        try:
            await done.wait()
        finally:
            if not done.is_set():
                self._calls.withdraw(call)
                self._to_send.set()

    # For the keeper ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take calls."""
        self._closed = False

    def close(self) -> None:
        """Take no calls any more, and end those there are."""
        self._closed = True
        self.disconnect()
        self._calls.fail(lambda _call: ClientClosed(OUTSIDE))
        self._usable.set()  # Who waits for it learns that it is over.

    def connect(self, connection: Connection, hello: InitializeResult) -> None:
        """Go on with a new connection: early calls only, until `release`."""
        self._calls.connect(
            connection,
            instance_id=hello.server.instance_id,
            message_bytes_max=hello.limits.message_bytes_max,
            in_flight_max=hello.limits.requests_in_flight_max,
        )

    def release(self) -> None:
        """Let all calls pass."""
        self._calls.release()
        self._usable.set()
        self._to_send.set()

    def disconnect(self) -> None:
        """The connection is gone."""
        if self._usable.is_set():  # Else who waits for it goes on waiting.
            self._usable = anyio.Event()
        self._calls.disconnect()
        self._all_sent()

    def gave_up(self, why: Callable[[Call], Exception]) -> None:
        """No connection came in time: end the calls that wait."""
        self._wanted = anyio.Event()
        self._calls.fail(why)

    async def wanted(self) -> None:
        """Wait until somebody calls, although it was given up."""
        await self._wanted.wait()

    async def next_frames(self) -> list[bytes]:
        """Wait for something to send, and give it, one message each; what was given before is sent."""
        self._all_sent()
        while True:
            self._to_send = anyio.Event()
            frames = self._calls.take_frames()
            if frames:
                return frames
            await self._to_send.wait()

    def receive(self, response: Response) -> None:
        """Take an answer."""
        self._calls.receive(response)
        self._to_send.set()  # There may be room for a call that waits.

    def _all_sent(self) -> None:
        self._sent.set()
        self._sent = anyio.Event()
