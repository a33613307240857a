"""The reader of examples sees what is wrong with them: else no example proves anything."""

import json

import pytest
from protocol_examples import Mismatch, blocks, fill, match, parse, steps

SAME = [
    ("{}", "{}"),
    ('{"a": 1, …}', '{"a": 1, "b": 2}'),
    ("{…}", '{"b": 2}'),
    ('{"a": …}', '{"a": [1, 2]}'),
    ("[1, …]", "[1, 2, 3]"),
    ("[…]", "[]"),
    ('{"text": "Hello…"}', '{"text": "Hello, world"}'),
    ('{"at": 1}', '{"at": 2}'),
    ('{"a": "…"}', '{"a": null}'),
    ('{"a": "]…{"}', '{"a": "]…{"}'),
]

OTHER = [
    ("{}", '{"a": 1}'),
    ('{"a": 1, …}', '{"b": 2}'),
    ('{"a": 1}', '{"a": true}'),
    ('{"a": 1}', '{"a": 1.0}'),
    ('{"a": 1}', '{"a": 2}'),
    ("[1]", "[1, 2]"),
    ("[1, …]", "[]"),
    ("[]", "{}"),
    ('{"text": "Hello…"}', '{"text": "Hell"}'),
    ('{"at": 1}', '{"at": "1"}'),
    ('{"a": null}', '{"a": 0}'),
]


@pytest.mark.parametrize(("expected", "actual"), SAME)
def test_what_an_example_allows_matches(expected, actual):
    match(parse(expected), json.loads(actual), {})
    assert parse(actual) == json.loads(actual)


@pytest.mark.parametrize(("expected", "actual"), OTHER)
def test_what_an_example_does_not_say_is_a_mismatch(expected, actual):
    with pytest.raises(Mismatch):
        match(parse(expected), json.loads(actual), {})


def test_a_placeholder_stands_for_the_same_value_everywhere():
    bound = {"<cwd>": "/somewhere"}
    match(
        parse('{"a": "<id>", "b": "<id>", "path": "<cwd>/x"}'),
        {"a": 7, "b": 7, "path": "/somewhere/x"},
        bound,
    )
    assert fill(parse('{"id": "<id>", "path": "<cwd>/y", "c": "<new>"}'), bound) == {
        "id": 7,
        "path": "/somewhere/y",
        "c": "<new>",
    }
    with pytest.raises(Mismatch):
        match("<id>", 8, bound)


def test_a_conversation_is_read_line_by_line_with_continuations():
    text = '// first\n→ {"a": 1,\n   "b": 2}\n\n← …\n⊣ the daemon closes\n'
    assert steps(text) == [("→", '{"a": 1, "b": 2}'), ("←", "…"), ("⊣", "the daemon closes")]
    with pytest.raises(AssertionError):
        steps("hello")


def test_a_fenced_block_is_found_with_its_line():
    assert blocks("one\n\n```jsonc session\n→ 1\n```\ntwo\n") == [("jsonc session", "→ 1\n", 3)]
