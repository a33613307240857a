"""The connection itself: handshake, liveness, self-description."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from holdfast_protocol.capabilities import ClientCapabilities, Limits, Role, ServerCapabilities
from holdfast_protocol.events.base import Identifier, WireStruct
from holdfast_protocol.methods.table import Method


class ClientInfo(WireStruct, frozen=True, kw_only=True):
    """Who calls. `id` is stable over reconnects of one client: idempotency keys belong to it."""

    id: Identifier
    name: Annotated[str, Meta(max_length=128)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""


class ServerInfo(WireStruct, frozen=True, kw_only=True):
    """Which daemon answers. `instance_id` changes with every start."""

    name: str
    version: str
    instance_id: str
    pid: int
    started_at: int


class InitializeParams(WireStruct, frozen=True, kw_only=True):
    """The first message. `versions` are protocol revisions the client speaks."""

    protocol: Literal["holdfast"]
    versions: Annotated[tuple[int, ...], Meta(min_length=1, max_length=16)]
    client: ClientInfo
    token: Annotated[str, Meta(max_length=256)] | None = None
    capabilities: ClientCapabilities = ClientCapabilities()


class InitializeResult(WireStruct, frozen=True, kw_only=True):
    """The revision both speak, who the daemon is, and what this connection may do."""

    version: int
    server: ServerInfo
    capabilities: ServerCapabilities
    limits: Limits
    role: Role


class PingParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class PingResult(WireStruct, frozen=True, kw_only=True):
    """Nothing: the answer is the answer."""


class DiscoverParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class CancelRequestParams(WireStruct, frozen=True, kw_only=True):
    """The call to cancel, by its id. Runs are cancelled with `session/cancel`."""

    id: str | int


METHODS: tuple[Method, ...] = (
    Method(
        name="initialize",
        direction="call",
        params=InitializeParams,
        result=InitializeResult,
        errors=("auth_required", "unsupported_version", "not_initialized"),
        role="observer",
        summary="Open the connection; must be the first message.",
    ),
    Method(
        name="ping",
        direction="call",
        params=PingParams,
        result=PingResult,
        role="observer",
        summary="Ask whether the daemon is there; overtakes every other call.",
    ),
    Method(
        name="rpc.discover",
        direction="call",
        params=DiscoverParams,
        result=dict[str, Any],
        role="observer",
        summary="Give the OpenRPC document of this table.",
    ),
    Method(
        name="$/cancelRequest",
        direction="client_notification",
        params=CancelRequestParams,
        role="observer",
        summary="Cancel a call of this connection that has not taken effect.",
    ),
)
