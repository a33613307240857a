"""Keeps one connection to the daemon, over as many as it takes. Knows no sessions.

    open        the first connection; its errors are the caller's
    run         serve it; when it is lost, make another, with full jitter between the tries
    perform     a call, made as often as it must be

For `give_up_s` after a loss calls wait; then they end with `ConnectionLost`, and the next call tries anew.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

import anyio
import msgspec

from holdfast_client.aio.link import HANDSHAKE_TIMEOUT_S, SIDECAR_HANDSHAKE_TIMEOUT_S, Link, LinkLost
from holdfast_client.aio.routes import Dialled, Route
from holdfast_client.aio.sidecar import Child
from holdfast_client.core.back_off import BackOff
from holdfast_client.core.calls import Call, Calls
from holdfast_client.core.requirement import Requirement
from holdfast_client.errors import (
    ClientClosed,
    ClientError,
    ConnectionLost,
    DaemonNotRunning,
    DaemonUnreachable,
    NoAnswer,
    VersionMismatch,
)
from holdfast_protocol.errors import AuthRequired, RpcError, UnsupportedVersion
from holdfast_protocol.jsonrpc import Notification, Response
from holdfast_protocol.methods.connection import InitializeParams, InitializeResult

_logger = logging.getLogger(__name__)

GIVE_UP_S: Final = 30.0
"""Time for a supervisor to restart a daemon, and for one that recovers much to answer."""

TRY_AGAIN_S: Final = 5.0
"""How often to look for a daemon nobody waits for any more: who hosts tools or answers only wants it back."""

CALL_TIMEOUT_S: Final = 120.0
"""An admission waits for the daemon's disk; more than this is a daemon that hangs."""

_OUTSIDE: Final = "The client was left, or was never entered: use it inside its `with` block."

_Refused = (AuthRequired, UnsupportedVersion, VersionMismatch)


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


