"""Handlers of `agent/list`, `model/list` and `tool/*`."""

from holdfast_daemon.methods.services import Caller, Services
from holdfast_daemon.sessions.session_tools import daemon_tool_infos
from holdfast_daemon.tools.client_hosted import TOOLS_MAX, NameTaken, TooManyTools
from holdfast_protocol.errors import Conflict, InvalidParams, Overloaded
from holdfast_protocol.methods.catalogue import (
    AgentInfo,
    AgentListParams,
    AgentListResult,
    ModelListParams,
    ModelListResult,
    ToolCallParams,
    ToolCompleteParams,
    ToolCompleteResult,
    ToolListParams,
    ToolListResult,
    ToolOutputParams,
    ToolOutputResult,
    ToolRegisterParams,
    ToolRegisterResult,
)


async def agents(services: Services, caller: Caller, params: AgentListParams) -> AgentListResult:
    """Answer `agent/list`."""
    agents = services.runs.agents
    if params.session_id is not None:
        session = await services.registry.get(params.session_id)
        if caller.role == "controller":  # It may start servers, and run what plugins bring.
            await session.extensions.open()
        agents = {**agents, **session.extensions.agents()}
    found = tuple(AgentInfo(name=agent.name, description=agent.description) for agent in agents.values())
    return AgentListResult(agents=found, default=services.config.default_agent)


async def models(services: Services, _caller: Caller, _params: ModelListParams) -> ModelListResult:
    """Answer `model/list`."""
    catalogue = services.runs.catalogue
    await catalogue.refresh()
    return ModelListResult(models=catalogue.models, default=catalogue.default)


async def tools(services: Services, _caller: Caller, params: ToolListParams) -> ToolListResult:
    """Answer `tool/list`."""
    if params.session_id is None:
        return ToolListResult(tools=daemon_tool_infos(services.runs.executor))
    session = await services.registry.get(params.session_id)
    return ToolListResult(tools=session.tools.infos())


async def register(services: Services, caller: Caller, params: ToolRegisterParams) -> ToolRegisterResult:
    """Answer `tool/register`."""
    names = [tool.name for tool in params.tools]
    if len(set(names)) != len(names):
        raise InvalidParams("Two tools have one name.", path="$.tools")
    session = await services.registry.get(params.session_id)

    def send(call: ToolCallParams) -> None:
        services.hub.notify(caller.outlet, "tool/call", call)

    try:
        registered = session.hosted.register(caller.outlet, params.tools, send)
    except NameTaken as taken:
        raise Conflict(f"Another connection runs the tool {taken}.", resource="tool", id=str(taken)) from None
    except TooManyTools:
        raise Overloaded("Too many hosted tools.", limit="hosted_tools_max", limit_value=TOOLS_MAX) from None
    return ToolRegisterResult(registered=registered)


async def output(services: Services, caller: Caller, params: ToolOutputParams) -> ToolOutputResult:
    """Answer `tool/output`."""
    session = await services.registry.get(params.session_id)
    running = await session.hosted.output(caller.outlet, params.tool_call_id, params.text)
    return ToolOutputResult(running=running)


async def complete(services: Services, caller: Caller, params: ToolCompleteParams) -> ToolCompleteResult:
    """Answer `tool/complete`."""
    if (params.result is None) == (params.error is None):
        raise InvalidParams("Give either `result` or `error`.", path="$.result")
    session = await services.registry.get(params.session_id)
    accepted = session.hosted.complete(caller.outlet, params.tool_call_id, params.result or (), params.error)
    return ToolCompleteResult(accepted=accepted)
