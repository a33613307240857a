"""The list of promises is true: what it names exists, and what proves promises is named."""

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from requirements import REQUIREMENTS

TOP = Path(__file__).parents[2]

CONVERSATIONS = TOP / "tests/conversations"
"""Each of them is there to prove promises, and so must be named by one."""

every_requirement = pytest.mark.parametrize(
    "requirement", REQUIREMENTS, ids=lambda requirement: requirement.id
)


@cache
def headings():
    text = (TOP / "protocol/PROTOCOL.md").read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


@cache
def names_in(path):
    """Give the names of a file's tests, as pytest would collect them; methods as `Class::test`."""
    module = ast.parse((TOP / path).read_text(encoding="utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    methods = {f"{node.name}::{name}" for node in classes for name in functions_of(node)}
    return functions_of(module) | methods


def functions_of(node):
    return {
        item.name
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith("test_")
    }


def test_ids_are_words_joined_by_hyphens_and_unique():
    ids = [requirement.id for requirement in REQUIREMENTS]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)] == []


@every_requirement
def test_a_promise_is_one_sentence_under_a_heading_of_the_protocol(requirement):
    assert requirement.sentence.endswith(".")
    assert requirement.source in headings()


@every_requirement
def test_a_promise_has_tests_or_says_what_is_missing(requirement):
    assert requirement.tests or requirement.gap
    assert requirement.gap != ""
    assert len(set(requirement.tests)) == len(requirement.tests)


@every_requirement
def test_every_test_a_promise_names_exists(requirement):
    for test in requirement.tests:
        path, _, name = test.partition("::")
        assert list(TOP.glob(path)), path
        if path.endswith(".py"):
            assert name in names_in(path), test


def test_every_conversation_is_named_by_a_promise():
    """If this fails: say in requirements.py which promise the new conversation proves."""
    named = {path for requirement in REQUIREMENTS for path in requirement.tests if path.endswith(".yaml")}
    paths = [path for path in sorted(CONVERSATIONS.glob("*.yaml")) if path.name != "not_yet.yaml"]
    found = [path.relative_to(TOP).as_posix() for path in paths]
    assert [path for path in found if not any(fnmatch(path, pattern) for pattern in named)] == []
