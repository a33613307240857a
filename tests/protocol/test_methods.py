"""The method table: all there is, in one shape (PROTOCOL.md, "Methods")."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import of

from holdfast_protocol import capabilities, methods

every_row = pytest.mark.parametrize("row", methods.TABLE.values(), ids=lambda row: row.name)


@every_row
def test_a_row_is_complete(row):
    assert re.fullmatch(r"[a-z]+|rpc\.discover|\$/cancelRequest|[a-z]+/[a-z]+([A-Z][a-z]+)*", row.name)
    assert (row.result is not None) == (row.direction == "call")
    assert row.role in capabilities.ROLES
    assert row.summary.endswith(".")
    assert row.params.__name__.endswith("Params")


def test_names_are_unique_and_calls_are_rows_of_the_table():
    assert [row.name for row in methods.TABLE.values()] == list(methods.TABLE)
    assert methods.CALLS.items() <= methods.TABLE.items()
    assert all(row.direction == "call" for row in methods.CALLS.values())


def test_what_the_daemon_sends_is_notifications_only():
    assert {row.direction for row in methods.TABLE.values()} == {
        "call",
        "client_notification",
        "server_notification",
    }


def test_whatever_changes_something_needs_more_than_an_observer():
    mutating = {name for name, row in methods.CALLS.items() if "key" in row.params.__struct_fields__}
    assert mutating
    assert all(methods.CALLS[name].role != "observer" for name in mutating)


def test_every_call_that_takes_a_key_says_whether_its_answer_was_replayed():
    for row in methods.CALLS.values():
        if "key" in row.params.__struct_fields__:
            assert "replayed" in row.result.__struct_fields__, row.name
            assert "idempotency_conflict" in row.errors, row.name


@every_row
@settings(max_examples=25)  # times the number of methods
@given(data=st.data())
def test_params_come_back_as_they_were(row, data):
    params = data.draw(of(row.params))
    assert_same_wire(params, row.params)


@pytest.mark.parametrize(
    "row", [row for row in methods.CALLS.values() if row.name != "rpc.discover"], ids=lambda row: row.name
)
@settings(max_examples=25)  # times the number of methods
@given(data=st.data())
def test_results_come_back_as_they_were(row, data):
    assert_same_wire(data.draw(of(row.result)), row.result)


def assert_same_wire(value, kind):
    """Compare bytes: raw events have no equality of their own."""
    body = msgspec.json.encode(value)
    assert msgspec.json.encode(msgspec.json.decode(body, type=kind)) == body


@every_row
def test_unknown_members_of_params_are_ignored(row):
    assert not row.params.__struct_config__.forbid_unknown_fields
