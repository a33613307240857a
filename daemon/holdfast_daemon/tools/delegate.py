"""The `delegate` tool: gives a task to a sub-agent, which works in a session of its own."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.events import Location, ToolKind

_TITLE_CHARACTERS = 60


class DelegateInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, and who does it."""

    task: Annotated[
        str,
        Meta(min_length=1, max_length=65_536, description="all the sub-agent is told; it sees nothing else"),
    ]
    agent: Annotated[
        str, Meta(min_length=1, max_length=128, description="the sub-agent's name; the default is as you are")
    ] = "chat"


class DelegateTool:
    """See the module. Who runs sub-agents is the session's matter: `ToolContext.delegate`.

    Args:
        timeout_s: the longest a sub-agent may work.
    """

    name = "delegate"
    description = (
        "Give a task to a sub-agent. It works in the same directories with no more rights than you have, "
        "and its last answer is the result. Call it several times in one step to have them work side by side."
    )
    kind: ToolKind = "other"
    input_type: type[msgspec.Struct] = DelegateInput
    waits = True  # Its sub-agent's calls take the places for calls; it takes none itself.

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def title(self, tool_input: Any) -> str:
        """See `Tool.title`."""
        first = tool_input.task.strip().partition("\n")[0]
        return f"{tool_input.agent}: {first[:_TITLE_CHARACTERS]}"

    def locations(self, tool_input: Any, cwd: str) -> tuple[Location, ...]:
        """See `Tool.locations`."""
        del tool_input, cwd
        return ()

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Have it done; a cancellation ends the sub-agent and all it started."""
        if context.delegate is None:
            raise ToolFailure("There are no sub-agents here.", kind="unsupported")
        return ToolResult(
            content=await context.delegate(tool_input.agent, tool_input.task, context.tool_call_id)
        )
