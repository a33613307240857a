"""Handlers of `session/prompt`, `cancel`, `wait` and `continue`."""

import anyio

from holdfast_daemon.methods.idempotency import digest_of, key_of
from holdfast_daemon.methods.services import Caller, Services
from holdfast_daemon.sessions import prompts
from holdfast_daemon.sessions.commands import Continue, Idempotency, Prompt, RemovePrompt, UpdatePrompt
from holdfast_daemon.sessions.session import Session
from holdfast_protocol.errors import InvalidParams, NotFound
from holdfast_protocol.methods.prompt import (
    QueueListParams,
    QueueListResult,
    QueueRemoveParams,
    QueueUpdateParams,
    SessionCancelParams,
    SessionCancelResult,
    SessionContinueParams,
    SessionContinueResult,
    SessionPromptParams,
    SessionPromptResult,
    SessionWaitParams,
    SessionWaitResult,
)
from holdfast_protocol.methods.session import MutationResult
from holdfast_protocol.view import EndedRun


async def prompt(services: Services, caller: Caller, params: SessionPromptParams) -> SessionPromptResult:
    """Answer `session/prompt`."""
    services.runs.check_names(agent=None, model=params.model)
    prompts.check_prompt_id(params.prompt_id)
    prompts.check_size(params.content, services.config.sessions.prompt_bytes_max)
    keys = key_of(caller.client_id, "session/prompt", params, params.key)
    if params.prompt_id is not None:
        # Anybody's: the same prompt over two connections is one prompt.
        digest = digest_of(params, "delivery")
        keys += (Idempotency(client="", method="session/prompt", key=params.prompt_id, digest=digest),)
    command = Prompt(
        caller.client_id,
        keys,
        content=params.content,
        prompt_id=params.prompt_id,
        delivery=params.delivery,
        model=params.model,
        mode=params.mode,
        budget=params.budget,
    )
    return await services.registry.submit(params.session_id, command)


def cancel_now(services: Services, caller: Caller, params: SessionCancelParams) -> SessionCancelResult | None:
    """Answer `session/cancel` at once if the session is in memory; else nothing can be running."""
    session = services.registry.live(params.session_id)
    if session is None:
        return None
    return session.cancel(
        by=caller.client_id,
        run_id=params.run_id,
        tool_call_id=params.tool_call_id,
        clear_queue=params.clear_queue,
    )


async def cancel(services: Services, caller: Caller, params: SessionCancelParams) -> SessionCancelResult:
    """Answer `session/cancel` for a session that was not in memory: it has to exist."""
    await services.registry.get(params.session_id)
    return cancel_now(services, caller, params) or SessionCancelResult(cancelled=False)


async def wait(services: Services, _caller: Caller, params: SessionWaitParams) -> SessionWaitResult:
    """Answer `session/wait`."""
    if (params.run_id is None) == (params.prompt_id is None):
        raise InvalidParams("Give either `runId` or `promptId`.", path="$.runId")
    with anyio.move_on_after(params.timeout_ms / 1000):
        while True:
            session = await services.registry.get(params.session_id)
            over = session.run_over()  # Taken before looking, so that no end falls in between.
            found = await _look(services, session, params)
            if found.done:
                return found
            await over.wait()
    session = await services.registry.get(params.session_id)
    return await _look(services, session, params)


async def continue_(
    services: Services, caller: Caller, params: SessionContinueParams
) -> SessionContinueResult:
    """Answer `session/continue`."""
    keys = key_of(caller.client_id, "session/continue", params, params.key)
    return await services.registry.submit(params.session_id, Continue(caller.client_id, keys))


async def queue_list(services: Services, _caller: Caller, params: QueueListParams) -> QueueListResult:
    """Answer `queue/list`."""
    session = await services.registry.get(params.session_id)
    view = session.view
    return QueueListResult(prompts=tuple(view.queue.values()), held=view.held, head=session.log.head)


async def queue_update(services: Services, caller: Caller, params: QueueUpdateParams) -> MutationResult:
    """Answer `queue/update`."""
    if params.content is None and params.position is None:
        raise InvalidParams("Give `content` or `position`.", path="$.content")
    if params.content is not None:
        prompts.check_size(params.content, services.config.sessions.prompt_bytes_max)
    keys = key_of(caller.client_id, "queue/update", params, params.key)
    return await services.registry.submit(params.session_id, UpdatePrompt(caller.client_id, keys, params))


async def queue_remove(services: Services, caller: Caller, params: QueueRemoveParams) -> MutationResult:
    """Answer `queue/remove`."""
    keys = key_of(caller.client_id, "queue/remove", params, params.key)
    command = RemovePrompt(caller.client_id, keys, params.prompt_id)
    return await services.registry.submit(params.session_id, command)


async def _look(services: Services, session: Session, params: SessionWaitParams) -> SessionWaitResult:
    """Tell how a run stands: from the view if it is the current or last one, else from the store."""
    view = session.view
    if params.prompt_id is not None and params.prompt_id in view.queue:
        return SessionWaitResult(done=False, status="queued")
    for run in (view.run, view.last_run):
        if run is None or params.run_id not in (None, run.run_id):
            continue
        if params.prompt_id in (None, run.prompt_id):
            seq = run.seq if isinstance(run, EndedRun) else None
            return SessionWaitResult(done=seq is not None, status=run.status, run_id=run.run_id, seq=seq)
    return await _look_up(services, session, params)


async def _look_up(services: Services, session: Session, params: SessionWaitParams) -> SessionWaitResult:
    store, key = services.journal.store, session.log.key
    row = await services.journal.query(store.find_run, key, run=params.run_id, prompt=params.prompt_id)
    if row is not None:
        ended = row.seq_end is not None and row.seq_end <= session.log.head
        status = row.status if ended else "running"
        return SessionWaitResult(
            done=ended, status=status, run_id=row.run, seq=row.seq_end if ended else None
        )
    if params.prompt_id is not None:
        status = await services.journal.query(store.find_prompt_status, key, params.prompt_id)
        if status is not None:
            return SessionWaitResult(done=status == "removed", status=status)
    resource = "run" if params.run_id is not None else "prompt"
    raise NotFound(f"No such {resource}.", resource=resource, id=params.run_id or params.prompt_id)
