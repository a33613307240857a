"""TypeScript declarations from the JSON Schema of the protocol's types and the method table.

Knows only the subset of JSON Schema that `schema` produces; anything else is an error, not a guess.
Unions of tagged types narrow: `switch (event.type)` in TypeScript knows each event's members.
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from holdfast_protocol.methods import Method
from holdfast_protocol.methods.table import Direction

_HEADER: Final = """\
// The holdfast protocol. Generated from the protocol's types by `python -m holdfast_protocol.schema`.
// Members that may be absent have `?`; unknown members are to be ignored.
"""

_SCALARS: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}

_LINE_CHARACTERS: Final = 100

Schema = dict[str, Any]


def declarations(
    components: Mapping[str, Schema], table: Mapping[str, Method], codes: Mapping[str, int]
) -> str:
    """Give the text of `holdfast.d.ts`.

    Args:
        components: every type by its name.
        table: the method table.
        codes: JSON-RPC error codes by kind.
    """
    sections = [_HEADER]
    sections += [_component(name, schema) for name, schema in components.items()]
    sections.append(_map("Methods", "Calls, by method.", _calls(table.values(), components)))
    sections.append(
        _map("Notifications", "What the daemon notifies, by method.", _notified(table, "server_notification"))
    )
    sections.append(
        _map(
            "ClientNotifications",
            "What a client notifies, by method.",
            _notified(table, "client_notification"),
        )
    )
    sections.append(_map("ErrorCodes", "JSON-RPC error codes, by `data.kind`.", _codes(codes)))
    sections.append("export type ErrorKind = keyof ErrorCodes;\n")
    sections.append("export type ErrorCode = ErrorCodes[ErrorKind];\n")
    return "\n".join(sections)


def _component(name: str, schema: Schema) -> str:
    comment = _comment(schema.get("description", ""), "")
    if "properties" not in schema:
        return f"{comment}export type {name} =\n  | " + "\n  | ".join(_options(schema)) + ";\n"
    if not schema["properties"]:
        return f"{comment}export type {name} = {{ [name: string]: never }};\n"
    members = "".join(
        _member(key, member, required=key in schema["required"])
        for key, member in schema["properties"].items()
    )
    return f"{comment}export interface {name} {{\n{members}}}\n"


def _member(name: str, schema: Schema, *, required: bool) -> str:
    mark = "" if required else "?"
    return f"{_comment(schema.get('description', ''), '  ')}  {name}{mark}: {_type(schema)};\n"


def _type(schema: Schema) -> str:
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"enum": _} | {"anyOf": _}:
            return " | ".join(_options(schema))
        case {"type": "array"}:
            item = _type(schema.get("items", {}))
            return f"({item})[]" if " | " in item else f"{item}[]"
        case {"type": "object", "additionalProperties": values}:
            return f"{{ [name: string]: {_type(values)} }}"
        case {"type": "object"}:
            return "{ [name: string]: unknown }"
        case {"type": str(scalar)} if scalar in _SCALARS:
            return _SCALARS[scalar]
        case _ if schema.keys() <= {"default", "description"}:
            return "unknown"
        case _:
            raise ValueError(f"No TypeScript for {schema!r}.")


def _options(schema: Schema) -> list[str]:
    """Give the alternatives of a union or an enumeration, each once."""
    if "enum" in schema:
        return [_literal(value) for value in schema["enum"]]
    return list(dict.fromkeys(_type(option) for option in schema["anyOf"]))


def _literal(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _calls(rows: Iterable[Method], components: Mapping[str, Schema]) -> dict[str, str]:
    calls: dict[str, str] = {}
    for row in rows:
        if row.direction == "call":
            name = getattr(row.result, "__name__", "")
            result = name if name in components else "{ [name: string]: unknown }"
            calls[row.name] = f"{{ params: {row.params.__name__}; result: {result} }}"
    return calls


def _notified(table: Mapping[str, Method], direction: Direction) -> dict[str, str]:
    return {row.name: row.params.__name__ for row in table.values() if row.direction == direction}


def _codes(codes: Mapping[str, int]) -> dict[str, str]:
    return {kind: str(code) for kind, code in codes.items()}


def _map(name: str, summary: str, members: Mapping[str, str]) -> str:
    lines = "".join(f"  {_literal(key)}: {value};\n" for key, value in members.items())
    return f"{_comment(summary, '')}export interface {name} {{\n{lines}}}\n"


def _comment(text: str, indent: str) -> str:
    if not text:
        return ""
    text = text.replace("*/", "*\\/")
    if len(text) + len(indent) + 7 <= _LINE_CHARACTERS and "\n" not in text:
        return f"{indent}/** {text} */\n"
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(paragraph, _LINE_CHARACTERS - len(indent) - 3) or [""]
    return (
        f"{indent}/**\n" + "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines) + f"{indent} */\n"
    )
