"""Handlers of `request/*` and `rule/*`."""

from holdfast_daemon.methods.idempotency import key_of
from holdfast_daemon.methods.services import Caller, Services
from holdfast_daemon.sessions.commands import Respond
from holdfast_protocol.methods.request import (
    OpenRequest,
    RequestListParams,
    RequestListResult,
    RequestRespondParams,
    RequestRespondResult,
    RuleListParams,
    RuleListResult,
    RuleRemoveParams,
    RuleRemoveResult,
)


async def list_(services: Services, _caller: Caller, params: RequestListParams) -> RequestListResult:
    """Answer `request/list`."""
    if params.session_id is not None:
        session = await services.registry.get(params.session_id)
        found = tuple((session.id, request) for request in session.view.requests.values())
    else:
        found = services.registry.open_requests()
    return RequestListResult(
        requests=tuple(OpenRequest(session_id=name, request=request) for name, request in found)
    )


async def respond(services: Services, caller: Caller, params: RequestRespondParams) -> RequestRespondResult:
    """Answer `request/respond`."""
    keys = key_of(caller.client_id, "request/respond", params, params.key)
    return await services.registry.submit(params.session_id, Respond(caller.client_id, keys, params))


async def rule_list(services: Services, _caller: Caller, params: RuleListParams) -> RuleListResult:
    """Answer `rule/list`."""
    if params.session_id is None:
        return RuleListResult(rules=services.registry.rules.list(None, None))
    session = await services.registry.get(params.session_id)
    return RuleListResult(rules=services.registry.rules.list(session.id, session.info().cwd))


async def rule_remove(services: Services, _caller: Caller, params: RuleRemoveParams) -> RuleRemoveResult:
    """Answer `rule/remove`."""
    return RuleRemoveResult(removed=await services.registry.rules.remove(params.rule_id))
