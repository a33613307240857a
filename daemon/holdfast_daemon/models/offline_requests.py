"""The request language of the offline model: plain prompts to actions (docs/offline.md). Pure.

Reads the conversation: before tool results it asks for them, after them it goes on or sums up what they say.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    TextPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.offline_steps import Call, Count, Step, Text, Thinking, Words
from holdfast_daemon.models.offline_summary import short, summary
from holdfast_protocol.content import TextBlock

NOT_AN_AI: Final = "I am offline/rehearsal: fixed rules and scripts, not an AI."

HELP: Final = f"""{NOT_AN_AI} I can do this:

- `read FILE [and FILE ...]`: read files with the read tool and say what is in them
- `list files [in DIR]`: list a directory with the list tool
- `find PATTERN`: find files by a pattern of their paths with the glob tool
- `search for TEXT [in PATH]`: search files with the grep tool
- `write FILE: CONTENT`: create or replace a file with the write tool
- `replace X with Y in FILE`: read the file, then change it with the edit tool
- `plan: A; B; C`: set the session's plan with the todo tool
- `run COMMAND`: run a command with the shell tool
- `say TEXT`: stream the text word by word
- `think TEXT`: think it, then say so
- `count N`: stream the numbers from 1 to N
- `help`: this list
- a script: a prompt whose first line is `script:` (docs/offline.md)
"""

COUNT_MAX: Final = 1_000_000
FILES_MAX: Final = 16
PLAN_MAX: Final = 100

_QUOTES: Final = "\"'`"
_VERB: Final = re.compile(r"([A-Za-z]+)(?:\s*:\s*|\s+|$)")
_FILE_SEPARATOR: Final = re.compile(r"\s+and\s+|\s*,\s*", re.IGNORECASE)


def prompt_text(message: UserMessage) -> str:
    """Give a prompt's own text, without what the client attached."""
    return "\n".join(block.text for block in message.content if isinstance(block, TextBlock))


