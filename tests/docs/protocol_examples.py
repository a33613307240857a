"""The examples of protocol/PROTOCOL.md: fenced blocks as conversations, and what counts as equal.

    → {…}    the client sends a message; what is not JSON is sent as it stands
    ← {…}    the daemon sends one
    ← …      the daemon sends whatever it sends
    ⊣ …      the connection ends: by the daemon, or lost, and then the client connects again
    // …     a remark

A line that begins with white space goes on with the one before it. Knows no sockets.
"""

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

PROTOCOL_MD: Final = Path(__file__).parents[2] / "protocol" / "PROTOCOL.md"

ANY: Final = "…"

LOOSE: Final = frozenset(
    {"at", "createdAt", "updatedAt", "startedAt", "durationMs", "uptimeMs", "pid", "rssBytes"}
)
"""Members whose numbers are those of one run of an example."""

_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]…]')
_PLACEHOLDER: Final = re.compile(r"<[A-Za-z0-9]+>")


class Mismatch(AssertionError):
    """What was received is not what the example says."""


class Block(NamedTuple):
    """A fenced block: the words after the fence, its text, and its line in the document."""

    info: str
    text: str
    line: int


class Step(NamedTuple):
    """One line of a conversation, its continuations joined."""

    mark: str
    text: str


def blocks(document: str) -> list[Block]:
    """Give all fenced blocks."""
    return [
        Block(match[1].strip(), match[2], document.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(document)
    ]


def prose(document: str) -> str:
    """Give the document without its fenced blocks."""
    return _FENCE.sub("", document)


def steps(text: str) -> list[Step]:
    """Read a conversation."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("//") or not line.strip():
            continue
        if line[0].isspace():
            found[-1] = Step(found[-1].mark, f"{found[-1].text} {line.strip()}")
        else:
            assert line[0] in "→←⊣", f"not a line of an example: {line!r}"
            found.append(Step(line[0], line[1:].strip()))
    return found


def parse(text: str) -> Any:
    """Give an example's message as JSON values, its ellipses as strings.

    Raises:
        ValueError: it is no JSON, or names a member twice: some examples are about that.
    """
    opened: list[str] = []

    def replace(token: "re.Match[str]") -> str:
        if token[0] in "{[":
            opened.append(token[0])
        elif token[0] in "}]" and opened:
            opened.pop()
        elif token[0] == ANY:
            is_member = opened[-1:] == ["{"] and not text[: token.start()].rstrip().endswith(":")
            return f'"{ANY}":"{ANY}"' if is_member else f'"{ANY}"'
        return token[0]

    return json.loads(_TOKEN.sub(replace, text), object_pairs_hook=_members)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def fill(value: Any, bound: dict[str, Any]) -> Any:
    """Replace the placeholders of a value by what they stand for."""
    match value:
        case dict():
            return {fill(name, bound): fill(item, bound) for name, item in value.items()}
        case list():
            return [fill(item, bound) for item in value]
        case str() if value in bound:
            return bound[value]
        case str():
            return _PLACEHOLDER.sub(lambda name: str(bound.get(name[0], name[0])), value)
    return value


def match(expected: Any, actual: Any, bound: dict[str, Any], path: str = "$") -> None:
    """Compare, and bind what new placeholders stand for.

    Raises:
        Mismatch: naming the place.
    """
    if isinstance(expected, str) and _PLACEHOLDER.fullmatch(expected):
        if bound.setdefault(expected, actual) != actual:
            raise Mismatch(f"{path}: {expected} was {bound[expected]!r} and is {actual!r} now")
    elif expected == ANY:
        pass
    elif isinstance(expected, dict) and isinstance(actual, dict):
        _match_members(expected, actual, bound, path)
    elif isinstance(expected, list) and isinstance(actual, list):
        _match_elements(expected, actual, bound, path)
    elif not _equal(fill(expected, bound), actual, path):
        raise Mismatch(f"{path}: expected {expected!r}, got {actual!r}")


def _match_members(
    expected: dict[str, Any], actual: dict[str, Any], bound: dict[str, Any], path: str
) -> None:
    named = expected.keys() - {ANY}
    missing, further = named - actual.keys(), actual.keys() - named
    if missing or (further and ANY not in expected):
        raise Mismatch(f"{path}: missing {sorted(missing)}, not expected {sorted(further)} in {actual!r}")
    for name in named:
        match(expected[name], actual[name], bound, f"{path}.{name}")


def _match_elements(expected: list[Any], actual: list[Any], bound: dict[str, Any], path: str) -> None:
    is_open = bool(expected) and expected[-1] == ANY
    wanted = expected[:-1] if is_open else expected
    if len(actual) < len(wanted) or (len(actual) > len(wanted) and not is_open):
        raise Mismatch(f"{path}: expected {len(wanted)} elements, got {actual!r}")
    for index, (one, other) in enumerate(zip(wanted, actual, strict=False)):
        match(one, other, bound, f"{path}[{index}]")


def _equal(expected: Any, actual: Any, path: str) -> bool:
    if isinstance(expected, str) and expected.endswith(ANY) and isinstance(actual, str):
        return actual.startswith(expected[:-1])
    if path.rpartition(".")[2] in LOOSE and isinstance(expected, int):
        return isinstance(actual, int)
    return type(expected) is type(actual) and expected == actual
