"""The request language of the offline model: plain prompts to actions (docs/offline.md). Pure.

Reads the conversation: before tool results it asks for them, after them it sums up what they say. Every
fact it states comes out of a result.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.offline_steps import Action, Call, Count, Step, Text, Thinking, Words
from holdfast_protocol.content import TextBlock, plain_text

NOT_AN_AI: Final = "I am offline/rehearsal: fixed rules and scripts, not an AI."

HELP: Final = f"""{NOT_AN_AI} I can do this:

- `read FILE [and FILE ...]`: read files with the read tool and say what is in them
- `run COMMAND`: run a command with the shell tool
- `say TEXT`: stream the text word by word
- `think TEXT`: think it, then say so
- `count N`: stream the numbers from 1 to N
- `help`: this list
- a script: a prompt whose first line is `script:` (docs/offline.md)
"""

COUNT_MAX: Final = 1_000_000
FILES_MAX: Final = 16

_QUOTED_CHARS_MAX: Final = 200
_VERB: Final = re.compile(r"([A-Za-z]+)(?:\s*:\s*|\s+|$)")
_FILE_SEPARATOR: Final = re.compile(r"\s+and\s+|\s*,\s*", re.IGNORECASE)


def prompt_text(message: UserMessage) -> str:
    """Give a prompt's own text, without what the client attached."""
    return "\n".join(block.text for block in message.content if isinstance(block, TextBlock))


def respond(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Step:
    """Give the response to a conversation that ends with a plain prompt or with tool results."""
    match messages:
        case [*_, AssistantMessage() as asked, ToolResultsMessage() as answered]:
            actions = (_summary(asked, answered),)
        case _:
            prompt = next((m for m in reversed(messages) if isinstance(m, UserMessage)), None)
            actions = _answer(prompt_text(prompt) if prompt else "", {tool.name for tool in tools})
    return _labelled(actions, messages)


def _labelled(actions: Step, messages: Sequence[Message]) -> Step:
    """Put the label before the first text of a conversation, unless it says so itself."""
    wrote = any(
        isinstance(part, TextPart) for m in messages if isinstance(m, AssistantMessage) for part in m.parts
    )
    says_so = any(isinstance(action, Text) and NOT_AN_AI in action.value for action in actions)
    return actions if wrote or says_so else (Text(value=f"{NOT_AN_AI}\n"), *actions)


def _answer(text: str, tools: set[str]) -> Step:
    stripped = text.strip()
    verb = _VERB.match(stripped)
    handler = _VERBS.get(verb[1].lower()) if verb else None
    if verb is None or handler is None:
        return (Text(value=f"I do not understand that. {HELP}"),)
    return handler(stripped[verb.end() :], tools)


def _read(rest: str, tools: set[str]) -> Step:
    paths = [path.strip(" \t'\"`") for path in _FILE_SEPARATOR.split(rest)]
    paths = [path for path in paths if path]
    if not paths or len(paths) > FILES_MAX or "\n" in rest:
        return (Text(value=f"`read` takes one line with 1 to {FILES_MAX} files, with `and` between them."),)
    if "read" not in tools:
        return (Text(value="No read tool is offered here, so I cannot read files."),)
    return tuple(Call(tool="read", input={"path": path}) for path in paths)


def _run(rest: str, tools: set[str]) -> Step:
    if not rest:
        return (Text(value="`run` takes a command."),)
    if "shell" not in tools:
        return (Text(value=f"No shell tool is offered here, so I cannot run `{_short(rest)}`."),)
    return (Call(tool="shell", input={"command": rest}),)


def _say(rest: str, tools: set[str]) -> Step:
    del tools
    return (Words(value=rest),) if rest else (Text(value="`say` takes a text."),)


def _think(rest: str, tools: set[str]) -> Step:
    del tools
    if not rest:
        return (Text(value="`think` takes a text."),)
    return (Thinking(value=rest), Text(value=f"I have thought: {_short(rest)}"))


def _count(rest: str, tools: set[str]) -> Step:
    del tools
    if not (rest.isascii() and rest.isdigit() and len(rest) <= 7 and 1 <= int(rest) <= COUNT_MAX):
        return (Text(value=f"`count` takes a number from 1 to {COUNT_MAX}."),)
    return (Count(to=int(rest)),)


def _help(rest: str, tools: set[str]) -> Step:
    del rest, tools
    return (Text(value=HELP),)


_VERBS: Final[dict[str, Callable[[str, set[str]], Step]]] = {
    "read": _read,
    "run": _run,
    "say": _say,
    "think": _think,
    "count": _count,
    "help": _help,
}


def _summary(asked: AssistantMessage, answered: ToolResultsMessage) -> Action:
    calls = {part.tool_call_id: part for part in asked.parts if isinstance(part, ToolCallPart)}
    lines = [_outcome(calls.get(result.tool_call_id), result) for result in answered.results]
    return Text(value="\n".join(lines))


def _outcome(call: ToolCallPart | None, result: ToolResultPart) -> str:
    subject = _subject(call, result.tool)
    if result.is_error:
        return f"{subject} failed: {_short(plain_text(result.content))}"
    texts = [block.text for block in result.content if isinstance(block, TextBlock)]
    first, *notes = texts or [""]
    described = _shell_facts(first) if result.tool == "shell" else _text_facts(first)
    return f"{subject}: {described}" + "".join(f" {_short(note)}" for note in notes)


def _subject(call: ToolCallPart | None, tool: str) -> str:
    """Name what the call was about by the one argument a request gives."""
    try:
        arguments = msgspec.json.decode(call.input_json, type=dict[str, str]) if call else {}
    except msgspec.MsgspecError:
        arguments = {}
    about = arguments.get("path") or arguments.get("command")
    return f"{tool} `{_short(about)}`" if about else tool


def _text_facts(text: str) -> str:
    lines = text.splitlines()
    count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
    heading = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), None)
    if heading is not None:
        return f"{count}, first heading “{_short(heading)}”."
    first = next((line.strip() for line in lines if line.strip()), None)
    return f"{count}, no heading" + (f", begins “{_short(first)}”." if first else ".")


def _shell_facts(text: str) -> str:
    ending, *output = text.splitlines() or [""]
    if not output:
        return f"{ending}."
    count = "1 line" if len(output) == 1 else f"{len(output)} lines"
    return f"{ending}, {count} of output, the last “{_short(output[-1])}”."


def _short(text: str) -> str:
    return text if len(text) <= _QUOTED_CHARS_MAX else f"{text[:_QUOTED_CHARS_MAX]}…"
