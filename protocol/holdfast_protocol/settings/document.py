"""The text of a configuration file: what it says, and on which line. Knows no setting.

`tomllib` reads it, and does not say where a key stood; so, after a mistake, the text is taken apart into
statements. A statement is the shortest run of lines that `tomllib` accepts on its own: whatever it holds of
strings over several lines, arrays or comments, nothing here has to know.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

CHARACTERS_MAX: Final = 64 * 1024
"""A file with every setting in it and a comment on each takes a quarter of that."""

_STATEMENT_LINES_MAX: Final = 200
"""Of a statement that is longer, nothing is said about where it begins: the search would take long."""

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

Path = tuple[str, ...]
"""A key as its parts; an element of a list of tables is its number, from 0."""


class NotTOML(Exception):
    """The text cannot be read.

    Attributes:
        line: where, from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class Statement(NamedTuple):
    """A header or a key with its value: the line it begins on, and all paths it makes."""

    line: int
    paths: tuple[Path, ...]


def parse(text: str) -> dict[str, Any]:
    """Read the text.

    Raises:
        NotTOML: it is no TOML, or over `CHARACTERS_MAX`.
    """
    if len(text) > CHARACTERS_MAX:
        raise NotTOML(f"longer than {CHARACTERS_MAX} characters", 1)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotTOML("nested too deeply", _first_bad_line(text)) from None
    except ValueError as error:  # A TOMLDecodeError; or a number with more digits than Python reads.
        place = _PLACE.search(str(error))
        message = str(error)[: place.start() if place else None]
        last = text.count("\n") + 1
        line = int(place[1] or last) if place else _first_bad_line(text)
        raise NotTOML(message[:1].lower() + message[1:], line) from None


def lines_of(text: str) -> dict[Path, int]:
    """Give the line of each path's first statement, in a text that `parse` accepted."""
    lines: dict[Path, int] = {}
    for statement in statements(text):
        for path in statement.paths:
            lines.setdefault(path, statement.line)
    return lines


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Give the line of a path, or of what is nearest around it."""
    around = (path[:length] for length in range(len(path), 0, -1))
    return next((lines[outer] for outer in around if outer in lines), 1)


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a text that `parse` accepted."""
    section: Path = ()
    counts: dict[Path, int] = {}
    for line, source, values in _pieces(text):
        if not values:
            continue  # Blank, or a comment.
        if source.lstrip().startswith("["):
            header = _deepest(values)
            if source.lstrip().startswith("[["):
                counts[header] = counts.get(header, -1) + 1
            section = _numbered(header, counts)
            yield Statement(line, tuple(section[:length] for length in range(1, len(section) + 1)))
        else:
            yield Statement(line, tuple((*section, *path) for path in _paths(values)))


def _pieces(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the line, text and values of each statement, as if it stood alone."""
    first, held = 1, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        held = f"{held}\n{line}" if held else line
        if number - first >= _STATEMENT_LINES_MAX:
            return
        try:
            values = tomllib.loads(held)
        except (ValueError, RecursionError):
            continue
        yield first, held, values
        first, held = number + 1, ""


def _first_bad_line(text: str) -> int:
    """Give the line after the last that could be read."""
    line = 1
    for first, source, _ in _pieces(text):
        line = first + source.count("\n") + 1
    return line


def _numbered(path: Path, counts: dict[Path, int]) -> Path:
    """Put the number of the last element behind each list of tables in a path."""
    numbered: Path = ()
    for length, part in enumerate(path, 1):
        numbered = (*numbered, part)
        if path[:length] in counts:
            numbered = (*numbered, str(counts[path[:length]]))
    return numbered


def _deepest(values: dict[str, Any]) -> Path:
    """Give the path of a header: every table in it has one member, the last has none."""
    path: Path = ()
    inner: Any = values
    while inner:
        if isinstance(inner, list):
            inner = cast("list[Any]", inner)[0]
            continue
        members = cast("dict[str, Any]", inner)
        name = next(iter(members))
        path, inner = (*path, name), members[name]
    return path


def _paths(values: Any, path: Path = ()) -> Iterator[Path]:
    """Yield every path into a value, outer ones first."""
    if path:
        yield path
    match values:
        case dict():
            for name, value in cast("dict[str, Any]", values).items():
                yield from _paths(value, (*path, name))
        case list():
            for number, value in enumerate(cast("list[Any]", values)):
                if isinstance(value, dict):
                    yield from _paths(value, (*path, str(number)))
        case _:
            pass
