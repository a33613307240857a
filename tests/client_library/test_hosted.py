"""Functions as tools (design 4, tools hosted by a client)."""

import functools
from typing import Annotated, Literal

import jsonschema_rs
import msgspec
import pytest

from holdfast_client.core.hosted import BadInput, HostedFunction, Tool, content_of
from holdfast_protocol.content import ImageBlock, TextBlock


class Place(msgspec.Struct):
    city: str
    country: str = "NL"


def weather(city: str, days: int = 1, *, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather."""
    return f"{city} {days} {unit}"


def schema_of(function, **options):
    return HostedFunction("tool", Tool(function=function, **options)).registration.input_schema


def test_a_function_is_registered_with_its_docstring_and_the_schema_of_its_annotations():
    registration = HostedFunction("weather", weather).registration
    assert (registration.name, registration.description, registration.kind) == (
        "weather",
        "Tell the weather.",
        "other",
    )
    schema = registration.input_schema
    assert schema["type"] == "object"
    assert schema["required"] == ["city"]
    assert schema["properties"]["days"] == {"type": "integer"}
    assert schema["properties"]["unit"] == {"enum": ["C", "F"]}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"city": "Delft"}, True),
        ({"city": "Delft", "days": 3, "unit": "F"}, True),
        ({}, False),
        ({"city": 3}, False),
        ({"city": "Delft", "unit": "K"}, False),
        ({"city": "Delft", "other": 1}, False),
        ([], False),
    ],
)
def test_what_the_schema_allows_is_what_is_accepted(value, fits):
    function = HostedFunction("weather", weather)
    assert jsonschema_rs.is_valid(function.registration.input_schema, value) is fits
    if fits:
        assert weather(**function.bind(value)).startswith("Delft")
    else:
        with pytest.raises(BadInput):
            function.bind(value)


def test_an_argument_that_is_left_out_is_not_passed():
    assert HostedFunction("weather", weather).bind({"city": "Delft"}) == {"city": "Delft"}


def test_structs_are_given_as_structs_and_described_in_the_schema():
    def visit(places: list[Place]):
        """Visit places."""

    schema = schema_of(visit)
    assert jsonschema_rs.is_valid(schema, {"places": [{"city": "Delft"}]})
    assert not jsonschema_rs.is_valid(schema, {"places": [{"town": "Delft"}]})
    assert HostedFunction("visit", visit).bind({"places": [{"city": "Delft"}]}) == {
        "places": [Place("Delft")]
    }


def test_constraints_of_an_annotation_hold():
    def roll(sides: Annotated[int, msgspec.Meta(ge=2, le=100)]):
        """Roll a die."""

    assert schema_of(roll)["properties"]["sides"] == {"type": "integer", "minimum": 2, "maximum": 100}
    with pytest.raises(BadInput, match="sides"):
        HostedFunction("roll", roll).bind({"sides": 1})


def test_a_schema_of_ones_own_takes_the_place_of_the_annotations():
    def anything(**arguments):
        return arguments

    given = {"type": "object", "properties": {"x": {"type": "number"}}}
    function = HostedFunction("anything", Tool(function=anything, input_schema=given, description="Any."))
    assert function.registration.input_schema == given
    assert function.bind({"y": [1]}) == {"y": [1]}


@pytest.mark.parametrize("function", [lambda *args: args, lambda **rest: rest, lambda x, /: x])
def test_a_function_that_cannot_be_called_by_name_needs_a_schema(function):
    with pytest.raises(TypeError, match="input_schema"):
        HostedFunction("bad", function)


async def asynchronous(x: int):
    return x


def streaming(x: int):
    yield str(x)


async def streaming_asynchronously(x: int):
    yield str(x)


class Callable:
    async def __call__(self, x: int):
        return x


@pytest.mark.parametrize(
    ("function", "is_async", "streams", "streams_async"),
    [
        (weather, False, False, False),
        (asynchronous, True, False, False),
        (streaming, False, True, False),
        (streaming_asynchronously, False, True, True),
        (functools.partial(asynchronous), True, False, False),
        (Callable(), True, False, False),
    ],
)
def test_kinds_of_functions_are_told_apart(function, is_async, streams, streams_async):
    hosted = HostedFunction("tool", function)
    assert (hosted.is_async, hosted.streams, hosted.streams_async) == (is_async, streams, streams_async)


IMAGE = ImageBlock(mime_type="image/png", data="AAAA")


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("text", (TextBlock(text="text"),)),
        (None, ()),
        (IMAGE, (IMAGE,)),
        ([TextBlock(text="a"), IMAGE], (TextBlock(text="a"), IMAGE)),
        ({"a": [1]}, (TextBlock(text='{"a":[1]}'),)),
        ([], (TextBlock(text="[]"),)),
        (Place("Delft"), (TextBlock(text='{"city":"Delft","country":"NL"}'),)),
    ],
)
def test_results_become_content(result, content):
    assert content_of(result) == content


def test_a_result_that_is_no_json_is_refused():
    with pytest.raises(TypeError):
        content_of(object())
