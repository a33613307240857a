"""Connections and the parts that serve them: who is connected, as what, and how many may be."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from anyio.abc import TaskGroup

from holdfast_daemon.config import NetLimits
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.methods.dispatcher import Dispatcher
from holdfast_daemon.methods.services import Caller, Reply
from holdfast_daemon.net.auth import Principal, Tokens
from holdfast_daemon.net.listener import is_same_user
from holdfast_daemon.net.peer import Answer, Peer
from holdfast_protocol.capabilities import Role
from holdfast_protocol.errors import MethodNotFound
from holdfast_protocol.framing import Framing
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.daemon import NetStatistics

if TYPE_CHECKING:  # They bring the `websockets` library in; only a daemon that listens there loads it.
    from holdfast_daemon.net.upgrade import Gatekeeper
    from holdfast_daemon.net.websocket import WebSocket

_logger = logging.getLogger(__name__)

_WRITES: Final = frozenset(name for name, row in CALLS.items() if row.role != "observer")


class Server:
    """All connections of the daemon. Implements `net.peer.Service`.

    Args:
        dispatcher: answers requests.
        hub: told of connections that come, go and read again.
        tokens: who may speak.
        limits: of connections.
        tasks: where calls run.
        on_lost: told of an initialized connection that is gone.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        hub: Hub,
        tokens: Tokens,
        limits: NetLimits,
        tasks: TaskGroup,
        on_lost: Callable[[Peer], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._tokens = tokens
        self._limits = limits
        self._tasks = tasks
        self._on_lost = on_lost
        self._peers: set[Peer] = set()
        self._callers: dict[Peer, Caller] = {}
        self._websockets: set[WebSocket] = set()
        self._accepted = self._refused = self._requests = 0

    # Connections ---------------------------------------------------------------------------------------

    def admit(self, connected: socket.socket) -> None:
        """Take an accepted socket, or close it: foreign user, or too many connections."""
        if self._has_room() and is_same_user(connected):
            # Counted from here on, not from its task's first turn: many may be admitted in one turn.
            self._tasks.start_soon(self._adopt, self.peer(), connected)
        else:
            self._refuse(connected)

    def admit_websocket(self, gatekeeper: "Gatekeeper", connected: socket.socket) -> None:
        """Take an accepted socket that is to become a WebSocket, or close it."""
        if self._has_room():
            self._tasks.start_soon(self._adopt_websocket, self._websocket(gatekeeper), connected)
        else:
            self._refuse(connected)

    def _has_room(self) -> bool:
        unauthenticated = self._unauthenticated
        total = len(self._callers) + unauthenticated
        return total < self._limits.connections_max and unauthenticated < self._limits.unauthenticated_max

    @property
    def _unauthenticated(self) -> int:
        return len(self._peers) - len(self._callers) + sum(not ws.upgraded for ws in self._websockets)

    def _refuse(self, connected: socket.socket) -> None:
        self._refused += 1
        connected.close()

    def peer(self, principal: Principal | None = None, framing: Framing | None = None) -> Peer:
        """Make a peer for a transport; one that says by itself who is there needs no token."""
        peer = Peer(self, self._tasks, self._limits, principal, framing)
        self._peers.add(peer)
        self._accepted += 1
        return peer

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._peers)

    def close_token(self, token_id: str) -> int:
        """Close the connections of a token that was revoked; give their number."""
        theirs = [peer for peer in self._peers if peer.principal and peer.principal.token_id == token_id]
        for peer in theirs:
            peer.abort()
        return len(theirs)

    def close_all(self) -> None:
        """Close every connection after what is buffered for it."""
        for peer in list(self._peers):
            peer.close()

    async def gone(self) -> None:
        """Wait until every connection is closed."""
        for peer in list(self._peers):
            await peer.lost.wait()

    def statistics(self) -> NetStatistics:
        """Count connections and requests."""
        return NetStatistics(
            connections=len(self._peers),
            unauthenticated=self._unauthenticated,
            accepted=self._accepted,
            refused=self._refused,
            requests=self._requests + sum(peer.requests for peer in self._peers),
        )

    async def _adopt(self, peer: Peer, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: peer, connected)
        except OSError as error:  # It was closed meanwhile.
            _logger.debug("connection lost before it began: %s", error)
            self._peers.discard(peer)
            connected.close()

    def _websocket(self, gatekeeper: "Gatekeeper") -> "WebSocket":
        from holdfast_daemon.net.websocket import WebSocket  # noqa: PLC0415 - loaded on first use

        websocket = WebSocket(
            gatekeeper,
            lambda principal: self.peer(principal, Framing.MESSAGES),
            self._limits,
            self._websockets.discard,
        )
        self._websockets.add(websocket)
        return websocket

    async def _adopt_websocket(self, websocket: "WebSocket", connected: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: websocket, connected)
        except OSError as error:  # It was closed meanwhile.
            _logger.debug("connection lost before it began: %s", error)
            self._websockets.discard(websocket)
            connected.close()

    # Service -------------------------------------------------------------------------------------------

    def opened(self, peer: Peer, params: Any) -> Any:
        """Answer `initialize`."""
        principal = peer.principal

        def role_of(token: str | None) -> Role:
            nonlocal principal
            if principal is None or token is not None:
                principal = self._tokens.principal_of(token)
            return principal.role

        decoded, result = self._dispatcher.initialize(params, role_of)
        peer.principal = principal
        self._callers[peer] = Caller(
            client_id=decoded.client.id,
            role=result.role,
            capabilities=decoded.capabilities,
            outlet=peer,
        )
        self._hub.attach(peer)
        return result

    def immediate(self, peer: Peer, method: str, params: Any) -> Any | None:
        """Answer an urgent call."""
        return self._dispatcher.immediate(self._callers[peer], method, params)

    async def call(self, peer: Peer, method: str, params: Any) -> Answer:
        """Answer any other call."""
        caller = self._callers.get(peer)
        if caller is None:  # Lost between reading and serving.
            raise MethodNotFound("The connection is gone.")
        reply = await self._dispatcher.call(caller, method, params)
        return Answer(reply.result, reply.after) if isinstance(reply, Reply) else Answer(reply)

    def survives(self, method: str) -> bool:
        """Tell whether a call goes on without its connection: what changes something does."""
        return method in _WRITES

    def resumed(self, peer: Peer) -> None:
        """Go on with what waits for this connection."""
        self._hub.resume(peer)

    def closed(self, peer: Peer) -> None:
        """Forget a lost connection; its runs go on."""
        self._requests += peer.requests
        self._peers.discard(peer)
        if self._callers.pop(peer, None) is not None:
            self._hub.detach(peer)
            self._on_lost(peer)
