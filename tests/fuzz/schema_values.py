"""Params as the generated schema describes them, and params that are one change away from that.

Knows the part of JSON Schema that the generated file uses; a keyword it does not know is an error here, so
that a new one is not passed over in silence.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

SCHEMA_FILE = Path(__file__).parents[2] / "protocol" / "schema" / "schema.json"

DEFS: dict[str, dict[str, Any]] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]

_KNOWN = {
    *("$ref", "type", "enum", "anyOf", "properties", "required", "items", "additionalProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "pattern"),
    *("title", "description", "default", "discriminator", "propertyNames", "maxProperties"),
}

_IDENTIFIERS = st.sampled_from(["a", "r1", "r2", "p-1", "nobody", "A_b.c:d-9", "x" * 128])

_TEXTS = st.text(min_size=1, max_size=12) | st.sampled_from(["say hi", "\u00fc\U0001f511", "/", "/tmp", "\0"])

_NUMBERS = st.integers(0, 20) | st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, 2**64, 2**70])

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


class Hints(NamedTuple):
    """Values that mean something to the daemon, by the name of the member: ids of sessions that exist."""

    by_name: dict[str, st.SearchStrategy[Any]]


def values(schema: dict[str, Any], hints: Hints) -> st.SearchStrategy[Any]:
    """Give values that fit a schema."""
    assert schema.keys() <= _KNOWN, schema.keys() - _KNOWN
    if "$ref" in schema:
        return values(DEFS[schema["$ref"].rpartition("/")[2]], hints)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values(one, hints) for one in schema["anyOf"]])
    return _OF_TYPE[schema.get("type")](schema, hints)


def _integers(schema: dict[str, Any], _hints: Hints) -> st.SearchStrategy[int]:
    low, high = schema.get("minimum"), schema.get("maximum")
    fits = _NUMBERS.filter(lambda x: (low is None or x >= low) and (high is None or x <= high))
    edges = [edge for edge in (low, high) if edge is not None]
    return fits | st.sampled_from(edges) if edges else fits


def _numbers(schema: dict[str, Any], _hints: Hints) -> st.SearchStrategy[float]:
    above = schema.get("exclusiveMinimum")
    return st.floats(above, exclude_min=above is not None, allow_nan=False, allow_infinity=False)


def _strings(schema: dict[str, Any], _hints: Hints) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        return _IDENTIFIERS
    high = schema.get("maxLength")
    texts = _TEXTS if high is None else _TEXTS.filter(lambda x: len(x) <= high)
    return texts | st.just("x" * high) if high is not None and high <= 512 else texts


def _arrays(schema: dict[str, Any], hints: Hints) -> st.SearchStrategy[list[Any]]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", 3)
    return st.lists(values(schema.get("items", {}), hints), min_size=low, max_size=min(high, low + 2))


def _objects(schema: dict[str, Any], hints: Hints) -> st.SearchStrategy[dict[str, Any]]:
    required = set(schema.get("required", ()))
    properties = {
        name: hints.by_name.get(name, values(one, hints))
        for name, one in schema.get("properties", {}).items()
    }
    members = st.fixed_dictionaries(
        {name: one for name, one in properties.items() if name in required},
        optional={name: one for name, one in properties.items() if name not in required},
    )
    more = schema.get("additionalProperties")
    if not isinstance(more, dict):
        return members
    names = schema.get("propertyNames")
    keys = st.text(max_size=8) if names is None else values({"type": "string", **names}, hints)
    return st.dictionaries(keys, values(more, hints), max_size=3)


_OF_TYPE: dict[str | None, Callable[[dict[str, Any], Hints], st.SearchStrategy[Any]]] = {
    None: lambda _schema, _hints: ANYTHING,
    "null": lambda _schema, _hints: st.none(),
    "boolean": lambda _schema, _hints: st.booleans(),
    "number": _numbers,
    "integer": _integers,
    "string": _strings,
    "array": _arrays,
    "object": _objects,
}


# One change --------------------------------------------------------------------------------------------

_STRANGE = ANYTHING | st.sampled_from(
    ["", "x" * 600, "\ud7ff\n", -1, 0, 2**63, -(2**70), 1e300, [], {}, [[]], {"type": "text"}, None, True]
)


@st.composite
def one_change(draw: st.DrawFn, value: Any) -> Any:
    """Give a value with one place changed: replaced, removed, doubled, renamed, or something added."""
    path = draw(st.sampled_from(sorted(_paths(value), key=repr)))
    return _changed(draw, value, path)


def _paths(value: Any) -> list[tuple[Any, ...]]:
    """Give the way to every place in a value, the whole first."""
    paths: list[tuple[Any, ...]] = [()]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        paths += [(key, *rest) for rest in _paths(item)]
    return paths


def _changed(draw: st.DrawFn, value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        if isinstance(value, dict) and draw(st.booleans()):
            return {**value, draw(st.text(max_size=6)): draw(_STRANGE)}
        return draw(_STRANGE)
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest or draw(st.booleans()):
        copy[key] = _changed(draw, value[key], tuple(rest))
    elif isinstance(copy, dict):
        kept = copy.pop(key)
        if draw(st.booleans()):
            copy[key.upper()] = kept
    else:
        copy[key : key + 1] = [value[key]] * draw(st.sampled_from([0, 2, 300]))
    return copy
