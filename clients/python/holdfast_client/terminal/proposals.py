"""What a permission request is about, whole: nobody is to allow what they have not seen.

An edit is shown as a diff: its input is compared with the file as it is now. Of any other call the title is
enough where it says everything; else the command or the input is shown as well.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from holdfast_client.shell import inquiry
from holdfast_client.shell.plain import one_line, revealed
from holdfast_client.terminal import changes
from holdfast_client.terminal.items import Change, Proposed
from holdfast_protocol.events import RequestOpened

TEXT_CHARS_MAX: Final = 16 * 1024
PART_LINES: Final = 100
"""Of something very long that is shown whole."""

TITLE_CHARS_MAX: Final = 100
"""A longer title is not read to its end."""


def proposal_of(
    request: RequestOpened, cwd: str, read: changes.Read, *, whole: bool = False
) -> Proposed | None:
    """Give what is to be shown of a request beside its title; None if that says it all.

    Args:
        request: of any kind.
        cwd: of the session.
        read: see `changes.Read`.
        whole: without any bound; else of something very long the beginning.
    """
    title = one_line(request.title, TITLE_CHARS_MAX)
    detail = _members(request.detail)
    asked = inquiry.lines(detail)
    if asked is not None:
        return _proposed(title, "\n".join(asked), whole=whole)
    if request.kind != "permission":
        return None
    change = _change(detail, cwd, read, None if whole else changes.LINES_MAX)
    if change is not None:
        return Proposed(title, change, whole=whole)
    text = _text(detail)
    if text and revealed(text) == text and "\n" not in text and text in title:
        return None
    return _proposed(title, text, whole=whole) if text else None


def _proposed(title: str, text: str, *, whole: bool) -> Proposed:
    part = text if whole else text[:TEXT_CHARS_MAX]
    shown = revealed(part)
    more = f"\n… {len(text) - len(part)} more characters" if len(text) > len(part) else ""
    return Proposed(title, text=shown + more, hides=shown != part, whole=whole)


def whole_of(request: RequestOpened, cwd: str, read: changes.Read) -> Iterator[Proposed]:
    """Give all of what a request is about, in parts that do not take long to draw.

    Args:
        request: see `proposal_of`.
        cwd: see there.
        read: see there.
    """
    whole = proposal_of(request, cwd, read, whole=True)
    if whole is None:
        return
    change = whole.change
    lines = whole.text.split("\n") if change is None else change.lines
    for at in range(0, len(lines), PART_LINES):
        part = lines[at : at + PART_LINES]
        text = "\n".join(part) if change is None else ""
        yield replace(
            whole,
            change=change and replace(change, lines=part),
            text=text,
            hides=whole.hides and not at,
            continues=at > 0,
        )


def _members(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType] - JSON
    return members


def _text(detail: dict[str, Any]) -> str:
    """Give the exact command, or the input as JSON."""
    match = detail.get("match")
    if isinstance(match, str):
        return match
    return json.dumps(detail["input"], ensure_ascii=False, indent=1) if "input" in detail else ""


def _change(detail: dict[str, Any], cwd: str, read: changes.Read, lines_max: int | None) -> Change | None:
    fields = _members(detail.get("input"))
    path = fields.get("path")
    if not isinstance(path, str):
        return None
    match detail.get("tool"), fields:
        case "edit", {"old": str(old), "new": str(new)}:
            text = read(str(Path(cwd, path)))
            every = bool(fields.get("replace_all"))
            change = changes.of_edit(path, old, new, text, every=every, lines_max=lines_max)
        case "write", {"content": str(content)}:
            change = changes.of_write(path, read(str(Path(cwd, path))), content, lines_max=lines_max)
        case _:
            return None
    if len(path) > TITLE_CHARS_MAX // 2 or one_line(path, TITLE_CHARS_MAX) != path:
        change.lines.insert(0, f"\\ the file: {revealed(path)}".replace("\n", "<LF>"))
    return change
