"""The error table (PROTOCOL.md, "Errors")."""

import re

import msgspec
import pytest
from hypothesis import given
from wire_values import json_values

from holdfast_protocol import errors, methods
from holdfast_protocol.errors import ErrorObject, RpcError

every_error = pytest.mark.parametrize("error", errors.ERRORS, ids=lambda error: error.__name__)

CODES = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "method_not_found": -32601,
    "invalid_params": -32602,
    "internal_error": -32603,
    "request_cancelled": -32800,
    "auth_required": -32000,
    "overloaded": -32001,
    "not_found": -32002,
    "forbidden": -32003,
    "busy": -32004,
    "unsupported_version": -32005,
    "conflict": -32006,
    "idempotency_conflict": -32007,
    "cursor_invalid": -32008,
    "too_large": -32009,
    "draining": -32010,
    "not_initialized": -32011,
    "unsupported": -32012,
    "storage_unavailable": -32013,
}


def test_every_kind_has_its_code():
    assert {error.kind: error.code for error in errors.ERRORS} == CODES


def test_the_table_has_every_error_there_is():
    assert set(errors.ERRORS) == set(RpcError.__subclasses__())
    assert set(errors.BY_CODE.values()) == set(errors.ERRORS)


@every_error
def test_a_kind_is_its_classs_name_in_snake_case(error):
    assert error.kind == re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()


@every_error
def test_an_error_of_the_table_survives_the_wire(error):
    sent = error("One sentence.", path="$.a", retry_after_ms=7)
    received = errors.from_object(
        msgspec.json.decode(msgspec.json.encode(sent.to_object()), type=ErrorObject)
    )
    assert (type(received), received.code, received.message) == (error, error.code, "One sentence.")
    assert received.data == sent.data
    assert str(received) == "One sentence."


def test_details_are_in_camel_case_and_absent_unless_given():
    error = errors.Overloaded("Too many.", limit="requests_in_flight_max", limit_value=64, retry_after_ms=100)
    assert msgspec.json.decode(msgspec.json.encode(error.to_object())) == {
        "code": -32001,
        "message": "Too many.",
        "data": {
            "kind": "overloaded",
            "retryable": True,
            "retryAfterMs": 100,
            "limit": "requests_in_flight_max",
            "limitValue": 64,
        },
    }


def test_whether_trying_again_helps_is_known_for_every_kind():
    retryable = {error.kind for error in errors.ERRORS if error("m").data.retryable}
    assert retryable == {"overloaded", "busy", "draining", "storage_unavailable"}


def test_an_unknown_code_is_kept():
    error = errors.from_object(ErrorObject(code=-1, message="m"))
    assert (type(error), error.code, error.message) == (RpcError, -1, "m")
    assert RpcError.code == -32603


@given(json_values)
def test_any_data_of_a_foreign_peer_is_borne(data):
    error = errors.from_object(ErrorObject(code=-32002, message="m", data=data))
    assert type(error) is errors.NotFound
    assert isinstance(error.data, errors.ErrorData)


def test_every_error_a_method_names_is_in_the_table():
    named = {kind for row in methods.TABLE.values() for kind in row.errors} | set(methods.COMMON_ERRORS)
    assert named <= CODES.keys()
