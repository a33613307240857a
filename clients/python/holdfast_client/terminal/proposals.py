"""What a permission request is about, whole: nobody is to allow what they have not seen.

An edit is shown as a diff: its input is compared with the file as it is now. Of any other call the title is
enough where it says everything; else the command or the input is shown as well.
"""

import json
from pathlib import Path
from typing import Any, Final

from holdfast_client.shell.plain import one_line, plain
from holdfast_client.terminal import changes
from holdfast_client.terminal.items import Change, Proposed
from holdfast_protocol.events import RequestOpened

TEXT_CHARS_MAX: Final = 16 * 1024
TITLE_CHARS_MAX: Final = 100
"""A longer title is not read to its end."""


def proposal_of(request: RequestOpened, cwd: str, read: changes.Read) -> Proposed | None:
    """Give what is to be shown of a request beside its title; None if that says it all.

    Args:
        request: of any kind.
        cwd: of the session.
        read: see `changes.Read`.
    """
    if request.kind != "permission":
        return None
    title = one_line(request.title, TITLE_CHARS_MAX)
    detail = _members(request.detail)
    change = _change(detail, cwd, read)
    if change is not None:
        return Proposed(title, change)
    text = _text(detail)
    shown = plain(text[:TEXT_CHARS_MAX])
    hides = shown != text[:TEXT_CHARS_MAX]
    if text and not hides and "\n" not in text and text in title:
        return None
    more = f"\n… {len(text) - TEXT_CHARS_MAX} more characters" if len(text) > TEXT_CHARS_MAX else ""
    return Proposed(title, text=shown + more, hides=hides) if text else None


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


def _change(detail: dict[str, Any], cwd: str, read: changes.Read) -> Change | None:
    fields = _members(detail.get("input"))
    path = fields.get("path")
    if not isinstance(path, str):
        return None
    match detail.get("tool"), fields:
        case "edit", {"old": str(old), "new": str(new)}:
            text = read(str(Path(cwd, path)))
            return changes.of_edit(path, old, new, text, every=bool(fields.get("replace_all")))
        case "write", {"content": str(content)}:
            return changes.change_of(path, read(str(Path(cwd, path))) or "", content)
        case _:
            return None
