"""Questions to a session's log that the claims have in common. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo.evidence import Events
from holdfast_protocol import events
from holdfast_protocol.content import plain_text

_EXIT_CODE: Final = re.compile(r"exit code (\d+)")


def seqs(log: Iterable[AnyEvent]) -> list[int]:
    """Give the places of events."""
    return [event.seq for event in log]


def starts(log: Events, tool: str | None = None) -> list[events.ToolCallStarted]:
    """Give the starts of tool calls: of one tool, or of all."""
    found = [event for event in log if isinstance(event, events.ToolCallStarted)]
    return [start for start in found if tool is None or start.tool == tool]


def ends(log: Events) -> list[events.ToolCallCompleted | events.ToolCallFailed]:
    """Give the ends of tool calls."""
    return [event for event in log if isinstance(event, events.ToolCallCompleted | events.ToolCallFailed)]


def completions(log: Events, tool: str) -> list[events.ToolCallCompleted]:
    """Give the results of one tool's calls."""
    calls = {start.tool_call_id for start in starts(log, tool)}
    return [
        end for end in ends(log) if isinstance(end, events.ToolCallCompleted) and end.tool_call_id in calls
    ]


def requests(log: Events, tool: str) -> list[events.RequestOpened]:
    """Give the requests for leave to call a tool."""
    return [event for event in log if asks_for(event, tool)]  # pyright: ignore[reportReturnType]


def asks_for(event: AnyEvent, tool: str) -> bool:
    """Tell whether an event asks for leave to call a tool."""
    match event:
        case events.RequestOpened(detail={"tool": str(asked)}):
            return asked == tool
        case _:
            return False


def answer(log: Events, request_id: str) -> events.RequestResolved | None:
    """Give the answer to a request; None if there is none, or more than one."""
    found = [
        event for event in log if isinstance(event, events.RequestResolved) and event.request_id == request_id
    ]
    return found[0] if len(found) == 1 else None


def exit_code(result: events.ToolCallCompleted) -> int | None:
    """Give how a command ended, from the `shell` tool's result."""
    match = _EXIT_CODE.match(plain_text(result.result))
    return int(match[1]) if match else None
