"""Questions that are about no tool call: whether a project is trusted, what MCP servers want to know. Pure.

Standard library alone. Texts are given as they came: whoever shows them writes out what terminals hide.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final, cast

_HAS: Final = {
    ".holdfast/plugins": "plugins: tools, hooks and agents, which run code",
    ".holdfast/commands": "slash commands",
    "AGENTS.md": "instructions for agents",
}
"""What a project can bring, in words."""

_TRUTHS: Final = {"yes": True, "true": True, "no": False, "false": False}
_NUMBERS: Final = {"integer": int, "number": float}

Members = Mapping[str, Any]


class Misfit(Exception):
    """What was given does not fill the form in; the message says why."""


def lines(detail: Members) -> list[str] | None:
    """Give what is to be shown of a request beside its title; None if it is about something else.

    Args:
        detail: the request's.
    """
    match detail.get("question"):
        case "trust":
            return _trust(detail)
        case "elicitation":
            return [*str(detail.get("message", "")).split("\n"), *_wanted(detail)]
        case _:
            return None


def is_form(request: Members) -> bool:
    """Tell whether a request wants more than one of its options."""
    return request["kind"] == "form"


def values(detail: Members, text: str) -> dict[str, Any]:
    """Give what a form is filled in with.

    Args:
        detail: the request's.
        text: a JSON object, or `NAME=VALUE …` as in a shell; of a form with one field, just its value.

    Raises:
        Misfit: a field is missing, unknown, or of another type.
    """
    schema = _members(detail.get("schema"))
    fields = _members(schema.get("properties"))
    given = _given(fields, text)
    for name in given:
        if name not in fields:
            raise Misfit(f"there is no field {name}; there are: {', '.join(fields)}")
    for name in schema.get("required") or ():
        if name not in given:
            raise Misfit(f"{name} is missing")
    return {name: _read(name, _members(fields[name]), value) for name, value in given.items()}


# Showing ----------------------------------------------------------------------------------------------------


def _trust(detail: Members) -> list[str]:
    has = [str(name) for name in detail.get("has") or ()]
    told = [f"{name}  ({_HAS[name]})" if name in _HAS else name for name in has]
    return [str(detail.get("directory", "")), "is read once it is trusted, in every session there:", *told]


def _wanted(detail: Members) -> Iterator[str]:
    if "url" in detail:
        yield f"open: {detail['url']}"
    schema = _members(detail.get("schema"))
    required = schema.get("required") or ()
    for name, field in _members(schema.get("properties")).items():
        kind = _kind(_members(field))
        about = _members(field).get("description") or _members(field).get("title") or ""
        yield f"{name} ({kind}{', required' if name in required else ''}){f': {about}' if about else ''}"


def _kind(field: Members) -> str:
    options = _options(field)
    if options is None:
        return str(field.get("type", "any"))
    return ("some of " if field.get("type") == "array" else "one of ") + ", ".join(map(str, options))


def _options(field: Members) -> list[Any] | None:
    """Give the values a field may have, if they are listed."""
    inner = _members(field.get("items")) if field.get("type") == "array" else field
    listed = inner.get("oneOf") or inner.get("anyOf")
    if listed:
        return [_members(option).get("const") for option in listed]
    named: list[Any] | None = inner.get("enum")
    return named


# Reading ----------------------------------------------------------------------------------------------------


def _given(fields: Members, text: str) -> dict[str, Any]:
    text = text.strip()
    if text.startswith("{"):
        try:
            return dict(_members(json.loads(text, parse_constant=_no_number)))
        except ValueError as error:
            raise Misfit(f"this is no JSON object: {error}") from None
    if len(fields) == 1 and not text.startswith(tuple(f"{name}=" for name in fields)):
        return {name: text for name in fields if text}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Misfit(f"quotation marks: {error}") from None
    pairs = [word.partition("=") for word in words]
    for name, found, _ in pairs:
        if not found:
            raise Misfit(f"give NAME=VALUE or a JSON object, not {name!r}")
    return {name: value for name, _, value in pairs}


def _read(name: str, field: Members, value: Any) -> Any:
    """Give a value as its field has it; what is no text was JSON already."""
    read = _of_type(name, str(field.get("type")), value) if isinstance(value, str) else value
    options = _options(field)
    if options is not None and any(each not in options for each in _chosen(read)):
        raise Misfit(f"{name} is one of {', '.join(map(str, options))}")
    return read


def _chosen(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _of_type(name: str, kind: str, text: str) -> Any:
    if kind == "boolean":
        if text.lower() not in _TRUTHS:
            raise Misfit(f"{name} is yes or no, not {text!r}")
        return _TRUTHS[text.lower()]
    if kind in _NUMBERS:
        try:
            return _finite(_NUMBERS[kind](text))
        except ValueError:
            raise Misfit(f"{name} is a number, not {text!r}") from None
    return [part.strip() for part in text.split(",")] if kind == "array" else text


def _finite(number: float) -> float:
    if not isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _no_number(constant: str) -> Any:
    raise ValueError(f"JSON has no {constant}")


def _members(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
