"""What tools of plugins and MCP servers have in common: a schema that is data, not a type of ours."""

from typing import Any, Protocol

import msgspec

from holdfast_daemon.models.base import ToolSpec
from holdfast_daemon.tools.base import Tool
from holdfast_protocol.events import Json, Location, ToolKind
from holdfast_protocol.methods.catalogue import ToolInfo


class ExtensionTool(Tool, Protocol):
    """A `Tool` whose input is any JSON object; whoever runs it checks it.

    Attributes:
        input_schema: what a model is told; plain, without references.
        timeout_s: how long a call may run.
        origin: where it comes from, for people, as `plugin notes` or `MCP server files`.
        digest: changes whenever what a model is told of the tool changes, or what a call of it would run.
    """

    input_schema: dict[str, Json]
    timeout_s: float
    origin: str
    digest: str


class DeclaredTool:
    """The part of an `ExtensionTool` that is the same for all: base of them.

    Args:
        name: what a model calls it.
        description: what a model is told.
        input_schema: an object's.
        kind: the gate's and people's.
        timeout_s: how long a call may run.
        origin: where it comes from, for people.
        source: what a call of it would run, see `program.source_of`.
    """

    input_type: type[msgspec.Struct] = dict[str, Json]  # pyright: ignore[reportAssignmentType] - whoever runs it checks it; here it need only be an object

    def __init__(
        self,
        *,
        name: str,
        description: str,
        input_schema: dict[str, Json],
        kind: ToolKind,
        timeout_s: float,
        origin: str,
        source: str,
    ) -> None:
        self.name = name
        self.description = description
        self.input_schema = input_schema
        self.kind: ToolKind = kind
        self.timeout_s = timeout_s
        self.origin = origin
        self.digest = digest_of(name, description, input_schema, source)

    def title(self, tool_input: Any) -> str:
        """See `Tool.title`."""
        del tool_input
        return self.name

    def locations(self, tool_input: Any, cwd: str) -> tuple[Location, ...]:
        """See `Tool.locations`."""
        del tool_input, cwd
        return ()


def digest_of(name: str, description: str, input_schema: dict[str, Json], source: str) -> str:
    """Give 32 hexadecimal digits that change with any of these."""
    import hashlib  # noqa: PLC0415 - only where there are extensions

    told = msgspec.json.encode([name, description, input_schema, source], order="deterministic")
    return hashlib.sha256(told).hexdigest()[:32]


def spec_of(tool: ExtensionTool) -> ToolSpec:
    """Give a tool as models are told of it."""
    return ToolSpec(name=tool.name, description=tool.description, input_schema=tool.input_schema)


def info_of(tool: ExtensionTool) -> ToolInfo:
    """Give a tool as clients see it."""
    return ToolInfo(
        name=tool.name, description=tool.description, kind=tool.kind, input_schema=tool.input_schema
    )
