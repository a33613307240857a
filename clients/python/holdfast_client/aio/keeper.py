"""Keeps one connection to the daemon, over as many as it takes. Knows no sessions.

    open        the first connection; its errors are the caller's
    run         serve it; when it is lost, make another, with full jitter between the tries

For `give_up_s` after a loss calls wait; then they end with `ConnectionLost`, and the next call tries anew.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import anyio
import msgspec

from holdfast_client.aio.caller import OUTSIDE, Caller
from holdfast_client.aio.link import HANDSHAKE_TIMEOUT_S, SIDECAR_HANDSHAKE_TIMEOUT_S, Link, LinkLost
from holdfast_client.aio.routes import Dialled, Route
from holdfast_client.aio.sidecar import Child
from holdfast_client.core.back_off import BackOff
from holdfast_client.core.calls import Call
from holdfast_client.core.requirement import Requirement
from holdfast_client.errors import (
    ClientClosed,
    ClientError,
    ConnectionLost,
    DaemonNotRunning,
    DaemonUnreachable,
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

_Refused = (AuthRequired, UnsupportedVersion, VersionMismatch)


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
        caller: has the calls to carry.
        route: the way to the daemon; closed with the keeper.
        hello: what we say about ourselves, without the token.
        require: the daemon's version; None for any.
        give_up_s: how long calls wait for a lost daemon.

    Attributes:
        stopped_on_purpose: the daemon said that it stops; it is not started again against a person's will.
    """

    def __init__(
        self,
        caller: Caller,
        route: Route,
        hello: InitializeParams,
        *,
        require: Requirement | None,
        give_up_s: float,
    ) -> None:
        self.stopped_on_purpose = False
        self._caller = caller
        self._route = route
        self._hello = hello
        self._require = require
        self._give_up_s = give_up_s
        self._listener: Listener | None = None
        self._back_off = BackOff(random.random)
        self._link: Link | None = None  # The present one, or the last.

    @property
    def server(self) -> InitializeResult:
        """What the daemon of the present, or last, connection said about itself.

        Raises:
            ClientClosed: there was no connection yet.
        """
        if self._link is None or self._link.hello is None:
            raise ClientClosed(OUTSIDE)
        return self._link.hello

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
        self._caller.open()
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
            self._caller.close()

    async def aclose(self) -> None:
        """End the connection `open` made, and what the route started. `run` has ended, or never began."""
        self._caller.close()
        if self._link is not None:
            await self._link.aclose()
        await self._route.aclose()

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
        self._caller.gave_up(why)

    async def _try_again_later(self) -> Link | None:
        """After giving up: try anew as soon as somebody calls, and now and then if nobody does."""
        with anyio.move_on_after(TRY_AGAIN_S * (0.5 + random.random())) as nobody:  # noqa: S311 - spreads clients
            await self._caller.wanted()
        if not nobody.cancelled_caught:
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
        self._caller.connect(link.connection, link.hello)
        try:
            async with anyio.create_task_group() as tasks:
                for part in (self._write, self._restore):
                    tasks.start_soon(self._until_lost, part, link, tasks.cancel_scope)
                if isinstance(link.stream, Child):
                    tasks.start_soon(link.stream.listen_to_complaints)
                await self._until_lost(self._read, link, tasks.cancel_scope)
        finally:
            self._caller.disconnect()
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
            self._caller.receive(message)
        elif isinstance(message, Notification):
            self._listener.notified(message)

    async def _write(self, link: Link) -> None:
        while True:
            for frame in await self._caller.next_frames():
                await link.send(frame)

    async def _restore(self, link: Link) -> None:
        del link
        assert self._listener is not None
        await self._listener.restore(self._caller.number)
        self._back_off.reset()
        self._caller.release()
