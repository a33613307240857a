"""What sessions can be made of: agents, models, tools; and tools that clients run."""

from typing import Annotated

from msgspec import Meta

from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events.base import Identifier, Json, ToolKind, WireStruct
from holdfast_protocol.methods.table import Method


class AgentInfo(WireStruct, frozen=True, kw_only=True):
    """An agent that can drive a session's runs."""

    name: str
    description: str


class AgentListParams(WireStruct, frozen=True, kw_only=True):
    """The daemon's agents, and with a session those of its plugins."""

    session_id: Identifier | None = None


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


class ToolInfo(WireStruct, frozen=True, kw_only=True):
    """A tool. `input_schema` is JSON Schema of an object; `hosted`: a client runs it."""

    name: str
    description: str
    kind: ToolKind
    input_schema: dict[str, Json]
    hosted: bool = False


class ToolListParams(WireStruct, frozen=True, kw_only=True):
    """The daemon's tools, and with a session those that clients registered with it."""

    session_id: Identifier | None = None


class ToolListResult(WireStruct, frozen=True, kw_only=True):
    """The tools, in the order models are told of them."""

    tools: tuple[ToolInfo, ...]


class HostedTool(WireStruct, frozen=True, kw_only=True):
    """A tool the client runs. It takes the place of one of the daemon's of the same name."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: Annotated[str, Meta(max_length=16384)]
    input_schema: dict[str, Json]
    kind: ToolKind = "other"


class ToolRegisterParams(WireStruct, frozen=True, kw_only=True):
    """The tools this connection runs for a session; replaces those it registered before."""

    session_id: Identifier
    tools: Annotated[tuple[HostedTool, ...], Meta(max_length=128)]


class ToolRegisterResult(WireStruct, frozen=True, kw_only=True):
    """How many tools the connection runs now."""

    registered: int


class ToolOutputParams(WireStruct, frozen=True, kw_only=True):
    """A piece of output of a call this connection runs."""

    session_id: Identifier
    tool_call_id: Identifier
    text: Annotated[str, Meta(max_length=262_144)]


class ToolOutputResult(WireStruct, frozen=True, kw_only=True):
    """Whether the call still runs; if not, its result is not wanted any more."""

    running: bool


class ToolCompleteParams(WireStruct, frozen=True, kw_only=True):
    """The end of a call this connection runs: `result`, or `error` in a sentence."""

    session_id: Identifier
    tool_call_id: Identifier
    result: tuple[ContentBlock, ...] | None = None
    error: Annotated[str, Meta(max_length=16384)] | None = None


class ToolCompleteResult(WireStruct, frozen=True, kw_only=True):
    """Whether the call was still waiting for it."""

    accepted: bool


class ToolCallParams(WireStruct, frozen=True, kw_only=True):
    """A call for the connection that registered the tool; `cancelled` takes it back."""

    session_id: str
    tool_call_id: str
    tool: str
    input: Json
    cancelled: bool = False


METHODS: tuple[Method, ...] = (
    Method(
        name="agent/list",
        direction="call",
        params=AgentListParams,
        result=AgentListResult,
        errors=("not_found", "storage_unavailable"),
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
    Method(
        name="tool/list",
        direction="call",
        params=ToolListParams,
        result=ToolListResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="List tools.",
    ),
    Method(
        name="tool/register",
        direction="call",
        params=ToolRegisterParams,
        result=ToolRegisterResult,
        errors=("not_found", "conflict", "storage_unavailable"),
        summary="Offer a session tools that this connection runs.",
    ),
    Method(
        name="tool/output",
        direction="call",
        params=ToolOutputParams,
        result=ToolOutputResult,
        errors=("not_found", "storage_unavailable"),
        summary="Give output of a call this connection runs.",
    ),
    Method(
        name="tool/complete",
        direction="call",
        params=ToolCompleteParams,
        result=ToolCompleteResult,
        errors=("not_found", "storage_unavailable"),
        summary="End a call this connection runs.",
    ),
    Method(
        name="tool/call",
        direction="server_notification",
        params=ToolCallParams,
        summary="A call for a tool this connection registered.",
    ),
)
