"""The layers, from the default to the flag: each setting's value, and who gave it. Reads no file itself."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from holdfast_protocol.settings import key as keys
from holdfast_protocol.settings.command_keys import COMMAND_KEYS
from holdfast_protocol.settings.key import Key, Misfit
from holdfast_protocol.settings.table import DAEMON_KEYS

KEYS: Final[Mapping[str, Key]] = {key.name: key for key in (*DAEMON_KEYS, *COMMAND_KEYS)}
"""All settings, by name, in the order they are listed."""

SECTIONS: Final = frozenset(key.section for key in KEYS.values() if key.section)

Layer = Literal["default", "file", "environment", "flag"]


class Origin(NamedTuple):
    """Who gave a value.

    Attributes:
        layer: where it comes from.
        place: the file and line, the variable, or the flag; empty for a default.
    """

    layer: Layer
    place: str = ""


class Setting(NamedTuple):
    """A setting's value, and who gave it."""

    key: Key
    value: Any
    origin: Origin


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        place: as in `Origin`.
        key: the name that was given, empty if the trouble is with no name.
        message: what is wrong, without the place.
    """

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class BadSettings(Exception):
    """The settings cannot be used; nothing is guessed.

    Attributes:
        problems: all that was found, at least one; the message is the first and how many there are more.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = tuple(problems)


class File(NamedTuple):
    """A configuration file's path and text; the path is only named in messages."""

    path: str
    text: str


class Flag(NamedTuple):
    """A setting given on the command line.

    Attributes:
        spelling: how it was given, `--tcp`.
        name: the setting's.
        given: its text; or, of a list of tables, the tables.
    """

    spelling: str
    name: str
    given: str | list[dict[str, Any]]


def resolve(file: File | None, environ: Mapping[str, str], flags: Iterable[Flag] = ()) -> dict[str, Setting]:
    """Give every setting.

    Args:
        file: the configuration file; None if there is none.
        environ: the environment; an empty variable counts as not set, one of no setting is ignored.
        flags: the command line's, later ones win.

    Returns:
        Settings by name, in the order of `KEYS`.

    Raises:
        BadSettings: something is unknown, does not fit, or does not fit the rest.
    """
    settings = {name: Setting(key, key.default, Origin("default")) for name, key in KEYS.items()}
    problems: list[Problem] = []
    for found in (*_of_file(file), *_of_environment(environ), *_of_flags(flags)):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            settings[found.key.name] = found
    problems.extend(_at_odds(settings))
    if problems:
        raise BadSettings(problems)
    return settings


def _of_file(file: File | None) -> Iterator[Setting | Problem]:
    if file is None:
        return
    from holdfast_protocol.settings import document  # noqa: PLC0415 - `tomllib` is slow for a short command

    try:
        values = document.parse(file.text)
    except document.NotTOML as error:
        yield Problem(f"{file.path}:{error.line}", "", error.message)
        return
    lines = document.lines_of(file.text)
    for path, given in _leaves(values):
        place = f"{file.path}:{document.line_of(lines, path)}"
        key = KEYS.get(".".join(path))
        if key is not None and len(path) == len(key.name.split(".")):
            yield _fitted(key, given, Origin("file", place))
            yield from _strange_fields(file.path, lines, key, given)
        else:
            yield Problem(place, spelled(path), _unknown(path, given))


def _leaves(values: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield what stands in the file: keys of sections, and whatever is no known section."""
    for name, given in values.items():
        if name in SECTIONS and isinstance(given, dict):
            yield from (((name, bare), value) for bare, value in cast("dict[str, object]", given).items())
        else:
            yield (name,), given


def _strange_fields(
    path: str, lines: Mapping[tuple[str, ...], int], key: Key, given: object
) -> Iterator[Problem]:
    """Yield a problem for every unknown name in a list of tables."""
    from holdfast_protocol.settings import document  # noqa: PLC0415 - as above

    if key.kind != "tables" or not isinstance(given, list):
        return
    known = [field.bare for field in key.fields]
    for number, table in enumerate(cast("list[object]", given)):
        for name in cast("dict[str, object]", table) if isinstance(table, dict) else ():
            if name not in known:
                line = document.line_of(lines, (*key.name.split("."), str(number), name))
                message = f"unknown key {spelled((name,))} in [[{key.name}]]{meant(name, known)}"
                yield Problem(f"{path}:{line}", spelled((name,)), message)


def _of_environment(environ: Mapping[str, str]) -> Iterator[Setting | Problem]:
    for key in KEYS.values():
        text = environ.get(key.variable) if key.variable else None
        if text:
            yield _read(key, text, Origin("environment", key.variable))


def _of_flags(flags: Iterable[Flag]) -> Iterator[Setting | Problem]:
    for spelling, name, given in flags:
        if name not in KEYS:
            yield Problem(spelling, name, _unknown(tuple(name.split(".")), given))
        elif isinstance(given, str):
            yield _read(KEYS[name], given, Origin("flag", spelling))
        else:
            yield _fitted(KEYS[name], given, Origin("flag", spelling))


def _read(key: Key, text: str, origin: Origin) -> Setting | Problem:
    try:
        return Setting(key, keys.read(key, text), origin)
    except Misfit as misfit:
        return Problem(origin.place, key.name, f"{key.name}: {misfit}")


def _fitted(key: Key, given: object, origin: Origin) -> Setting | Problem:
    try:
        return Setting(key, keys.fit(key, given), origin)
    except Misfit as misfit:
        return Problem(origin.place, key.name, f"{key.name}: {misfit}")


def _at_odds(settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """Yield a problem for every setting that is over the one it must not be over."""
    for key, value, origin in settings.values():
        if key.not_over and value > settings[key.not_over].value:
            other = settings[key.not_over]
            place = origin.place or other.origin.place
            message = f"{keys.shown(value)} is over {key.not_over}, which is {keys.shown(other.value)}"
            yield Problem(place, key.name, f"{key.name}: {message}")


def _unknown(path: tuple[str, ...], given: object) -> str:
    name = spelled(path)
    if len(path) == 1 and path[0] in SECTIONS:
        return f"{name} is a section, not a value; write [{name}]"
    if len(path) == 1 and isinstance(given, dict):
        return f"unknown section [{name}]{meant(name, SECTIONS, '[{}]')}"
    return f"unknown key {name}{nearest_key(name)}"


def spelled(path: tuple[str, ...]) -> str:
    """Give a key as TOML writes it, on one line, shortened where it is long."""
    parts = (part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else keys.shown(part) for part in path)
    return ".".join(parts)


def nearest_key(name: str) -> str:
    """Give `, did you mean …?` for a name that is no setting's; nothing if none is near."""
    bare = name.rpartition(".")[2]
    namesakes = [key.name for key in KEYS.values() if key.bare == bare]
    return f", did you mean {namesakes[0]}?" if namesakes else meant(name, KEYS)


def meant(word: str, known: Iterable[str], form: str = "{}") -> str:
    """Give `, did you mean …?` if something known is close, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only after a mistake

    nearest = get_close_matches(word, sorted(known), n=1)
    return f", did you mean {form.format(nearest[0])}?" if nearest else ""
