"""From a request to its handler: role, params, answer. One table, one place."""

import logging
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Any, Final

import msgspec

from holdfast_daemon.methods import (
    catalogue,
    connection,
    daemon,
    extension,
    prompt,
    request,
    session,
    subscribe,
    usage,
)
from holdfast_daemon.methods.services import Caller, Reply, Services
from holdfast_protocol.capabilities import ROLES, Role
from holdfast_protocol.errors import Forbidden, InternalError, InvalidParams, MethodNotFound, RpcError
from holdfast_protocol.methods import CALLS, Method
from holdfast_protocol.methods.connection import InitializeParams, InitializeResult

_logger = logging.getLogger(__name__)

Handler = Callable[[Services, Caller, Any], Awaitable[Any]]

HANDLERS: Final[dict[str, Handler]] = {
    "rpc.discover": connection.discover,
    "session/create": session.create,
    "session/list": session.list_,
    "session/get": session.get,
    "session/update": session.update,
    "session/close": session.close,
    "session/delete": session.delete,
    "session/fork": session.fork,
    "session/export": session.export,
    "session/prompt": prompt.prompt,
    "session/cancel": prompt.cancel,
    "session/wait": prompt.wait,
    "session/continue": prompt.continue_,
    "session/subscribe": subscribe.subscribe,
    "session/unsubscribe": subscribe.unsubscribe,
    "session/read": subscribe.read,
    "queue/list": prompt.queue_list,
    "queue/update": prompt.queue_update,
    "queue/remove": prompt.queue_remove,
    "request/list": request.list_,
    "request/respond": request.respond,
    "rule/list": request.rule_list,
    "rule/remove": request.rule_remove,
    "trust/list": extension.trust_list,
    "trust/remove": extension.trust_remove,
    "command/list": extension.commands,
    "plugin/list": extension.plugins,
    "plugin/reload": extension.plugin_reload,
    "mcp/list": extension.mcp_list,
    "mcp/restart": extension.mcp_restart,
    "agent/list": catalogue.agents,
    "model/list": catalogue.models,
    "tool/list": catalogue.tools,
    "tool/register": catalogue.register,
    "tool/output": catalogue.output,
    "tool/complete": catalogue.complete,
    "usage/get": usage.get,
    "daemon/status": daemon.status,
    "daemon/drain": daemon.drain,
    "daemon/shutdown": daemon.shutdown,
    "token/create": daemon.token_create,
    "token/list": daemon.token_list,
    "token/revoke": daemon.token_revoke,
}
"""Calls that may wait, each in a task of its own."""

IMMEDIATE: Final[dict[str, Callable[[Services, Caller, Any], Any]]] = {
    "ping": connection.ping,
    "session/cancel": prompt.cancel_now,
}
"""Calls that act on being read and never wait. None means: not possible so, take the handler."""


class Dispatcher:
    """Answers requests of authenticated connections."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def initialize(
        self, params: Any, role_of: Callable[[str | None], Role]
    ) -> tuple[InitializeParams, InitializeResult]:
        """Answer `initialize`.

        Args:
            params: as received.
            role_of: gives the role of a token, or raises AuthRequired.

        Raises:
            RpcError: the connection must close.
        """
        decoded = _decode(CALLS["initialize"], params)
        role = role_of(decoded.token)  # Before anything that depends on what an unknown peer says.
        return decoded, connection.initialize(self._services, decoded, role)

    def immediate(self, caller: Caller, method: str, params: Any) -> Any | None:
        """Answer what must not wait; None for all other calls.

        Raises:
            RpcError: the call is refused.
        """
        handler = IMMEDIATE.get(method)
        if handler is None:
            return None
        row = CALLS[method]
        _check_role(row, caller)
        return handler(self._services, caller, _decode(row, params))

    async def call(self, caller: Caller, method: str, params: Any) -> Reply | Any:
        """Answer a call.

        Raises:
            RpcError: the call is refused, or failed; a bug becomes InternalError with an incident id.
        """
        row, handler = CALLS.get(method), HANDLERS.get(method)
        if row is None or handler is None:
            raise MethodNotFound(f"There is no method {method!r}.")
        _check_role(row, caller)
        decoded = _decode(row, params)
        try:
            return await handler(self._services, caller, decoded)
        except RpcError:
            raise
        except Exception as bug:  # request dispatch's place: a bug ends this request only
            incident = token_hex(4)
            _logger.exception("%s failed, incident %s", method, incident)
            raise InternalError("A bug in the daemon.", incident_id=incident) from bug


def _check_role(row: Method, caller: Caller) -> None:
    if ROLES.index(caller.role) < ROLES.index(row.role):
        raise Forbidden(f"{row.name} needs the role {row.role}; this connection has {caller.role}.")


def _decode(row: Method, params: Any) -> Any:
    """Decode params; null and absent are no members.

    Raises:
        InvalidParams: with the path of the bad field.
    """
    if isinstance(params, list):
        raise InvalidParams("Params are an object.", path="$")
    try:
        return msgspec.convert({} if params is None else params, row.params)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        path = path.rstrip("`").rpartition("`")[2]  # Of a bad key: "key` in `$.path".
        raise InvalidParams(message, path=path or "$") from None
