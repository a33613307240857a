"""Handlers of `session/subscribe`, `unsubscribe` and `read`."""

import msgspec

from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.journal.store import Page
from holdfast_daemon.methods.services import Caller, Reply, Services
from holdfast_daemon.sessions.session import Session
from holdfast_protocol import events
from holdfast_protocol.errors import Forbidden, InvalidParams
from holdfast_protocol.methods.subscribe import (
    SessionReadParams,
    SessionReadResult,
    SessionSubscribeParams,
    SessionSubscribeResult,
    SessionUnsubscribeParams,
    SessionUnsubscribeResult,
)


async def subscribe(services: Services, caller: Caller, params: SessionSubscribeParams) -> Reply:
    """Answer `session/subscribe`."""
    if params.on_lag == "block" and caller.role != "controller":
        raise Forbidden("Only a controller may block a session.", path="$.onLag")
    _check_types(params.types)
    session = await services.registry.get(params.session_id)
    # From here to the registration nothing awaits: head, snapshot and subscription are of one moment.
    log = session.log
    after = log.head if params.after == "head" else 0 if params.after == "start" else params.after
    log.check_cursor(after, params.epoch)
    start = services.hub.subscribe(
        session.channel,
        caller.outlet,
        after=after,
        wanted=_filter(session, params),
        on_lag=params.on_lag,
        answers=caller.answers,
    )
    result = SessionSubscribeResult(
        epoch=log.epoch,
        from_=after + 1,
        head=log.head,
        oldest=log.oldest,
        snapshot=session.snapshot() if params.after == "head" else None,
    )
    return Reply(result, start)


async def unsubscribe(
    services: Services, caller: Caller, params: SessionUnsubscribeParams
) -> SessionUnsubscribeResult:
    """Answer `session/unsubscribe`."""
    session = services.registry.live(params.session_id)
    if session is None:
        return SessionUnsubscribeResult()
    return SessionUnsubscribeResult(cursor=services.hub.unsubscribe(session.channel, caller.outlet))


async def read(services: Services, _caller: Caller, params: SessionReadParams) -> SessionReadResult:
    """Answer `session/read`."""
    _check_types(params.types)
    if params.after is not None and params.before is not None:
        raise InvalidParams("Give `after` or `before`, not both.", path="$.before")
    session = await services.registry.get(params.session_id)
    if params.run_id is not None:
        return await _read_run(services, session, params, params.run_id)
    if params.before is not None:
        return await _read_back(services, session, params, params.before)
    return await _read_forward(services, session, params, params.after or 0, session.log.head)


async def _read_forward(
    services: Services, session: Session, params: SessionReadParams, after: int, upto: int
) -> SessionReadResult:
    session.log.check_cursor(after)
    page = await services.journal.read(
        session.log,
        after,
        upto=upto,
        limit=params.limit,
        bytes_max=services.config.hub.batch_bytes_max,
        types=params.types,
    )
    return _result(session, page, more=page.last < min(upto, session.log.head))


async def _read_back(
    services: Services, session: Session, params: SessionReadParams, before: int
) -> SessionReadResult:
    if before > session.log.head + 1:
        session.log.check_cursor(before - 1)
    page = await services.journal.read_back(
        session.log,
        before,
        limit=params.limit,
        bytes_max=services.config.hub.batch_bytes_max,
        types=params.types,
    )
    return _result(session, page, more=page.first > session.log.oldest)


async def _read_run(
    services: Services, session: Session, params: SessionReadParams, run_id: str
) -> SessionReadResult:
    """Read one run's events: they lie between its start and its end, among few others."""
    store = services.journal.store
    row = await services.journal.query(store.find_run, session.log.key, run=run_id)
    head = session.log.head
    if row is None or row.seq_start > head:
        return SessionReadResult(epoch=session.log.epoch, from_=1, to=head, head=head, events=(), more=False)
    last = min(row.seq_end or head, head)
    if params.before is not None:
        raise InvalidParams("A run is read forwards: give `after`.", path="$.before")
    after = max(params.after or 0, row.seq_start - 1)
    if after > last:
        raise session.log.cursor_invalid(f"The run ends at {last}.")
    page = await services.journal.read(
        session.log,
        after,
        upto=last,
        limit=params.limit,
        bytes_max=services.config.hub.batch_bytes_max,
        types=params.types,
    )
    mine = page._replace(rows=[row for row in page.rows if row.run == run_id])
    return _result(session, mine, more=page.last < last)


def _result(session: Session, page: Page, *, more: bool) -> SessionReadResult:
    return SessionReadResult(
        epoch=session.log.epoch,
        from_=page.first,
        to=page.last,
        head=session.log.head,
        events=tuple(msgspec.Raw(row.body) for row in page.rows),
        more=more,
    )


def _filter(session: Session, params: SessionSubscribeParams) -> Filter:
    types = frozenset(params.types) if params.types is not None else None
    if params.deltas != "settled":
        return Filter(types, params.deltas == "all")
    run = session.view.run
    streams = frozenset((*run.blocks, *run.tool_calls)) if run is not None else frozenset[str]()
    return Filter(types, deltas=True, settled_to=session.log.head, open_streams=streams)


def _check_types(types: tuple[str, ...] | None) -> None:
    """Refuse a type this daemon never emits: a misspelt filter would be silent for ever."""
    for index, name in enumerate(types or ()):
        if name not in events.TAGS:
            raise InvalidParams(f"There is no event type {name!r}.", path=f"$.types[{index}]")
