"""TypeScript declarations, as text; tests/peers compiles them."""

import re

import pytest

from holdfast_protocol import errors, events, methods, schema, typescript


@pytest.fixture(scope="module")
def text():
    return schema.declarations()


def declared(components, table=None, codes=None):
    return typescript.declarations(components, table or {}, codes or {})


def test_every_type_is_declared_once(text):
    names = re.findall(r"^export (?:interface|type) (\w+)", text, re.MULTILINE)
    assert len(set(names)) == len(names)
    extra = {"Methods", "Notifications", "ClientNotifications", "ErrorCodes", "ErrorKind", "ErrorCode"}
    assert set(names) == schema.json_schema()["$defs"].keys() | extra


def test_every_method_stands_in_its_map(text):
    for row in methods.TABLE.values():
        params = row.params.__name__
        if row.direction == "call":
            assert f'  "{row.name}": {{ params: {params}; result: ' in text
        else:
            assert f'  "{row.name}": {params};\n' in text


def test_every_error_has_its_code(text):
    for error in errors.ERRORS:
        assert f'  "{error.kind}": {error.code};\n' in text


def test_events_are_a_union_told_apart_by_their_type(text):
    union = re.search(r"export type Event =\n((?:  \| \w+\n?)+);", text)[1]
    assert re.findall(r"\w+", union) == [kind.__name__ for kind in events.EVENT_TYPES]
    for tag, kind in events.TAGS.items():
        assert (
            f'export interface {kind.__name__} {{\n  type: "{tag}";\n  seq: number;\n  at: number;\n' in text
        )


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"type": "string", "maxLength": 3}, "string"),
        ({"type": "integer", "minimum": 0}, "number"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "null"}, "null"),
        ({}, "unknown"),
        ({"default": None}, "unknown"),
        ({"$ref": "#/$defs/Usage"}, "Usage"),
        ({"enum": ["a", 'b"', 3]}, '"a" | "b\\"" | 3'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "{ [name: string]: number }"),
        ({"type": "object"}, "{ [name: string]: unknown }"),
    ],
)
def test_a_member_has_the_type_of_its_schema(member, expected):
    text = declared({"A": {"properties": {"a": member, "b": member}, "required": ["a"]}})
    assert f"export interface A {{\n  a: {expected};\n  b?: {expected};\n}}\n" in text


@pytest.mark.parametrize(
    "member", [{"type": "date"}, {"not": {}}, {"allOf": []}, {"type": ["string", "null"]}]
)
def test_a_schema_it_does_not_know_is_an_error_and_not_a_guess(member):
    with pytest.raises(ValueError, match="No TypeScript for"):
        declared({"A": {"properties": {"a": member}, "required": []}})


def test_a_type_without_members_takes_none():
    assert "export type A = { [name: string]: never };" in declared({"A": {"properties": {}, "required": []}})


def test_comments_are_wrapped_and_cannot_end_early():
    text = declared({"A": {"description": "x */ " + "word " * 40, "properties": {}, "required": []}})
    assert "/**\n * x *\\/ word" in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("//"))
