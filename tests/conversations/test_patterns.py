"""Patterns of conversation files: strict in what they name, silent on the rest (`patterns`)."""

from typing import Any

import pytest

from conversations.patterns import Mismatch, check, expand

FITTING = {
    "what is not named may be anything": ({"a": 1}, {"a": 1, "b": 2}),
    "nested": ({"a": {"b": [1, {"c": None}]}}, {"a": {"b": [1, {"c": None, "d": 4}]}}),
    "absent": ({"a": "<absent>"}, {"b": 1}),
    "any": ({"a": "<any>"}, {"a": None}),
    "int": ("<int>", 0),
    "string": ("<string>", "x"),
    "contains": ("<contains b>", "abc"),
    "matches": ("<matches ^a.c$>", "abc"),
    "at least": ("<at least 3>", 3),
    "one of": ("<one of full io>", "io"),
    "remembered": ("$known", 7),
    "remembered and more": ("$known+2", 9),
    "inside a text": ("seq ${known}", "seq 7"),
    "long": ({"$repeat": ["ab", 3]}, "ababab"),
}

NOT_FITTING = {
    "another value": ({"a": 1}, {"a": 2}),
    "no such member": ({"a": 1}, {"b": 1}),
    "null is not absent": ({"a": "<absent>"}, {"a": None}),
    "a longer list": ([1], [1, 2]),
    "a shorter list": ([1, 2], [1]),
    "true is not 1": ({"a": 1}, {"a": True}),
    "0 is not false": (False, 0),
    "no object": ({"a": 1}, [1]),
    "no list": ([1], {"0": 1}),
    "any needs something": ({"a": "<any>"}, {}),
    "a boolean is no int": ("<int>", True),
    "an empty string": ("<string>", ""),
    "contains": ("<contains b>", "acc"),
    "matches": ("<matches ^a.c$>", "abcd"),
    "at least": ("<at least 3>", 2),
    "one of": ("<one of full io>", "fu"),
    "remembered": ("$known", 8),
    "remembered and more": ("$known-1", 7),
    "long": ({"$repeat": ["ab", 3]}, "abab"),
}


@pytest.mark.parametrize(("pattern", "value"), FITTING.values(), ids=FITTING.keys())
def test_a_value_that_is_as_the_pattern_says_fits(pattern: Any, value: Any) -> None:
    variables = {"known": 7}
    check(pattern, value, variables)
    assert variables == {"known": 7}


@pytest.mark.parametrize(("pattern", "value"), NOT_FITTING.values(), ids=NOT_FITTING.keys())
def test_a_value_that_is_not_as_the_pattern_says_does_not_fit(pattern: Any, value: Any) -> None:
    with pytest.raises(Mismatch):
        check(pattern, value, {"known": 7})


def test_a_mismatch_names_its_place() -> None:
    with pytest.raises(Mismatch, match=r"^\$\.a\[1\]\.b: expected 2, got 3"):
        check({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, {})


def test_what_is_captured_can_be_used_in_the_same_pattern() -> None:
    variables: dict[str, Any] = {}
    check({"a": "$seq=", "b": "$seq+1"}, {"a": 4, "b": 5}, variables)
    assert variables == {"seq": 4}


def test_a_template_is_expanded_everywhere_in_it() -> None:
    template = {
        "a": ["$known", {"b": "${known}-${known}"}],
        "c": {"$repeat": ["x", 3]},
        "d": "$.path",
        "e": None,
    }
    assert expand(template, {"known": 7}) == {"a": [7, {"b": "7-7"}], "c": "xxx", "d": "$.path", "e": None}


def test_what_was_not_remembered_is_an_error() -> None:
    with pytest.raises(KeyError):
        expand("$unknown", {})
