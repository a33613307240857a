"""The method table as methods: one for each call, with its params as keyword arguments and its typed result.

    await client.rpc.session_create(cwd="/home/me/project", title="First")

Names are the wire's, with `_` for `/` and `.`. What a call means, and its errors, is in PROTOCOL.md.
A call that changes something gets a key (a prompt: a promptId) by itself, so that it is made once, however
often its connection is lost.
"""

from collections.abc import Callable, Coroutine
from secrets import token_hex
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from holdfast_client.aio.caller import Caller
from holdfast_client.core.resend import keyed
from holdfast_protocol.errors import RemoteProtocolError
from holdfast_protocol.methods import (
    CALLS,
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

P = ParamSpec("P")
R = TypeVar("R")


def new_id() -> str:
    """Give an id nobody has used: for keys and prompts."""
    return f"py-{token_hex(12)}"


def decode_result(method: str, result: msgspec.Raw, kind: type[R]) -> R:
    """Decode a call's result.

    Raises:
        RemoteProtocolError: it is not of its type.
    """
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"The daemon answered {method} with something else: {error}") from error


def _method(
    name: str, params: Callable[P, msgspec.Struct], result: type[R]
) -> Callable[Concatenate["Rpc", P], Coroutine[Any, Any, R]]:
    async def call(self: "Rpc", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.perform(name, params(*args, **kwargs), result)

    call.__name__ = name.replace("/", "_").replace(".", "_")
    call.__qualname__ = f"Rpc.{call.__name__}"
    call.__doc__ = f"`{name}`: {CALLS[name].summary}"
    return call


class Rpc:
    """All calls of the protocol but `initialize`, which the client makes itself."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def perform(self, method: str, params: msgspec.Struct, result: type[R]) -> R:
        """Make a call of the table, keyed.

        Raises:
            RpcError: the daemon refused it; one of the classes of `holdfast_protocol.errors`.
            ConnectionLost: it could not be made, or was not answered.
            NoAnswer: not in time.
        """
        answer = await self._caller.perform(method, keyed(params, new_id))
        return decode_result(method, answer, result)

    ping = _method("ping", connection.PingParams, connection.PingResult)
    rpc_discover = _method("rpc.discover", connection.DiscoverParams, dict[str, Any])

    session_create = _method("session/create", session.SessionCreateParams, session.SessionCreateResult)
    session_list = _method("session/list", session.SessionListParams, session.SessionListResult)
    session_get = _method("session/get", session.SessionGetParams, session.SessionGetResult)
    session_update = _method("session/update", session.SessionUpdateParams, session.MutationResult)
    session_close = _method("session/close", session.SessionCloseParams, session.MutationResult)
    session_delete = _method("session/delete", session.SessionDeleteParams, session.SessionDeleteResult)
    session_fork = _method("session/fork", session.SessionForkParams, session.SessionCreateResult)
    session_export = _method("session/export", session.SessionExportParams, session.SessionExportResult)

    session_prompt = _method("session/prompt", prompt.SessionPromptParams, prompt.SessionPromptResult)
    session_cancel = _method("session/cancel", prompt.SessionCancelParams, prompt.SessionCancelResult)
    session_wait = _method("session/wait", prompt.SessionWaitParams, prompt.SessionWaitResult)
    session_continue = _method("session/continue", prompt.SessionContinueParams, prompt.SessionContinueResult)
    queue_list = _method("queue/list", prompt.QueueListParams, prompt.QueueListResult)
    queue_update = _method("queue/update", prompt.QueueUpdateParams, session.MutationResult)
    queue_remove = _method("queue/remove", prompt.QueueRemoveParams, session.MutationResult)

    session_subscribe = _method(
        "session/subscribe", subscribe.SessionSubscribeParams, subscribe.SessionSubscribeResult
    )
    session_unsubscribe = _method(
        "session/unsubscribe", subscribe.SessionUnsubscribeParams, subscribe.SessionUnsubscribeResult
    )
    session_read = _method("session/read", subscribe.SessionReadParams, subscribe.SessionReadResult)

    request_list = _method("request/list", request.RequestListParams, request.RequestListResult)
    request_respond = _method("request/respond", request.RequestRespondParams, request.RequestRespondResult)
    rule_list = _method("rule/list", request.RuleListParams, request.RuleListResult)
    rule_remove = _method("rule/remove", request.RuleRemoveParams, request.RuleRemoveResult)

    agent_list = _method("agent/list", catalogue.AgentListParams, catalogue.AgentListResult)
    model_list = _method("model/list", catalogue.ModelListParams, catalogue.ModelListResult)
    tool_list = _method("tool/list", catalogue.ToolListParams, catalogue.ToolListResult)
    tool_register = _method("tool/register", catalogue.ToolRegisterParams, catalogue.ToolRegisterResult)
    tool_output = _method("tool/output", catalogue.ToolOutputParams, catalogue.ToolOutputResult)
    tool_complete = _method("tool/complete", catalogue.ToolCompleteParams, catalogue.ToolCompleteResult)

    trust_list = _method("trust/list", extension.TrustListParams, extension.TrustListResult)
    trust_remove = _method("trust/remove", extension.TrustRemoveParams, extension.TrustRemoveResult)
    command_list = _method("command/list", extension.CommandListParams, extension.CommandListResult)
    plugin_list = _method("plugin/list", extension.PluginListParams, extension.PluginListResult)
    plugin_reload = _method("plugin/reload", extension.PluginReloadParams, extension.PluginReloadResult)
    mcp_list = _method("mcp/list", extension.McpListParams, extension.McpListResult)
    mcp_restart = _method("mcp/restart", extension.McpRestartParams, extension.McpRestartResult)

    usage_get = _method("usage/get", usage.UsageGetParams, usage.UsageGetResult)

    daemon_status = _method("daemon/status", daemon.DaemonStatusParams, daemon.DaemonStatusResult)
    daemon_drain = _method("daemon/drain", daemon.DaemonDrainParams, daemon.DaemonDrainResult)
    daemon_shutdown = _method("daemon/shutdown", daemon.DaemonShutdownParams, daemon.DaemonShutdownResult)
    token_create = _method("token/create", daemon.TokenCreateParams, daemon.TokenCreateResult)
    token_list = _method("token/list", daemon.TokenListParams, daemon.TokenListResult)
    token_revoke = _method("token/revoke", daemon.TokenRevokeParams, daemon.TokenRevokeResult)
