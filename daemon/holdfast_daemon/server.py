"""Connections and the parts that serve them: who is connected, as what, and how many may be."""

import asyncio
import logging
import socket
from typing import Any, Final

from anyio.abc import TaskGroup

from holdfast_daemon.config import NetLimits
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.methods.dispatcher import Dispatcher
from holdfast_daemon.methods.services import Caller, Reply
from holdfast_daemon.net.auth import Tokens
from holdfast_daemon.net.listener import is_same_user
from holdfast_daemon.net.peer import Answer, Peer
from holdfast_protocol.capabilities import Role
from holdfast_protocol.errors import MethodNotFound
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.daemon import NetStatistics

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
    """

    def __init__(
        self, dispatcher: Dispatcher, hub: Hub, tokens: Tokens, limits: NetLimits, tasks: TaskGroup
    ) -> None:
        self._dispatcher = dispatcher
        self._hub = hub
        self._tokens = tokens
        self._limits = limits
        self._tasks = tasks
        self._peers: set[Peer] = set()
        self._callers: dict[Peer, Caller] = {}
        self._accepted = self._refused = self._requests = 0

    # Connections ---------------------------------------------------------------------------------------

    def admit(self, connected: socket.socket) -> None:
        """Take an accepted socket, or close it: foreign user, or too many connections."""
        unauthenticated = len(self._peers) - len(self._callers)
        limits = self._limits
        full = len(self._peers) >= limits.connections_max or unauthenticated >= limits.unauthenticated_max
        if full or not is_same_user(connected):
            self._refused += 1
            connected.close()
            return
        # Counted from here on, not from its task's first turn: many may be admitted in one turn.
        self._tasks.start_soon(self._adopt, self.peer(), connected)

    def peer(self, *, trusted: bool = False) -> Peer:
        """Make a peer for a transport."""
        peer = Peer(self, self._tasks, self._limits, trusted=trusted)
        self._peers.add(peer)
        self._accepted += 1
        return peer

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._peers)

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
            unauthenticated=len(self._peers) - len(self._callers),
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

    # Service -------------------------------------------------------------------------------------------

    def opened(self, peer: Peer, params: Any) -> Any:
        """Answer `initialize`."""

        def role_of(token: str | None) -> Role:
            return "controller" if peer.trusted and token is None else self._tokens.role_of(token)

        decoded, result = self._dispatcher.initialize(params, role_of)
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
