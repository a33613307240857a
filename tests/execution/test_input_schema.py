"""What a model is told of a tool's input, and how its own input is checked."""

from typing import Annotated

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.input_schema import BadInput, convert_input, input_schema, parse_input
from holdfast_daemon.tools.builtin import builtin_tools


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where."""

    line: Annotated[int, Meta(ge=1, description="from 1")]


class Nested(msgspec.Struct, forbid_unknown_fields=True):
    """What."""

    place: Place
    others: list[Place] = []


class Loop(msgspec.Struct):
    """A type no plain schema can say."""

    inner: "Loop | None" = None


def test_a_schema_is_one_object_without_references() -> None:
    schema = input_schema(Nested)
    assert b"$" not in msgspec.json.encode(schema)
    assert schema["type"] == "object"
    assert schema["description"] == "What."
    assert schema["properties"]["place"]["properties"]["line"]["minimum"] == 1
    assert schema["properties"]["others"]["items"]["description"] == "Where."


def test_a_type_that_refers_to_itself_is_refused() -> None:
    with pytest.raises(TypeError, match="Loop refers to itself"):
        input_schema(Loop)


@pytest.mark.parametrize("tool", builtin_tools(ExecutionLimits()), ids=lambda tool: tool.name)
def test_the_schemas_of_the_built_in_tools_are_valid(tool) -> None:
    schema = input_schema(tool.input_type)
    jsonschema_rs.meta.validate(schema)
    assert schema["additionalProperties"] is False
    assert all("description" in member for member in schema["properties"].values())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["place", "others", "line", "x"]), inner, max_size=3)
    ),
)


@given(json_values)
def test_the_check_and_the_schema_agree(value: object) -> None:
    fits = jsonschema_rs.is_valid(input_schema(Nested), value)
    if fits:
        convert_input(value, Nested)
    else:
        with pytest.raises(BadInput, match=r"\$"):
            convert_input(value, Nested)


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_text_means_no_arguments(text: str) -> None:
    assert parse_input(text) == {}


@pytest.mark.parametrize("text", ["{", "nope", "{} {}", '{"a": NaN}', "[" * 100_000, '"\ud800"', "{'a': 1}"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="not valid JSON"):
        parse_input(text)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"place": {"line": 0}}, r"\$\.place\.line"),
        ({"place": {"line": "1"}}, r"\$\.place\.line"),
        ({"place": {"line": 1}, "others": [{}]}, r"\$\.others\[0\]"),
        ({"place": {"line": 1}, "more": 1}, r"unknown field `more` - at `\$`"),
        ({}, r"missing required field `place` - at `\$`"),
        ([], r"at `\$`"),
    ],
)
def test_a_wrong_input_is_refused_with_its_path(value: object, path: str) -> None:
    with pytest.raises(BadInput, match=path):
        convert_input(value, Nested)
