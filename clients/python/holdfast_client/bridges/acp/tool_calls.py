"""Tool calls as editors show them: kinds, places, what would be changed, what came of it. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast_client.bridges.acp.content import output_shown, shown, text_shown
from holdfast_protocol import content, events
from holdfast_protocol.foreign.acp.content import Diff, Kind, Place, Shown, ToolContent

_KINDS: Final[dict[str, Kind]] = {
    "read": "read",
    "list": "search",
    "glob": "search",
    "grep": "search",
    "write": "edit",
    "edit": "edit",
    "shell": "execute",
    "fetch": "fetch",
    "todo": "think",
    "delegate": "think",
}
"""Of calls that are announced before they say their kind."""

_PLAIN_KINDS: Final = frozenset({"read", "search", "execute", "fetch"})
"""What these give is no Markdown."""

SHOWN_CHARS_MAX: Final = 64 * 1024
"""Of one result; more would only make an editor slow, and the log has all of it."""


def kind_of(tool: str) -> Kind:
    """Guess a tool's kind from its name."""
    return _KINDS.get(tool, "other")


def places(locations: tuple[events.Location, ...]) -> tuple[Place, ...]:
    """Give locations."""
    return tuple(Place(path=location.path, line=location.line) for location in locations)


def place_of(members: Mapping[str, Any], locations: tuple[Place, ...], cwd: str) -> str | None:
    """Give the absolute path of the file a call is about."""
    if locations:
        return locations[0].path
    path = members.get("path")
    return str(Path(cwd) / path) if isinstance(path, str) else None


def proposed_diff(
    tool: str, given: Mapping[str, Any], path: str | None, before: str | None
) -> tuple[Diff, ...]:
    """Give the change a call would make to a file, as far as its input tells.

    Args:
        tool: its name.
        given: its input.
        path: of the file, absolute.
        before: what is in the file, if that is known.
    """
    if path is None:
        return ()
    match tool, given:
        case "write", {"content": str(new)}:
            return (Diff(path=path, old_text=before, new_text=new),)
        case "edit", {"old": str(old), "new": str(new)}:
            return (Diff(path=path, old_text=old, new_text=new),)
        case _:
            return ()


def parsed(text: str) -> Any:
    """Give a call's input as JSON, or as the model wrote it where that is none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def result_shown(kind: str, event: events.ToolCallCompleted) -> tuple[ToolContent, ...]:
    """Give what came of a call: its changes if it made any, else what the model was told."""
    if event.diff:
        return tuple(
            Diff(path=diff.path, old_text=diff.old_text, new_text=diff.new_text) for diff in event.diff
        )
    return tuple(_shown(kind, block) for block in event.result)


def failure_shown(event: events.ToolCallFailed) -> tuple[ToolContent, ...]:
    """Give why a call has no result, behind its output so far."""
    partial = (output_shown(_cut(event.partial)),) if event.partial else ()
    return (*partial, text_shown(event.error.message))


def output_so_far(text: str) -> tuple[ToolContent, ...]:
    """Give the end of what a running call has put out."""
    return (output_shown(text),)


def _shown(kind: str, block: content.ContentBlock) -> Shown:
    if not isinstance(block, content.TextBlock):
        return Shown(content=shown(block))
    text = _cut(block.text)
    return output_shown(text) if kind in _PLAIN_KINDS else text_shown(text)


def _cut(text: str) -> str:
    if len(text) <= SHOWN_CHARS_MAX:
        return text
    return f"{text[:SHOWN_CHARS_MAX]}\n… ({len(text) - SHOWN_CHARS_MAX} more characters)"
