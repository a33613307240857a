"""Reads a plugin.yaml into a `Manifest`, or says everything that is wrong with it. Pure.

Each entry is checked on its own, so that one look shows all mistakes; every problem names line and field.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

import msgspec

from holdfast_daemon.extensions.manifest import (
    DESCRIPTIONS,
    ENTRIES_MAX,
    NOT_IN_THE_FILE,
    SECTIONS,
    AgentEntry,
    Entry,
    Manifest,
    Problem,
    ServerEntry,
)
from holdfast_daemon.plain_tree import Items, Member, Members, Scalar, Tree, as_json
from holdfast_protocol.events import Json

PROBLEMS_MAX: Final = 32
"""More are counted, not shown."""

_AT: Final = re.compile(r"(?P<message>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_PATTERN: Final = re.compile(r"Expected `str` matching regex (.*)", re.DOTALL)
_ENUM: Final = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
_NAMED: Final = ("commands", "mcp_servers", "agents", "prompts", "reactive")


class BadManifest(Exception):
    """A plugin.yaml is not what docs/plugins.md describes.

    Args:
        problems: at least one, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def read_manifest(text: str, file: str) -> Manifest:
    """Give what a plugin.yaml says.

    Args:
        text: its text, bounded by the caller.
        file: its name, for problems.

    Raises:
        BadManifest: it is not YAML, or says something else.
    """
    from holdfast_daemon import yaml_reader  # noqa: PLC0415 - brings PyYAML in

    try:
        tree = yaml_reader.load(text)
    except yaml_reader.BadYaml as error:
        found = re.match(r"line (\d+): (.*)", str(error), re.DOTALL)
        line, message = (int(found[1]), found[2]) if found else (1, str(error))
        raise BadManifest([Problem(file=file, line=line, message=message)]) from error
    return _Reader(file).manifest(tree)


