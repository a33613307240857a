"""What sessions can be made of: agents and models."""

from holdfast_protocol.events.base import WireStruct
from holdfast_protocol.methods.table import Method


class AgentInfo(WireStruct, frozen=True, kw_only=True):
    """An agent that can drive a session's runs."""

    name: str
    description: str


class AgentListParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class AgentListResult(WireStruct, frozen=True, kw_only=True):
    """The agents; `default` is used where a session names none."""

    agents: tuple[AgentInfo, ...]
    default: str


class ModelInfo(WireStruct, frozen=True, kw_only=True):
    """A model. `context_tokens` is its window, if known."""

    name: str
    provider: str
    description: str
    context_tokens: int | None = None


class ModelListParams(WireStruct, frozen=True, kw_only=True):
    """Nothing."""


class ModelListResult(WireStruct, frozen=True, kw_only=True):
    """The models; `default` is used where a session names none."""

    models: tuple[ModelInfo, ...]
    default: str


METHODS: tuple[Method, ...] = (
    Method(
        name="agent/list",
        direction="call",
        params=AgentListParams,
        result=AgentListResult,
        role="observer",
        summary="List agents.",
    ),
    Method(
        name="model/list",
        direction="call",
        params=ModelListParams,
        result=ModelListResult,
        role="observer",
        summary="List models.",
    ),
)
