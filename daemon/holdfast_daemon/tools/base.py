"""What a tool is, and what it gets.

A tool checks nothing the executor checks (shape of its input, time-outs, caps) and knows nothing of events,
sessions or models.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from holdfast_daemon.execution.seen_files import SeenFiles
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import Diff, Location, PlanEntry, ToolKind

Delegate = Callable[[str, str, str], Awaitable[tuple[ContentBlock, ...]]]
"""Has a sub-agent do a task, see `ToolContext.delegate`; raises ToolFailure if it gives no answer."""


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where and for whom a call runs.

    Attributes:
        tool_call_id: the call's.
        cwd: the session's directory, absolute.
        roots: the directories tools may touch; the first is `cwd`.
        hidden: directories that tools never touch, wherever they are: the daemon's own.
        env: the session's allow-listed environment; child processes get this and nothing else.
        output: give a piece of output as it comes; may wait for the disk, never for a subscriber. Pieces
            past the executor's cap are counted and dropped.
        seen: what the session's tools last saw of each file; the executor puts the session's own here.
        results: the directory of results of which the model was shown a part; None: none are kept.
        delegate: has a sub-agent do a task: its name, the task, this call's id; None: there are none.
    """

    tool_call_id: str
    cwd: str
    roots: tuple[str, ...]
    env: Mapping[str, str]
    output: Callable[[str], Awaitable[None]]
    hidden: tuple[str, ...] = ()
    seen: SeenFiles = msgspec.field(default_factory=lambda: SeenFiles(files_max=1))
    results: str | None = None
    delegate: Delegate | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is shown.

    Attributes:
        content: the result itself.
        diff: the files it changed; without those whose texts are too large.
        truncated: the content was cut or a diff left out; the content says so.
        plan: the session's plan from now on, replaced whole; None leaves it.
    """

    content: tuple[ContentBlock, ...]
    diff: tuple[Diff, ...] = ()
    truncated: bool = False
    plan: tuple[PlanEntry, ...] | None = None


class ToolFailure(Exception):
    """The call failed in an expected way; the message goes back to the model.

    Args:
        message: what was wrong and, if it helps, what to do instead.
        kind: a stable name, as `not_found`, `outside_roots`, `timeout`.
    """

    def __init__(self, message: str, kind: str = "tool_failed") -> None:
        super().__init__(message)
        self.kind = kind


class Tool(Protocol):
    """One tool. `input_type` is a msgspec Struct; its docstring and fields become the model's schema."""

    name: str
    description: str
    kind: ToolKind
    input_type: type[msgspec.Struct]

    def title(self, tool_input: Any) -> str:
        """Say in a few words what the call does, as `read README.md`."""
        ...

    def locations(self, tool_input: Any, cwd: str) -> tuple[Location, ...]:
        """Give the places the call looks at or changes."""
        ...

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Do it. Cancelling ends everything the call started.

        Raises:
            ToolFailure: it could not be done.
        """
        ...
