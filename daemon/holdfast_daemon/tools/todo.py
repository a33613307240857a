"""The `todo` tool: the session's plan, replaced as a whole. Touches nothing but the session."""

from collections import Counter
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast_daemon.tools.base import ToolContext, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, PlanEntry, ToolKind

ENTRIES_MAX: Final = 100
CONTENT_CHARS_MAX: Final = 1000


class TodoEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do."""

    content: Annotated[
        str, Meta(min_length=1, max_length=CONTENT_CHARS_MAX, description="what is to be done")
    ]
    priority: Annotated[Literal["high", "medium", "low"], Meta(description="how much it matters")] = "medium"
    status: Annotated[Literal["pending", "in_progress", "completed"], Meta(description="how far it is")] = (
        "pending"
    )


class TodoInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole plan from now on."""

    entries: Annotated[
        tuple[TodoEntry, ...],
        Meta(max_length=ENTRIES_MAX, description="in the order of doing; empty for none"),
    ]


class TodoTool:
    """Hands the plan over with its result; the session makes it the session's."""

    name = "todo"
    description = (
        "Replace the plan that the user sees: all entries, done or not. Keep it up to date while you work; "
        "not worth it for what takes a step or two."
    )
    kind: ToolKind = "think"
    input_type: type[msgspec.Struct] = TodoInput

    def title(self, tool_input: TodoInput) -> str:
        """Say how far the plan is."""
        done = sum(entry.status == "completed" for entry in tool_input.entries)
        return f"plan: {done} of {len(tool_input.entries)} done"

    def locations(self, tool_input: TodoInput, cwd: str) -> tuple[Location, ...]:
        """Give none."""
        del tool_input, cwd
        return ()

    async def run(self, tool_input: TodoInput, context: ToolContext) -> ToolResult:
        """Take the plan. Cannot fail."""
        del context
        plan = tuple(
            PlanEntry(content=entry.content, priority=entry.priority, status=entry.status)
            for entry in tool_input.entries
        )
        return ToolResult(content=(TextBlock(text=_sentence(plan)),), plan=plan)


def _sentence(plan: tuple[PlanEntry, ...]) -> str:
    if not plan:
        return "The plan is empty."
    counts = Counter(entry.status for entry in plan)
    said = ", ".join(
        f"{counts[status]} {status.replace('_', ' ')}"
        for status in ("completed", "in_progress", "pending")
        if counts[status]
    )
    return f"The plan has {len(plan)} {'entry' if len(plan) == 1 else 'entries'}: {said}."
