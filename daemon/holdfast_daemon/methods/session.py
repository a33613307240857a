"""Handlers of `session/create` … `session/export`."""

from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
from anyio import to_thread

from holdfast_daemon.methods.idempotency import digest_of, key_of, remembered, to_the_end
from holdfast_daemon.methods.services import Caller, Reply, Services
from holdfast_daemon.sessions.commands import Close, Idempotency, Update
from holdfast_daemon.sessions.environment import allowed_environment
from holdfast_protocol import events
from holdfast_protocol.errors import InvalidParams
from holdfast_protocol.methods.session import (
    MutationResult,
    SessionCloseParams,
    SessionCreateParams,
    SessionCreateResult,
    SessionDeleteParams,
    SessionDeleteResult,
    SessionExportParams,
    SessionExportResult,
    SessionForkParams,
    SessionGetParams,
    SessionGetResult,
    SessionListParams,
    SessionListResult,
    SessionUpdateParams,
)
from holdfast_protocol.version import VERSION

_EXPORT_EVENTS = 1000
_EXPORT_BYTES = 512 * 1024


async def create(services: Services, caller: Caller, params: SessionCreateParams) -> Reply | Any:
    """Answer `session/create`."""
    services.runs.check_serving()
    keys = key_of(caller.client_id, "session/create", params, params.key)
    if params.session_id is not None:
        digest = digest_of(params, "session_id")
        keys += (Idempotency(client="", method="session/create", key=params.session_id, digest=digest),)
    session_id = params.session_id or f"s-{token_hex(8)}"
    async with services.registry.claimed(session_id), services.in_flight.alone(keys):
        known = await remembered(services.journal, keys, SessionCreateResult)
        if known is not None:
            return known
        started = await _started(services, params)
        env = allowed_environment(params.env, services.config.sessions.env_bytes_max)
        result = await to_the_end(
            services.registry.create(session_id, started, env, keys, params.mcp_servers)
        )
    return Reply(result, lambda: services.registry.announce(session_id))


async def list_(services: Services, _caller: Caller, params: SessionListParams) -> SessionListResult:
    """Answer `session/list`."""
    infos, after = await services.registry.list(
        cwd=params.cwd,
        archived=params.archived,
        before=_list_cursor(params.cursor),
        limit=params.limit,
        parent=params.parent,
    )
    return SessionListResult(sessions=tuple(infos), next=f"{after[0]}.{after[1]}" if after else None)


async def get(services: Services, _caller: Caller, params: SessionGetParams) -> SessionGetResult:
    """Answer `session/get`."""
    session = await services.registry.get(params.session_id)
    return SessionGetResult(session=session.info(), snapshot=session.snapshot())


async def update(services: Services, caller: Caller, params: SessionUpdateParams) -> MutationResult:
    """Answer `session/update`."""
    await services.runs.catalogue.ready()
    services.runs.check_names(
        agent=None if params.agent is msgspec.UNSET else params.agent,
        model=None if params.model is msgspec.UNSET else params.model,
    )
    if params.meta is None:
        raise InvalidParams("`meta` cannot be null here; `{}` empties it.", path="$.meta")
    _check_meta(services, params.meta)
    keys = key_of(caller.client_id, "session/update", params, params.key)
    return await services.registry.submit(params.session_id, Update(caller.client_id, keys, params))


async def close(services: Services, caller: Caller, params: SessionCloseParams) -> MutationResult | Reply:
    """Answer `session/close`."""
    keys = key_of(caller.client_id, "session/close", params, params.key)
    command = Close(caller.client_id, keys, if_idle=params.if_idle)
    result = await services.registry.submit(params.session_id, command)
    session = services.registry.live(params.session_id)
    if session is None:
        return result
    return Reply(result, lambda: services.registry.unload_if_idle(session))


async def delete(services: Services, caller: Caller, params: SessionDeleteParams) -> SessionDeleteResult:
    """Answer `session/delete`."""
    keys = key_of(caller.client_id, "session/delete", params, params.key)
    async with services.registry.claimed(params.session_id), services.in_flight.alone(keys):
        known = await remembered(services.journal, keys, SessionDeleteResult)
        if known is not None:
            return known
        await to_the_end(services.registry.delete(params.session_id, caller.client_id, keys))
    return SessionDeleteResult()