class Listener(Protocol):
    """What is told of connections. No method may raise; only `restore` may wait."""

    async def restore(self, number: int) -> None:
        """A connection stands: make it what the one before was. Calls of others wait until this returns."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...

    def notified(self, notification: Notification) -> None:
        """The daemon notified us. `params` is `msgspec.Raw`."""
        ...


class Keeper:
    """One client's connection. One owner, who runs it in a task of its own.

    Args:
        route: the way to the daemon; closed with the keeper.
        hello: what we say about ourselves, without the token.
        require: the daemon's version; None for any.
        give_up_s: how long calls wait for a lost daemon.
        call_timeout_s: how long a call that is not a wait may take in all.
        listener: told of connections; set before `open`.

    Attributes:
        stopped_on_purpose: the daemon said that it stops; it is not started again against a person's will.
    """

    def __init__(
        self,
        route: Route,
        hello: InitializeParams,
        *,
        require: Requirement | None,
        give_up_s: float,
        call_timeout_s: float,
    ) -> None:
        self.stopped_on_purpose = False
        self._route = route
        self._hello = hello
        self._require = require
        self._give_up_s = give_up_s
        self._call_timeout_s = call_timeout_s
        self._listener: Listener | None = None
        self._calls = Calls()
        self._back_off = BackOff(random.random)
        self._link: Link | None = None
        self._usable = anyio.Event()  # Set while calls pass; replaced when the connection is lost.
        self._to_send = anyio.Event()  # There may be frames to take.
        self._sent = anyio.Event()  # What there was to send has been, or its connection is gone.
        self._wanted = anyio.Event()  # Somebody calls although we gave up.
        self._gave_up: Exception | None = None  # Why; None while we try.
        self._closed = True  # Until `open`, and after `run`.

    # State ---------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether calls pass now."""
        return self._usable.is_set()

    @property
    def server(self) -> InitializeResult:
        """What the daemon of the present, or last, connection said about itself.

        Raises:
            ClientClosed: there was no connection yet.
        """
        if self._link is None or self._link.hello is None:
            raise ClientClosed(_OUTSIDE)
        return self._link.hello

    @property
    def number(self) -> int:
        """The number of the present connection."""
        return self._calls.connection_number

    async def wait_connected(self) -> None:
        """Wait until calls pass. Does not make the keeper try anew once it gave up."""
        await self._usable.wait()

    def statistics(self) -> Statistics:
        """Count connections and calls."""
        return Statistics(self._calls.connection_number, self._calls.in_flight, self._calls.waiting)

    # Calls ---------------------------------------------------------------------------------------------

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
            early: part of `Listener.restore`.
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
            raise ClientClosed(_OUTSIDE)
        self._calls.add(call)
        self._to_send.set()
        self._wanted.set()
        try:
            await done.wait()
        finally:
            if not done.is_set():
                self._calls.withdraw(call)
                self._to_send.set()

    # Connections ---------------------------------------------------------------------------------------

    async def open(self) -> InitializeResult:
        """Connect for the first time; start a daemon if there is none and the route may.

        Raises:
            DaemonNotRunning, DaemonUnreachable, AuthRequired, UnsupportedVersion, VersionMismatch.
        """
        try:
            self._link = await self._connect(start=False)
        except DaemonNotRunning:
            if not self._route.may_start:
                raise
            self._link = await self._connect(start=True)
        self._closed = False
        return self.server

    async def run(self, listener: Listener) -> None:
        """Serve the connection `open` made, and those that follow it, until cancelled."""
        assert self._link is not None, "Open it first."
        self._listener = listener
        link = self._link
        try:
            while True:
                await self._serve(link)
                found = await self._reconnect()
                while found is None:
                    found = await self._try_again_later()
                link = found
        finally:
            self._close()

    async def aclose(self) -> None:
        """End the connection `open` made, and what the route started. `run` has ended, or never began."""
        self._close()
        if self._link is not None:
            await self._link.aclose()
        await self._route.aclose()

    def _close(self) -> None:
        self._closed = True
        self._usable = anyio.Event()
        self._calls.disconnect()
        self._calls.fail(lambda _call: ClientClosed(_OUTSIDE))

    async def _connect(self, *, start: bool) -> Link:
        """Dial and shake hands; once more if the daemon was replaced after we had read its token."""
        dialled = await self._route.dial(start=start)
        try:
            return await self._shake_hands(dialled)
        except AuthRequired:
            if dialled.token is None:
                raise
            renewed = await self._route.dial(start=False)
            if renewed.token == dialled.token:
                await renewed.stream.aclose()
                raise
        return await self._shake_hands(renewed)

    async def _shake_hands(self, dialled: Dialled) -> Link:
        link = Link(dialled.stream)
        child = dialled.stream if isinstance(dialled.stream, Child) else None
        hello = msgspec.structs.replace(self._hello, token=dialled.token)
        try:
            if child is None:
                await link.initialize(hello, self._require, HANDSHAKE_TIMEOUT_S)
            else:
                await self._initialize_child(link, hello, child)
        except BaseException:
            await link.aclose()
            raise
        return link

    async def _initialize_child(self, link: Link, hello: InitializeParams, child: Child) -> None:
        """Shake hands with a daemon that is only starting, listening to its complaints meanwhile."""
        refusal: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.listen_to_complaints)
            try:
                await link.initialize(hello, self._require, SIDECAR_HANDSHAKE_TIMEOUT_S)
            except (ClientError, RpcError) as error:
                refusal = error  # Raised below, so that it does not come out in a group.
            tasks.cancel_scope.cancel()
        if isinstance(refusal, DaemonNotRunning):
            raise DaemonUnreachable(await child.explain_end()) from refusal
        if refusal is not None:
            raise refusal

    async def _reconnect(self) -> Link | None:
        """Make another connection; None if none came in time: then the calls that wait have ended."""
        lost_at = anyio.current_time()
        error: Exception = DaemonNotRunning("No daemon answers.")
        with anyio.move_on_after(self._give_up_s):
            while True:
                await anyio.sleep(self._back_off.next_s())
                try:
                    self._link = await self._connect(
                        start=self._may_start_after(anyio.current_time() - lost_at)
                    )
                except VersionMismatch as mismatch:
                    error = mismatch
                    break
                except (DaemonNotRunning, DaemonUnreachable, RpcError) as failure:
                    error = failure
                else:
                    self.stopped_on_purpose = False
                    return self._link
        self._give_up(error)
        return None

    def _may_start_after(self, away_s: float) -> bool:
        long_enough = away_s >= self._route.start_after_s
        return self._route.may_start and long_enough and not self.stopped_on_purpose

    def _give_up(self, error: Exception) -> None:
        def why(call: Call) -> Exception:
            if isinstance(error, _Refused):
                return error
            lost = ConnectionLost(
                f"The connection was lost, and no daemon came back within {self._give_up_s:g} s: {error}",
                call.method,
                maybe_done=bool(call.sent_to),
            )
            lost.__cause__ = error
            return lost

        _logger.warning("gave up connecting: %s", error)
        self._calls.fail(why)

    async def _try_again_later(self) -> Link | None:
        """After giving up: try anew as soon as somebody calls, and now and then if nobody does."""
        self._wanted = anyio.Event()
        with anyio.move_on_after(TRY_AGAIN_S * (0.5 + random.random())):  # noqa: S311 - spreads clients
            await self._wanted.wait()
        if self._wanted.is_set():
            self.stopped_on_purpose = False  # Whoever calls now wants a daemon.
            self._back_off.reset()
            return await self._reconnect()
        try:
            self._link = await self._connect(start=False)
        except (DaemonNotRunning, DaemonUnreachable, RpcError):
            return None
        return self._link

    # Serving -------------------------------------------------------------------------------------------

    async def _serve(self, link: Link) -> None:
        """Serve one connection to its end."""
        assert self._listener is not None
        assert link.hello is not None
        limits = link.hello.limits
        self._calls.connect(
            link.connection,
            instance_id=link.hello.server.instance_id,
            message_bytes_max=limits.message_bytes_max,
            in_flight_max=limits.requests_in_flight_max,
        )
        try:
            async with anyio.create_task_group() as tasks:
                for part in (self._write, self._restore):
                    tasks.start_soon(self._until_lost, part, link, tasks.cancel_scope)
                if isinstance(link.stream, Child):
                    tasks.start_soon(link.stream.listen_to_complaints)
                await self._until_lost(self._read, link, tasks.cancel_scope)
        finally:
            self._usable = anyio.Event()
            self._calls.disconnect()
            self._all_sent()
            self._listener.lost()
            await link.aclose()

    async def _until_lost(
        self, part: Callable[[Link], Awaitable[None]], link: Link, scope: anyio.CancelScope
    ) -> None:
        """Run a part of a connection; its loss ends all parts."""
        try:
            await part(link)
        except LinkLost as lost:
            _logger.info("connection lost: %s", lost)
            scope.cancel()

    async def _read(self, link: Link) -> None:
        messages = link.take_early()  # What came together with the answer to `initialize`.
        while True:
            for message in messages:
                self._take(message)
            messages = await link.receive()

    def _take(self, message: Any) -> None:
        assert self._listener is not None
        if isinstance(message, Response):
            self._calls.receive(message)
            self._to_send.set()  # There may be room for a call that waits.
        elif isinstance(message, Notification):
            self._listener.notified(message)

    async def _write(self, link: Link) -> None:
        while True:
            self._to_send = anyio.Event()
            for frame in self._calls.take_frames():
                await link.send(frame)
            self._all_sent()
            await self._to_send.wait()

    def _all_sent(self) -> None:
        self._sent.set()
        self._sent = anyio.Event()

    async def _restore(self, link: Link) -> None:
        del link
        assert self._listener is not None
        await self._listener.restore(self.number)
        self._back_off.reset()
        self._calls.release()
        self._usable.set()
        self._to_send.set()
