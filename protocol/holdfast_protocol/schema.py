"""The protocol's generated documents: JSON Schema, OpenRPC and TypeScript, from the types and tables alone.

Pure functions; only `main` writes, into protocol/schema or a directory it is given:

    python -m holdfast_protocol.schema [DIRECTORY]

What msgspec says of the types is taken over and made truer for readers: unions that have a name are named,
lists of raw events are lists of `Event`, `seq` and `at` are always on the wire, and the attributes of a
docstring become descriptions of members.
"""

import inspect
import re
import sys
from functools import cache
from typing import Any, Final, cast

import msgspec

from holdfast_protocol import content, errors, events, methods, typescript, version
from holdfast_protocol.methods import Method

OPENRPC_VERSION: Final = "1.3.2"

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]
"""A JSON Schema, as plain JSON values."""

_UNIONS: Final[dict[str, Any]] = {"ContentBlock": content.ContentBlock, "Event": events.Event}

_ATTRIBUTE: Final = re.compile(r" {4}(\w+): (.*)")


def json_schema() -> Schema:
    """Give the JSON Schema document: every type of the wire under `$defs`, `Event` among them."""
    return {
        "$schema": DIALECT,
        "$id": "urn:holdfast:protocol:1",
        "title": "holdfast",
        "description": f"Types of the holdfast protocol, {version.VERSION}. Unknown members are ignored.",
        "$defs": _components("#/$defs/"),
    }


@cache
def openrpc() -> Schema:
    """Give the OpenRPC document (also the answer to `rpc.discover`); one shared value, not to be changed."""
    schemas = _components("#/components/schemas/")
    rows = methods.TABLE.values()
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "holdfast",
            "version": version.VERSION,
            "description": "A background daemon that owns AI-agent sessions.",
            "license": {"name": "MIT"},
        },
        "methods": [_method(row, schemas) for row in rows if row.direction != "server_notification"],
        "x-notifications": [_method(row, schemas) for row in rows if row.direction == "server_notification"],
        "components": {"schemas": schemas, "errors": {error.kind: _error(error) for error in errors.ERRORS}},
    }


def declarations() -> str:
    """Give the TypeScript declarations."""
    return typescript.declarations(
        _components("#/$defs/"), methods.TABLE, {error.kind: error.code for error in errors.ERRORS}
    )


def documents() -> dict[str, bytes]:
    """Give the content of every generated file, by its name."""
    return {
        "openrpc.json": _pretty(openrpc()),
        "schema.json": _pretty(json_schema()),
        "holdfast.d.ts": declarations().encode(),
    }


def _pretty(document: Schema) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


# Types -----------------------------------------------------------------------------------------------


def _components(prefix: str) -> dict[str, Schema]:
    """Give the schema of every type of the wire by its name; references begin with `prefix`."""
    types = [*_table_types(), events.UnknownEvent, errors.ErrorData, errors.ErrorObject, *_UNIONS.values()]
    schemas, found = msgspec.json.schema_components(types, ref_template=prefix + "{name}")
    unions = dict(zip(_UNIONS, schemas[-len(_UNIONS) :], strict=True))
    components: dict[str, Schema] = {
        name: _described(_with_names(schema, unions, prefix)) for name, schema in found.items()
    }
    for kind in events.EVENT_TYPES:
        _number(components[kind.__name__])
    for holder, member in _raw_events():
        components[holder]["properties"][member]["items"] = {"$ref": prefix + "Event"}
    components |= {name: {"title": name, **schema} for name, schema in unions.items()}
    return dict(sorted(components.items()))


def _table_types() -> list[type[msgspec.Struct]]:
    found = [kind for row in methods.TABLE.values() for kind in (row.params, row.result)]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]


def _raw_events() -> list[tuple[str, str]]:
    """Give (type, member) of what holds encoded events; msgspec knows no more than that it is JSON."""
    return [
        (kind.__name__, field.encode_name)
        for kind in _table_types()
        for field in msgspec.structs.fields(kind)
        if field.type == tuple[msgspec.Raw, ...]
    ]


def _number(schema: Schema) -> None:
    """Require what the journal gives every event: the defaults of `seq` and `at` never leave the daemon."""
    for member in ("seq", "at"):
        schema["properties"][member] = {
            key: value for key, value in schema["properties"][member].items() if key != "default"
        }
    schema["properties"]["seq"]["minimum"] = 1
    schema["required"] = ["type", "seq", "at", *schema["required"][1:]]


def _with_names(value: Any, unions: dict[str, Schema], prefix: str) -> Any:
    """Replace every union that has a name by a reference to it."""
    for name, union in unions.items():
        if value == union:
            return {"$ref": prefix + name}
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: _with_names(item, unions, prefix) for key, item in members.items()}
    if isinstance(value, list):
        return [_with_names(item, unions, prefix) for item in cast("list[Any]", value)]
    return value


def _described(schema: Schema) -> Schema:
    """Move what a docstring says of attributes to the members they are on the wire."""
    description, attributes = _parse_docstring(schema.get("description", ""))
    properties: dict[str, Schema] = {
        name: member | {"description": attributes[key]} if (key := name.lower()) in attributes else member
        for name, member in schema["properties"].items()
    }
    return schema | {"description": description, "properties": properties}


def _parse_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Give the text before `Attributes:`, and the attributes by their names in lower case without `_`."""
    body, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    attributes: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := _ATTRIBUTE.fullmatch(line):
            name = match[1].replace("_", "").lower()
            attributes[name] = match[2]
        elif name:
            attributes[name] += f" {line.strip()}"
    return re.sub(r"(?<!\n)\n(?!\n)", " ", body.strip()), attributes


# Methods and errors ------------------------------------------------------------------------------------


def _method(row: Method, schemas: dict[str, Schema]) -> Schema:
    method: Schema = {
        "name": row.name,
        "summary": row.summary,
        "paramStructure": "by-name",
        "params": _params(schemas[row.params.__name__]),
        "x-params": {"$ref": f"#/components/schemas/{row.params.__name__}"},
        "x-direction": row.direction,
        "x-role": row.role,
    }
    if row.direction == "call":
        kinds = dict.fromkeys(row.errors + methods.COMMON_ERRORS)
        method["result"] = _result(row, schemas)
        method["errors"] = [{"$ref": f"#/components/errors/{kind}"} for kind in kinds]
    return method


def _params(schema: Schema) -> list[Schema]:
    """Give one content descriptor a member, those that must be given first."""
    required = schema["required"]
    names = sorted(schema["properties"], key=lambda name: name not in required)
    return [
        {"name": name, "required": name in required, "schema": schema["properties"][name]} for name in names
    ]


def _result(row: Method, schemas: dict[str, Schema]) -> Schema:
    name = getattr(row.result, "__name__", "")
    if name in schemas:
        return {"name": name, "schema": {"$ref": f"#/components/schemas/{name}"}}
    return {"name": "OpenRPC", "schema": {"type": "object"}}  # A document with a schema of its own.


def _error(error: type[errors.RpcError]) -> Schema:
    message = inspect.getdoc(error) or error.kind
    return {
        "code": error.code,
        "message": message,
        "data": {"kind": error.kind, "retryable": error.retryable},
    }


def main(arguments: list[str]) -> None:
    """Write the generated files.

    Args:
        arguments: at most one, the directory; it must exist.
    """
    directory = arguments[0] if arguments else __file__.rpartition("holdfast_protocol")[0] + "schema"
    for name, body in documents().items():
        with open(f"{directory}/{name}", "wb") as file:  # noqa: PTH123 - this package imports no pathlib
            file.write(body)


if __name__ == "__main__":
    main(sys.argv[1:])
