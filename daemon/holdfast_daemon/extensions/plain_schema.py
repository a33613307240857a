"""Makes a foreign JSON Schema one that any provider takes: an object, no references, bounded. Pure."""

from typing import Final, cast

import msgspec

from holdfast_protocol.events import Json

NODES_MAX: Final = 4000
"""Objects and lists; a few references can stand for very many."""

DEPTH_MAX: Final = 32
BYTES_MAX: Final = 64 * 1024

_DEFINITIONS: Final = ("$defs", "definitions")
_DROPPED: Final = frozenset({"$schema", "$id", *_DEFINITIONS})


class BadSchema(Exception):
    """The schema is none of an object, or too large; the message says which."""


def plain_schema(schema: dict[str, Json]) -> dict[str, Json]:
    """Write local references out and drop what providers do not know.

    Raises:
        BadSchema: it cannot be shown to a model.
    """
    plain = cast("dict[str, Json]", _Walk(schema).of(schema, (), 0))
    if plain.get("type", "object") != "object":
        raise BadSchema("its input is no object")
    plain["type"] = "object"
    plain.setdefault("properties", {})
    if len(msgspec.json.encode(plain)) > BYTES_MAX:
        raise BadSchema(f"its schema is larger than {BYTES_MAX} bytes")
    return plain


class _Walk:
    def __init__(self, schema: dict[str, Json]) -> None:
        self._schema = schema
        self._nodes = 0

    def of(self, schema: Json, path: tuple[str, ...], depth: int) -> Json:
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise BadSchema("its schema is too large")
        if isinstance(schema, list):
            return [self.of(item, path, depth + 1) for item in cast("list[Json]", schema)]
        if not isinstance(schema, dict):
            return schema
        members = cast("dict[str, Json]", schema)
        reference = members.get("$ref")
        if isinstance(reference, str):
            return self._referred(reference, path, depth)
        return {
            key: self.of(value, path, depth + 1)
            for key, value in members.items()
            if depth > 0 or key not in _DROPPED
        }

    def _referred(self, reference: str, path: tuple[str, ...], depth: int) -> Json:
        """Give what a reference stands for; anything, if it goes round in circles or elsewhere."""
        kind, _, name = reference.removeprefix("#/").partition("/")
        definitions = self._schema.get(kind) if kind in _DEFINITIONS else None
        if reference in path or not isinstance(definitions, dict) or name not in definitions:
            return {}
        return self.of(cast("dict[str, Json]", definitions)[name], (*path, reference), depth + 1)