class _Reader:
    """One pass over a manifest; collects problems."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def manifest(self, tree: Tree) -> Manifest:
        values: dict[str, Any] = {}
        if not isinstance(tree, Members):
            raise BadManifest([Problem(file=self._file, line=tree.line, message="a plugin.yaml is a map")])
        self._check_keys(tree, "", Manifest.__struct_fields__)
        for member in tree.members:
            if member.key in SECTIONS:
                values[member.key] = self._section(member)
            elif member.key in Manifest.__struct_fields__:
                values[member.key] = self._scalar(member)
        self._check_required(tree, "", Manifest)
        if self._problems:
            raise BadManifest(_bounded(self._problems, self._file))
        return Manifest(**values)

    def _scalar(self, member: Member) -> Json:
        field = next(field for field in msgspec.structs.fields(Manifest) if field.name == member.key)
        return self._convert(member.value, field.type, member.key, member.line)

    def _section(self, member: Member) -> tuple[Entry, ...]:
        if not isinstance(member.value, Items):
            if not (isinstance(member.value, Scalar) and member.value.value is None):  # `skills:` and nothing
                self._add(member.line, member.key, "takes a list")
            return ()
        if len(member.value.items) > ENTRIES_MAX:
            self._add(member.line, member.key, f"has more than {ENTRIES_MAX} entries")
            return ()
        entries: list[Entry] = []
        for at, item in enumerate(member.value.items):
            entry = self._entry(item, member.key, f"{member.key}[{at}]")
            if entry is not None:
                entries.append(entry)
        self._check_unique(member.key, entries)
        return tuple(entries)

    def _entry(self, item: Tree, section: str, field: str) -> Entry | None:
        if not isinstance(item, Members):
            self._add(item.line, field, "takes a map")
            return None
        entry_type = self._entry_type(item, section, field)
        if entry_type is None:
            return None
        known = [name for name in entry_type.__struct_encode_fields__ if name not in NOT_IN_THE_FILE]
        tag = entry_type.__struct_config__.tag_field
        before = len(self._problems)
        self._check_keys(item, field, [*known, tag] if tag else known)
        self._check_required(item, field, entry_type)
        if len(self._problems) > before:
            return None
        return self._convert(item, entry_type, field, item.line)

    def _entry_type(self, item: Members, section: str, field: str) -> type[Entry] | None:
        types = SECTIONS[section]
        if len(types) == 1:
            return types[0]
        by_tag = {str(t.__struct_config__.tag): t for t in types}
        tag = next((member for member in item.members if member.key == "type"), None)
        if tag is None:
            self._add(item.line, f"{field}.type", f"is missing; it is {_either(by_tag)}")
            return None
        name = as_json(tag.value)
        if not isinstance(name, str) or name not in by_tag:
            self._add(tag.line, f"{field}.type", f"is {_either(by_tag)}")
            return None
        return by_tag[name]

    def _convert(self, tree: Tree, wanted: Any, field: str, line: int) -> Any:
        value: Any = as_json(tree)
        if isinstance(tree, Members):
            value["line"] = line
            if wanted is AgentEntry:
                value["context_lines"] = dict(_lines(tree, "context"))
        try:
            # An entry of a union is told by its tag, which a single type would refuse as unknown.
            return msgspec.convert(value, ServerEntry if wanted in get_args(ServerEntry) else wanted)
        except msgspec.ValidationError as error:
            found = _AT.fullmatch(str(error))
            assert found is not None
            path = found["path"] or ""
            at, steps = _locate(tree, path)
            key = " (a key)" if found["key"] else ""
            message = _plain(found["message"], wanted, steps)
            self._add(at if path else line, field + steps, f"{message}{key}")
        return None

    def _check_keys(self, tree: Members, field: str, known: Iterable[str]) -> None:
        names = list(known)
        for member in tree.members:
            if member.key not in names:
                where = f"{field}.{member.key[:64]}" if field else member.key[:64]
                self._add(member.line, where, f"unknown key; did you mean `{_nearest(member.key, names)}`?")

    def _check_required(self, tree: Members, field: str, wanted: type[msgspec.Struct]) -> None:
        given = {member.key for member in tree.members}
        for known in msgspec.structs.fields(wanted):
            if known.required and known.encode_name not in given:
                where = f"{field}.{known.encode_name}" if field else known.encode_name
                self._add(tree.line, where, "is missing")

    def _check_unique(self, section: str, entries: list[Entry]) -> None:
        if section not in _NAMED:
            return
        lines: dict[str, int] = {}
        for entry in entries:
            name: str = getattr(entry, "name")  # noqa: B009 - every entry of these sections has one
            if name in lines:
                self._add(entry.line, section, f"the name `{name}` is taken by line {lines[name]}")
            lines.setdefault(name, entry.line)

    def _add(self, line: int, field: str, message: str) -> None:
        self._problems.append(Problem(file=self._file, line=line, field=field, message=message))


def _bounded(problems: list[Problem], file: str) -> Iterator[Problem]:
    ordered = sorted(problems, key=lambda problem: problem.line or 0)
    yield from ordered[:PROBLEMS_MAX]
    if len(ordered) > PROBLEMS_MAX:
        yield Problem(file=file, message=f"and {len(ordered) - PROBLEMS_MAX} more problems")


def _lines(tree: Members, key: str) -> Iterator[tuple[str, int]]:
    """Give the line of every place below a key, by its path."""
    waiting = [("", member.value, member.line) for member in tree.members if member.key == key]
    while waiting:
        path, value, line = waiting.pop()
        yield path, line
        if isinstance(value, Members):
            waiting += [(f"{path}.{each.key}", each.value, each.line) for each in value.members]
        elif isinstance(value, Items):
            waiting += [(f"{path}[{at}]", each, each.line) for at, each in enumerate(value.items)]


def _locate(tree: Tree, path: str) -> tuple[int, str]:
    """Follow a path as msgspec writes it, `.args[2]`; give its line, and the path as far as it goes."""
    line = tree.line
    steps = ""
    for key, index in _STEP.findall(path):
        inner: Tree | None = None
        if key and isinstance(tree, Members):
            member = next((member for member in tree.members if member.key == key), None)
            line, inner = (member.line, member.value) if member else (line, None)
        elif index.isdigit() and isinstance(tree, Items) and int(index) < len(tree.items):
            inner = tree.items[int(index)]
            line = inner.line
        steps += f".{key}" if key else f"[{index}]" if index.isdigit() else ""
        if inner is None:
            break
        tree = inner
    return line, steps


def _plain(message: str, wanted: Any, steps: str) -> str:
    """Put msgspec's sentence in this file's words."""
    if (pattern := _PATTERN.fullmatch(message)) is not None:
        return f"takes {DESCRIPTIONS[ast.literal_eval(pattern[1])]}"
    if (enum := _ENUM.fullmatch(message)) is not None:
        choices = _choices(wanted, steps.removeprefix("."))
        return f"takes {_either(choices)}, not `{enum[1][:64]}`"
    if message in ("Expected `str`, got `int`", "Expected `str`, got `float`", "Expected `str`, got `bool`"):
        return f"{message[:1].lower()}{message[1:]}; quote it"
    return message[:1].lower() + message[1:]


def _choices(wanted: Any, name: str) -> list[str]:
    """Give what a field of an entry may say, if it is one of a few words."""
    for field in msgspec.structs.fields(wanted):
        if field.encode_name == name:
            return [word for word in _words(field.type) if isinstance(word, str)]
    return []


def _words(kind: Any) -> Iterator[object]:
    for inner in get_args(kind):
        yield from _words(inner) if get_args(inner) else [inner]


def _nearest(key: str, known: list[str]) -> str:
    import difflib  # noqa: PLC0415 - only after a mistake

    return difflib.get_close_matches(key[:64], known, n=1, cutoff=0.0)[0]


def _either(names: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)