async def fork(services: Services, caller: Caller, params: SessionForkParams) -> Reply | Any:
    """Answer `session/fork`."""
    services.runs.check_serving()
    keys = key_of(caller.client_id, "session/fork", params, params.key)
    if params.new_session_id is not None:
        digest = digest_of(params, "new_session_id")
        keys += (Idempotency(client="", method="session/fork", key=params.new_session_id, digest=digest),)
    async with services.in_flight.alone(keys):
        known = await remembered(services.journal, keys, SessionCreateResult)
        if known is not None:
            return known
        source = await services.registry.get(params.session_id)
        session_id = params.new_session_id or f"s-{token_hex(8)}"
        forking = services.registry.fork(source, session_id, params.at, params.title, keys)
        result = await to_the_end(forking)
    return Reply(result, lambda: services.registry.announce(session_id))


async def export(services: Services, _caller: Caller, params: SessionExportParams) -> SessionExportResult:
    """Answer `session/export`."""
    session = await services.registry.get(params.session_id)
    session.log.check_cursor(params.after)
    head = session.log.head
    page = await services.journal.read(
        session.log, params.after, limit=_EXPORT_EVENTS, bytes_max=_EXPORT_BYTES, upto=head
    )
    lines = [row.body.decode() for row in page.rows]
    if params.after == 0:
        header = {
            "format": "holdfast-export",
            "version": 1,
            "holdfast": VERSION,
            "sessionId": session.id,
            "epoch": session.log.epoch,
            "createdAt": session.created_at,
        }
        lines.insert(0, msgspec.json.encode(header).decode())
    return SessionExportResult(lines=tuple(lines), head=head, next=page.last if page.last < head else None)


async def _started(services: Services, params: SessionCreateParams) -> events.SessionStarted:
    config = services.config
    agent = params.agent or config.default_agent
    await services.runs.catalogue.ready()
    model = params.model or await services.runs.catalogue.choose()
    services.runs.check_names(agent=agent, model=model)
    _check_meta(services, params.meta)
    # In a thread: a directory on a mount that does not answer holds up this call alone.
    cwd, roots = await to_thread.run_sync(_directories, params.cwd, params.roots)
    sandbox = await services.launcher.ready()
    instructions = await services.runs.extensions.instructions(cwd)
    return events.SessionStarted(
        cwd=cwd,
        roots=roots,
        agent=agent,
        model=model,
        thinking=params.thinking,
        mode=params.mode,
        unattended=params.unattended,
        budget=params.budget,
        title=params.title,
        instructions=instructions,
        meta=params.meta,
        sandbox=sandbox.info,
    )


def _directories(cwd: str, roots: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    checked = tuple(_directory(root, f"$.roots[{index}]") for index, root in enumerate(roots))
    return _directory(cwd, "$.cwd"), checked


def _directory(path: str, field: str) -> str:
    """Refuse what is not an absolute directory that exists; links are resolved once, here."""
    if not path.startswith("/") or "\0" in path:
        raise InvalidParams("Expected an absolute path.", path=field)
    try:
        resolved = Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        raise InvalidParams(f"There is no directory {path}.", path=field, resource="directory") from None
    if not resolved.is_dir():
        raise InvalidParams(f"{path} is not a directory.", path=field, resource="directory")
    return str(resolved)


def _check_meta(services: Services, meta: Any) -> None:
    if meta is msgspec.UNSET:
        return
    limit = services.config.sessions.meta_bytes_max
    if len(msgspec.json.encode(meta)) > limit:
        raise InvalidParams(
            f"`meta` is at most {limit} bytes of JSON.",
            path="$.meta",
            limit="meta_bytes_max",
            limit_value=limit,
        )


def _list_cursor(cursor: str | None) -> tuple[int, int] | None:
    if cursor is None:
        return None
    used, _, key = cursor.partition(".")
    if not (used.isascii() and used.isdigit() and key.isascii() and key.isdigit()):
        raise InvalidParams("Expected the `next` of a page before.", path="$.cursor")
    return min(int(used), 2**62), min(int(key), 2**62)
