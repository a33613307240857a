"""Says in one line per call what tool results say. Pure. Every fact it states comes out of a result."""

from typing import Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
)
from holdfast_protocol.content import TextBlock, plain_text
from holdfast_protocol.events import Json

_QUOTED_CHARS_MAX: Final = 200
_SUBJECTS: Final = ("pattern", "path", "command")
"""The arguments that say what a call is about; the first one it has is named."""

_LISTED: Final = {"list": ("entry", "entries"), "glob": ("file", "files"), "grep": ("match", "matches")}
_SENTENCES: Final = frozenset({"write", "edit", "todo"})
"""Tools whose result is a sentence already."""


def summary(asked: AssistantMessage, answered: ToolResultsMessage) -> str:
    """Sum up the results of one response's calls."""
    calls = {part.tool_call_id: part for part in asked.parts if isinstance(part, ToolCallPart)}
    return "\n".join(_outcome(calls.get(result.tool_call_id), result) for result in answered.results)


def short(text: str) -> str:
    """Give a text, or the beginning of a long one."""
    return text if len(text) <= _QUOTED_CHARS_MAX else f"{text[:_QUOTED_CHARS_MAX]}…"


def _outcome(call: ToolCallPart | None, result: ToolResultPart) -> str:
    subject = _subject(call, result.tool)
    if result.is_error:
        return f"{subject} failed: {short(plain_text(result.content))}"
    texts = [block.text for block in result.content if isinstance(block, TextBlock)]
    first, *notes = texts or [""]
    return f"{subject}: {_facts(result.tool, first)}" + "".join(f" {short(note)}" for note in notes)


def _subject(call: ToolCallPart | None, tool: str) -> str:
    """Name what the call was about by the one argument a request gives."""
    arguments: dict[str, Json] = {}
    if call is not None:
        try:
            arguments = msgspec.json.decode(call.input_json, type=dict[str, Json])
        except msgspec.MsgspecError:
            return tool
    about = next((text for name in _SUBJECTS if isinstance(text := arguments.get(name), str)), "")
    return f"{tool} `{short(about)}`" if about else tool


def _facts(tool: str, text: str) -> str:
    if tool == "shell":
        return _shell_facts(text)
    if tool in _LISTED:
        return _listed_facts(text, *_LISTED[tool])
    return short(text) if tool in _SENTENCES else _text_facts(text)


def _text_facts(text: str) -> str:
    lines = text.splitlines()
    count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
    heading = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), None)
    if heading is not None:
        return f"{count}, first heading “{short(heading)}”."
    first = next((line.strip() for line in lines if line.strip()), None)
    return f"{count}, no heading" + (f", begins “{short(first)}”." if first else ".")


def _shell_facts(text: str) -> str:
    ending, *output = text.splitlines() or [""]
    if not output:
        return f"{ending}."
    count = "1 line" if len(output) == 1 else f"{len(output)} lines"
    return f"{ending}, {count} of output, the last “{short(output[-1])}”."


def _listed_facts(text: str, one: str, many: str) -> str:
    lines = text.splitlines()
    if len(lines) < 2:
        return f"1 {one}, “{short(lines[0])}”." if lines else f"0 {many}."
    return f"{len(lines)} {many}, the first “{short(lines[0])}”, the last “{short(lines[-1])}”."
