"""Handlers of `agent/list` and `model/list`."""

from holdfast_daemon.methods.services import Caller, Services
from holdfast_protocol.methods.catalogue import (
    AgentInfo,
    AgentListParams,
    AgentListResult,
    ModelListParams,
    ModelListResult,
)


async def agents(services: Services, _caller: Caller, _params: AgentListParams) -> AgentListResult:
    """Answer `agent/list`."""
    found = tuple(
        AgentInfo(name=agent.name, description=agent.description) for agent in services.runs.agents.values()
    )
    return AgentListResult(agents=found, default=services.config.default_agent)


async def models(services: Services, _caller: Caller, _params: ModelListParams) -> ModelListResult:
    """Answer `model/list`."""
    return ModelListResult(models=services.runs.catalogue.models, default=services.config.default_model)
