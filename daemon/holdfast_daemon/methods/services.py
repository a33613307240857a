"""What handlers work with: the daemon's parts, and the call they answer."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from holdfast_daemon.config import Config
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.hub.subscription import Outlet
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.methods.idempotency import InFlight
from holdfast_daemon.sessions.registry import Registry
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_protocol.capabilities import ClientCapabilities, RequestKind, Role
from holdfast_protocol.methods.daemon import DaemonState, NetStatistics, TokenCreateResult, TokenInfo


class Lifecycle(Protocol):
    """The daemon's own state, as `daemon/*` sees and changes it."""

    @property
    def state(self) -> DaemonState:
        """What the daemon does."""
        ...

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it listens."""
        ...

    def drain(self, *, cancel: bool) -> None:
        """Take no new runs and stop after the last; or take that back."""
        ...

    def shutdown(self, grace_s: float) -> None:
        """Stop after `grace_s`, interrupting what runs then."""
        ...

    def net_statistics(self) -> NetStatistics:
        """Count connections and requests."""
        ...


class TokenAuthority(Protocol):
    """Who makes and ends tokens."""

    async def create(self, name: str, role: Role) -> TokenCreateResult:
        """Make a token; durable when this returns."""
        ...

    def list(self) -> tuple[TokenInfo, ...]:
        """Give the tokens, oldest first."""
        ...

    async def revoke(self, token_id: str) -> int | None:
        """End a token and close its connections; give their number, None if there is no such token."""
        ...


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's parts. One instance for all calls.

    Attributes:
        instance_id: changes with every start.
        started_at: Unix ms.
        in_flight: keyed calls of the daemon's scope under way.
    """

    config: Config
    journal: Journal
    hub: Hub
    registry: Registry
    runs: RunFactory
    lifecycle: Lifecycle
    tokens: TokenAuthority
    instance_id: str
    started_at: int
    in_flight: InFlight
    launcher: Launcher


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated connection. There is none without `initialize`, so no handler runs without it.

    Attributes:
        client_id: the client's own name for itself; idempotency keys belong to it.
        role: what it may do; from its token.
        capabilities: what it said it can do.
        outlet: where its events go.
    """

    client_id: str
    role: Role
    capabilities: ClientCapabilities
    outlet: Outlet

    @property
    def answers(self) -> frozenset[RequestKind]:
        """The kinds of requests somebody at this client may and can answer."""
        if self.role == "observer":
            return frozenset()
        return frozenset(self.capabilities.answers)


class Reply(msgspec.Struct, frozen=True):
    """A result and what is to happen once it was written: notifications about it come after it."""

    result: Any
    after: Callable[[], None]
