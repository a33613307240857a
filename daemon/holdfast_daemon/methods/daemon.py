"""Handlers of `daemon/*`."""

import os
import time
from pathlib import Path

from holdfast_daemon.methods.services import Caller, Reply, Services
from holdfast_protocol.errors import Conflict
from holdfast_protocol.methods.connection import ServerInfo
from holdfast_protocol.methods.daemon import (
    DaemonDrainParams,
    DaemonDrainResult,
    DaemonShutdownParams,
    DaemonShutdownResult,
    DaemonStatusParams,
    DaemonStatusResult,
    TokenCreateParams,
    TokenCreateResult,
    TokenListParams,
    TokenListResult,
    TokenRevokeParams,
    TokenRevokeResult,
)
from holdfast_protocol.version import VERSION


def server_info(services: Services) -> ServerInfo:
    """Say which daemon this is."""
    return ServerInfo(
        name="holdfastd",
        version=VERSION,
        instance_id=services.instance_id,
        pid=os.getpid(),
        started_at=services.started_at,
    )


async def status(services: Services, _caller: Caller, _params: DaemonStatusParams) -> DaemonStatusResult:
    """Answer `daemon/status`."""
    sandbox = await services.launcher.ready()
    return DaemonStatusResult(
        server=server_info(services),
        state=services.lifecycle.state,
        uptime_ms=int(time.time() * 1000) - services.started_at,
        rss_bytes=_rss_bytes(),
        endpoints=services.lifecycle.endpoints,
        sandbox=sandbox.info.kind,
        sessions=services.registry.statistics(),
        net=services.lifecycle.net_statistics(),
        hub=services.hub.statistics(),
        journal=services.journal.statistics(),
    )


async def drain(services: Services, _caller: Caller, params: DaemonDrainParams) -> Reply:
    """Answer `daemon/drain`; the daemon may exit only after the answer."""
    if services.lifecycle.state == "stopping":
        raise Conflict("The daemon is stopping; that cannot be taken back.", resource="daemon")
    services.runs.draining = not params.cancel
    if params.cancel:
        services.registry.go_on()
    result = DaemonDrainResult(
        state="serving" if params.cancel else "draining", active_runs=services.runs.active
    )
    return Reply(result, lambda: services.lifecycle.drain(cancel=params.cancel))


async def shutdown(services: Services, _caller: Caller, params: DaemonShutdownParams) -> Reply:
    """Answer `daemon/shutdown`, then stop."""
    result = DaemonShutdownResult(active_runs=services.runs.active)
    return Reply(result, lambda: services.lifecycle.shutdown(params.grace_ms / 1000))


async def token_create(services: Services, _caller: Caller, params: TokenCreateParams) -> TokenCreateResult:
    """Answer `token/create`."""
    return await services.tokens.create(params.name, params.role)


async def token_list(services: Services, _caller: Caller, _params: TokenListParams) -> TokenListResult:
    """Answer `token/list`."""
    return TokenListResult(tokens=services.tokens.list())


async def token_revoke(services: Services, _caller: Caller, params: TokenRevokeParams) -> TokenRevokeResult:
    """Answer `token/revoke`."""
    closed = await services.tokens.revoke(params.token_id)
    return TokenRevokeResult(revoked=closed is not None, connections=closed or 0)


def _rss_bytes() -> int:
    """Give the resident memory; 0 where the kernel does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
