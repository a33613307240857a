"""Handlers of `ping` and `rpc.discover`; what `initialize` is answered with."""

from typing import Any

from holdfast_daemon.config import Config
from holdfast_daemon.methods.daemon import server_info
from holdfast_daemon.methods.services import Caller, Services
from holdfast_protocol import jsonrpc, schema
from holdfast_protocol.capabilities import Limits, Role, ServerCapabilities
from holdfast_protocol.errors import UnsupportedVersion
from holdfast_protocol.events.prompt import Delivery
from holdfast_protocol.methods.connection import (
    DiscoverParams,
    InitializeParams,
    InitializeResult,
    PingParams,
    PingResult,
)
from holdfast_protocol.methods.subscribe import READ_EVENTS_MAX
from holdfast_protocol.version import PROTOCOL_VERSIONS
from holdfast_protocol.view import SNAPSHOT_BYTES_MAX


def initialize(services: Services, params: InitializeParams, role: Role) -> InitializeResult:
    """Agree on a revision, the newest of ours that the client speaks.

    Raises:
        UnsupportedVersion: there is none; the error lists ours.
    """
    common = [version for version in PROTOCOL_VERSIONS if version in params.versions]
    if not common:
        raise UnsupportedVersion("No common protocol version.", supported=list(PROTOCOL_VERSIONS))
    return InitializeResult(
        version=common[-1],
        server=server_info(services),
        capabilities=ServerCapabilities(
            deliveries=Delivery.__args__, transports=services.lifecycle.endpoints
        ),
        limits=limits_of(services.config),
        role=role,
    )


def limits_of(config: Config) -> Limits:
    """Give the limits a client has to know."""
    return Limits(
        message_bytes_max=config.net.message_bytes_max,
        event_bytes_max=config.journal.event_bytes_max,
        batch_bytes_max=config.hub.batch_bytes_max,
        snapshot_bytes_max=SNAPSHOT_BYTES_MAX,
        depth_max=jsonrpc.DEPTH_MAX,
        members_max=jsonrpc.MEMBERS_MAX,
        requests_in_flight_max=config.net.requests_in_flight_max,
        requests_per_second_max=config.net.requests_per_second_max,
        subscribers_per_session_max=config.hub.subscribers_per_session_max,
        queued_prompts_max=config.sessions.queued_prompts_max,
        read_events_max=READ_EVENTS_MAX,
    )


def ping(_services: Services, _caller: Caller, _params: PingParams) -> PingResult:
    """Answer `ping`."""
    return PingResult()


async def discover(_services: Services, _caller: Caller, _params: DiscoverParams) -> dict[str, Any]:
    """Answer `rpc.discover`."""
    return schema.openrpc()
