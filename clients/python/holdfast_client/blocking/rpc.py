"""The method table as blocking methods: one for each call. See `aio.rpc`."""

from holdfast_client import aio
from holdfast_client.blocking.twin import Twin, twin


class Rpc(Twin):
    """All calls of the protocol but `initialize`."""

    original: aio.Rpc

    ping = twin(aio.Rpc.ping)
    rpc_discover = twin(aio.Rpc.rpc_discover)

    session_create = twin(aio.Rpc.session_create)
    session_list = twin(aio.Rpc.session_list)
    session_get = twin(aio.Rpc.session_get)
    session_update = twin(aio.Rpc.session_update)
    session_close = twin(aio.Rpc.session_close)
    session_delete = twin(aio.Rpc.session_delete)
    session_fork = twin(aio.Rpc.session_fork)
    session_export = twin(aio.Rpc.session_export)

    session_prompt = twin(aio.Rpc.session_prompt)
    session_cancel = twin(aio.Rpc.session_cancel)
    session_wait = twin(aio.Rpc.session_wait)
    session_continue = twin(aio.Rpc.session_continue)
    queue_list = twin(aio.Rpc.queue_list)
    queue_update = twin(aio.Rpc.queue_update)
    queue_remove = twin(aio.Rpc.queue_remove)

    session_subscribe = twin(aio.Rpc.session_subscribe)
    session_unsubscribe = twin(aio.Rpc.session_unsubscribe)
    session_read = twin(aio.Rpc.session_read)

    request_list = twin(aio.Rpc.request_list)
    request_respond = twin(aio.Rpc.request_respond)
    rule_list = twin(aio.Rpc.rule_list)
    rule_remove = twin(aio.Rpc.rule_remove)

    agent_list = twin(aio.Rpc.agent_list)
    model_list = twin(aio.Rpc.model_list)
    tool_list = twin(aio.Rpc.tool_list)
    tool_register = twin(aio.Rpc.tool_register)
    tool_output = twin(aio.Rpc.tool_output)
    tool_complete = twin(aio.Rpc.tool_complete)

    trust_list = twin(aio.Rpc.trust_list)
    trust_remove = twin(aio.Rpc.trust_remove)
    command_list = twin(aio.Rpc.command_list)
    plugin_list = twin(aio.Rpc.plugin_list)
    plugin_reload = twin(aio.Rpc.plugin_reload)
    mcp_list = twin(aio.Rpc.mcp_list)
    mcp_restart = twin(aio.Rpc.mcp_restart)

    usage_get = twin(aio.Rpc.usage_get)

    daemon_status = twin(aio.Rpc.daemon_status)
    daemon_drain = twin(aio.Rpc.daemon_drain)
    daemon_shutdown = twin(aio.Rpc.daemon_shutdown)
    token_create = twin(aio.Rpc.token_create)
    token_list = twin(aio.Rpc.token_list)
    token_revoke = twin(aio.Rpc.token_revoke)
