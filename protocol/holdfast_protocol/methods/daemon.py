"""The daemon itself: how it is, and how it ends."""

from typing import Annotated, Literal

from msgspec import Meta

from holdfast_protocol.capabilities import Role
from holdfast_protocol.events.base import Identifier, WireStruct
from holdfast_protocol.methods.connection import ServerInfo
from holdfast_protocol.methods.table import Method

DaemonState = Literal["serving", "draining", "stopping"]


class DaemonStatusParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class HubStatistics(WireStruct, frozen=True, kw_only=True):
    """Since the start, but `subscribers`, `lagging` and `ring_bytes`, which are now."""

    published: int
    delivered: int
    batches: int
    lagged: int
    subscribers: int
    lagging: int
    ring_bytes: int
    by_type: dict[str, int]


class JournalStatistics(WireStruct, frozen=True, kw_only=True):
    """Since the start, but `pending` and `halted`, which are now."""

    committed: int
    transactions: int
    merged: int
    bytes: int
    failures: int
    pending: int
    halted: int
    sqlite: str


class SessionStatistics(WireStruct, frozen=True, kw_only=True):
    """Now."""

    loaded: int
    active_runs: int


class NetStatistics(WireStruct, frozen=True, kw_only=True):
    """`connections` and `unauthenticated` are now, the others since the start."""

    connections: int
    unauthenticated: int
    accepted: int
    refused: int
    requests: int


class DaemonStatusResult(WireStruct, frozen=True, kw_only=True):
    """A look at the daemon. Limits of every queue are in `initialize`'s answer."""

    server: ServerInfo
    state: DaemonState
    uptime_ms: int
    rss_bytes: int
    endpoints: tuple[str, ...]
    sandbox: str
    sessions: SessionStatistics
    net: NetStatistics
    hub: HubStatistics
    journal: JournalStatistics


class DaemonDrainParams(WireStruct, frozen=True, kw_only=True):
    """Take no new runs and exit when the last has ended; `cancel: true` takes a drain back."""

    cancel: bool = False


class DaemonDrainResult(WireStruct, frozen=True, kw_only=True):
    """How many runs are still active."""

    state: DaemonState
    active_runs: int


class DaemonShutdownParams(WireStruct, frozen=True, kw_only=True):
    """Interrupt what runs after `grace_ms`, then exit. Interrupted runs can be continued later."""

    grace_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0


class DaemonShutdownResult(WireStruct, frozen=True, kw_only=True):
    """The daemon stops after this answer."""

    active_runs: int


class DaemonStateParams(WireStruct, frozen=True, kw_only=True):
    """The daemon began to drain or stop, or serves again."""

    state: DaemonState


TokenName = Annotated[str, Meta(min_length=1, max_length=128)]


class TokenInfo(WireStruct, frozen=True, kw_only=True):
    """A token, without its secret. The owner's is not listed."""

    token_id: str
    name: str
    role: Role
    created_at: int


class TokenCreateParams(WireStruct, frozen=True, kw_only=True):
    """A new token, for a client that is to have no more than `role`."""

    name: TokenName
    role: Role


class TokenCreateResult(WireStruct, frozen=True, kw_only=True):
    """The token; its secret is given here and never again."""

    token: str
    info: TokenInfo


class TokenListParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class TokenListResult(WireStruct, frozen=True, kw_only=True):
    """The tokens, oldest first."""

    tokens: tuple[TokenInfo, ...]


class TokenRevokeParams(WireStruct, frozen=True, kw_only=True):
    """Which token."""

    token_id: Identifier


class TokenRevokeResult(WireStruct, frozen=True, kw_only=True):
    """How many connections it had; they are closed."""

    revoked: bool
    connections: int


METHODS: tuple[Method, ...] = (
    Method(
        name="daemon/status",
        direction="call",
        params=DaemonStatusParams,
        result=DaemonStatusResult,
        role="observer",
        summary="Look at the daemon.",
    ),
    Method(
        name="daemon/drain",
        direction="call",
        params=DaemonDrainParams,
        result=DaemonDrainResult,
        errors=("conflict",),
        summary="Finish what runs, take nothing new, then exit.",
    ),
    Method(
        name="daemon/shutdown",
        direction="call",
        params=DaemonShutdownParams,
        result=DaemonShutdownResult,
        summary="Stop the daemon.",
    ),
    Method(
        name="daemon/state",
        direction="server_notification",
        params=DaemonStateParams,
        role="observer",
        summary="The daemon's state changed.",
    ),
    Method(
        name="token/create",
        direction="call",
        params=TokenCreateParams,
        result=TokenCreateResult,
        errors=("storage_unavailable",),
        summary="Make a token for a client that may do less than the owner.",
    ),
    Method(
        name="token/list",
        direction="call",
        params=TokenListParams,
        result=TokenListResult,
        summary="List tokens.",
    ),
    Method(
        name="token/revoke",
        direction="call",
        params=TokenRevokeParams,
        result=TokenRevokeResult,
        errors=("storage_unavailable",),
        summary="End a token and close its connections.",
    ),
)
