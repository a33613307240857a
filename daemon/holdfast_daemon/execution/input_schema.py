"""The JSON Schema a model is shown for a tool's input, and the check of what the model sent.

A schema is one plain object without `$ref`: some providers resolve no references.
"""

from typing import Any, cast

import msgspec

from holdfast_protocol.events import Json

_DEFINITIONS = "#/$defs/"


class BadInput(Exception):
    """A call's input is not JSON, or not of the tool's type; the message names the path."""


def input_schema(input_type: type[msgspec.Struct]) -> dict[str, Json]:
    """Give the schema of a tool's input with every reference written out.

    Raises:
        TypeError: the type refers to itself, which no schema without references can say.
    """
    schema = msgspec.json.schema(input_type)
    definitions = cast("dict[str, Json]", schema.pop("$defs", {}))
    inlined = cast("dict[str, Json]", _inline(schema, definitions, ()))
    inlined.pop("title", None)  # The class's name means nothing to a model.
    return inlined


def _inline(schema: Json, definitions: dict[str, Json], path: tuple[str, ...]) -> Json:
    if isinstance(schema, list):
        return [_inline(item, definitions, path) for item in cast("list[Json]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, Json]", schema)
    reference = members.get("$ref")
    if not isinstance(reference, str):
        return {key: _inline(value, definitions, path) for key, value in members.items()}
    name = reference.removeprefix(_DEFINITIONS)
    if name in path:
        raise TypeError(f"input type {name} refers to itself")
    return _inline(definitions[name], definitions, (*path, name))


def parse_input(input_json: str) -> Json:
    """Read a call's input as JSON; an empty text means `{}`, as providers send it for no arguments.

    Raises:
        BadInput: it is not JSON.
    """
    try:
        return msgspec.json.decode(input_json) if input_json.strip() else {}
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadInput(f"the input is not valid JSON: {error}") from error


def convert_input(value: Json, input_type: type[msgspec.Struct]) -> Any:
    """Give the typed input.

    Raises:
        BadInput: it does not fit `input_type`; the message ends with the path, as `at $.path`.
    """
    try:
        return msgspec.convert(value, input_type)
    except msgspec.ValidationError as error:
        message = str(error)
        raise BadInput(message if "`$" in message else f"{message} - at `$`") from error
    except RecursionError as error:
        raise BadInput("the input is nested too deeply - at `$`") from error