def respond(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Step:
    """Give the response to a conversation that ends with a plain prompt or with tool results."""
    request, place = _request(messages)
    match messages:
        case [*_, AssistantMessage() as asked, ToolResultsMessage() as answered]:
            actions = _next(request, place, answered) or (Text(value=summary(asked, answered)),)
        case _:
            actions = _answer(request, {tool.name for tool in tools})
    return _labelled(actions, messages)


def _request(messages: Sequence[Message]) -> tuple[str, int]:
    """Give the latest prompt's text, and how many responses there were since."""
    place = 0
    for message in reversed(messages):
        if isinstance(message, UserMessage):
            return prompt_text(message), place
        place += isinstance(message, AssistantMessage)
    return "", place


def _labelled(actions: Step, messages: Sequence[Message]) -> Step:
    """Put the label before the first text of a conversation, unless it says so itself."""
    wrote = any(
        isinstance(part, TextPart) for m in messages if isinstance(m, AssistantMessage) for part in m.parts
    )
    says_so = any(isinstance(action, Text) and NOT_AN_AI in action.value for action in actions)
    return actions if wrote or says_so else (Text(value=f"{NOT_AN_AI}\n"), *actions)


def _answer(text: str, tools: set[str]) -> Step:
    verb, rest = _parted(text)
    handler = _VERBS.get(verb)
    if handler is None:
        return (Text(value=f"I do not understand that. {HELP}"),)
    return handler(rest, tools)


def _next(text: str, place: int, answered: ToolResultsMessage) -> Step:
    """Give what follows on the results of response `place`, from 1; nothing where all is done."""
    verb, rest = _parted(text)
    change = _change(rest) if verb == "replace" and place == 1 else None
    if change is None or any(result.is_error for result in answered.results):
        return ()
    return (Call(tool="edit", input={**change}),)


def _parted(text: str) -> tuple[str, str]:
    """Part a request into its verb, in small letters, and the rest."""
    stripped = text.strip()
    verb = _VERB.match(stripped)
    return (verb[1].lower(), stripped[verb.end() :]) if verb else ("", stripped)


def _without(tool: str, to_do: str) -> Step:
    return (Text(value=f"No {tool} tool is offered here, so I cannot {to_do}."),)


def _read(rest: str, tools: set[str]) -> Step:
    paths = [path.strip(" \t'\"`") for path in _FILE_SEPARATOR.split(rest)]
    paths = [path for path in paths if path]
    if not paths or len(paths) > FILES_MAX or "\n" in rest:
        return (Text(value=f"`read` takes one line with 1 to {FILES_MAX} files, with `and` between them."),)
    if "read" not in tools:
        return _without("read", "read files")
    return tuple(Call(tool="read", input={"path": path}) for path in paths)


def _run(rest: str, tools: set[str]) -> Step:
    if not rest:
        return (Text(value="`run` takes a command."),)
    if "shell" not in tools:
        return _without("shell", f"run `{short(rest)}`")
    return (Call(tool="shell", input={"command": rest}),)


def _list(rest: str, tools: set[str]) -> Step:
    words = rest.split(maxsplit=2)
    given = [word.lower() for word in words[:2]]
    if given not in (["files"], ["files", "in"]) or len(words) == 2:
        return (Text(value="`list` takes `files`, or `files in DIR`."),)
    if "list" not in tools:
        return _without("list", "list files")
    return (Call(tool="list", input={"path": _unquoted(words[2]) if len(words) == 3 else "."}),)


def _find(rest: str, tools: set[str]) -> Step:
    if not rest or "\n" in rest:
        return (Text(value="`find` takes a pattern, as `*.py` or `src/**/*.py`."),)
    if "glob" not in tools:
        return _without("glob", "find files")
    return (Call(tool="glob", input={"pattern": _unquoted(rest)}),)


def _search(rest: str, tools: set[str]) -> Step:
    word, _, given = rest.partition(" ")
    text, path = _ended(given.strip(), "in") or (_unquoted(given), ".")
    if word.lower() != "for" or not text or not path or "\n" in rest:
        return (Text(value="`search` takes `for TEXT`, or `for TEXT in PATH`."),)
    if "grep" not in tools:
        return _without("grep", "search")
    return (Call(tool="grep", input={"pattern": re.escape(text), "path": path}),)


def _write(rest: str, tools: set[str]) -> Step:
    path, colon, content = rest.partition(":")
    path = _unquoted(path)
    if not path or not colon or "\n" in path:
        return (Text(value="`write` takes a file, a colon and the content."),)
    if "write" not in tools:
        return _without("write", f"write `{short(path)}`")
    content = content.removeprefix(" ").removeprefix("\n")
    return (Call(tool="write", input={"path": path, "content": f"{content}\n" if content else ""}),)


def _replace(rest: str, tools: set[str]) -> Step:
    change = _change(rest)
    if change is None:
        return (Text(value="`replace` takes `X with Y in FILE`; quote X and Y if in doubt."),)
    for tool in ("read", "edit"):
        if tool not in tools:
            return _without(tool, f"change `{short(change['path'])}`")
    return (Call(tool="read", input={"path": change["path"]}),)


def _plan(rest: str, tools: set[str]) -> Step:
    entries = [entry.strip() for entry in rest.replace("\n", ";").split(";") if entry.strip()]
    if not entries or len(entries) > PLAN_MAX:
        return (Text(value=f"`plan` takes 1 to {PLAN_MAX} entries with `;` between them."),)
    if "todo" not in tools:
        return _without("todo", "set a plan")
    return (Call(tool="todo", input={"entries": [{"content": entry} for entry in entries]}),)


def _say(rest: str, tools: set[str]) -> Step:
    del tools
    return (Words(value=rest),) if rest else (Text(value="`say` takes a text."),)


def _think(rest: str, tools: set[str]) -> Step:
    del tools
    if not rest:
        return (Text(value="`think` takes a text."),)
    return (Thinking(value=rest), Text(value=f"I have thought: {short(rest)}"))


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
    "list": _list,
    "find": _find,
    "search": _search,
    "write": _write,
    "replace": _replace,
    "plan": _plan,
    "run": _run,
    "say": _say,
    "think": _think,
    "count": _count,
    "help": _help,
}


def _change(rest: str) -> dict[str, str] | None:
    """Read `X with Y in FILE`; None if it is not that."""
    old, new_and_path = _begun(rest, "with") or ("", "")
    new, path = _ended(new_and_path, "in") or ("", "")
    return {"path": path, "old": old, "new": new} if old and path and "\n" not in path else None


def _begun(text: str, word: str) -> tuple[str, str] | None:
    """Part a text at the first `word`; a quoted piece before it may hold that word too."""
    quoted = _quoted(text, word)
    if quoted is not None:
        return quoted
    before, found, after = text.partition(f" {word} ")
    return (before.strip(), after) if found else None


def _ended(text: str, word: str) -> tuple[str, str] | None:
    """Part a text at the last `word`, or at the one behind a quoted piece; what follows is unquoted."""
    quoted = _quoted(text, word)
    if quoted is not None:
        return quoted[0], _unquoted(quoted[1])
    if _unquoted(text) != text.strip():
        return None  # All of it is one quoted piece.
    before, found, after = text.rpartition(f" {word} ")
    return (_unquoted(before), _unquoted(after)) if found else None


def _quoted(text: str, word: str) -> tuple[str, str] | None:
    """Part `"PIECE" word REST`; None if the text is not that."""
    end = text.find(text[0], 1) if text and text[0] in _QUOTES else -1
    after = text[end + 1 :]
    if end < 0 or not after.startswith(f" {word} "):
        return None
    return text[1:end], after[len(word) + 2 :]


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        return text[1:-1]
    return text
