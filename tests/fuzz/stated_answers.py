"""What PROTOCOL.md states as the answer to any frame on an initialized connection, decided without holdfast.

Python's own JSON module stands in for the daemon's decoder. Where the two may rightly differ, both answers
are allowed.
"""

import json
import math
from typing import Any, NamedTuple

CODES = {
    -32700: "parse_error",
    -32600: "invalid_request",
    -32601: "method_not_found",
    -32602: "invalid_params",
    -32603: "internal_error",
    -32800: "request_cancelled",
    -32000: "auth_required",
    -32001: "overloaded",
    -32002: "not_found",
    -32003: "forbidden",
    -32004: "busy",
    -32005: "unsupported_version",
    -32006: "conflict",
    -32007: "idempotency_conflict",
    -32008: "cursor_invalid",
    -32009: "too_large",
    -32010: "draining",
    -32011: "not_initialized",
    -32012: "unsupported",
    -32013: "storage_unavailable",
}

BUG = -32603

DEPTH_MAX = 128

MEMBERS_MAX = 10_000

SERVED = 0
"""Stands for: the call is served, with a result or a refusal of its own."""


class Stated(NamedTuple):
    """The answer to one frame.

    Attributes:
        id: under which id.
        code: which error, or SERVED; None for no answer at all.
        disputed: decoders may differ about the frame: it may as well be -32700.
    """

    id: Any
    code: int | None
    disputed: bool = False


SILENCE = Stated(None, None)


def stated_answer(body: bytes) -> Stated:
    """Say what one frame's body is answered with."""
    reader = _Reader()
    try:
        value = reader.read(body.decode("utf-8"))
        fits = _depth(value) <= DEPTH_MAX and _members(value) <= MEMBERS_MAX
    except (ValueError, RecursionError):
        return Stated(None, -32700)
    if not fits:
        return Stated(None, -32700)
    return _envelope(value)._replace(disputed=reader.disputed or _has_half_pair(value))


def check_error(answer: dict[str, Any]) -> None:
    """An answer has one of the table's errors, or a result; a bug is never one."""
    assert set(answer) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
    if "error" in answer:
        error = answer["error"]
        assert error["code"] != BUG, answer
        assert error["data"]["kind"] == CODES[error["code"]]
        assert error["message"]


class _Pairs(list[tuple[str, Any]]):
    """An object's members as they stood, doubles too."""


class _Reader:
    """Reads JSON, and notes numbers that no double or machine integer holds."""

    def __init__(self) -> None:
        self.disputed = False

    def read(self, text: str) -> Any:
        return json.loads(
            text,
            parse_constant=self._refuse,
            parse_float=self._float,
            parse_int=self._int,
            object_pairs_hook=_Pairs,
        )

    def _refuse(self, constant: str) -> Any:
        raise ValueError(constant)  # NaN and Infinity are no JSON.

    def _float(self, text: str) -> float:
        value = float(text)
        self.disputed = self.disputed or math.isinf(value)
        return value

    def _int(self, text: str) -> int:
        self.disputed = self.disputed or len(text) > 300
        return int(text[:300])


def _envelope(value: Any) -> Stated:
    if not isinstance(value, _Pairs):
        return Stated(None, -32600)
    members = dict(value)
    answer_id = _readable_id(members)
    is_response = "method" not in members and ("result" in members or "error" in members)
    refused = Stated(None if is_response else answer_id, -32600)
    if _has_doubles(value) or members.get("jsonrpc") != "2.0":
        return refused
    if is_response:
        return _response(members, answer_id)
    method = members.get("method")
    if not isinstance(method, str) or len(method.encode("utf-8", "surrogatepass")) > 256:
        return refused
    params = members.get("params")
    if params is not None and not isinstance(params, list):  # `_Pairs` is one too.
        return refused
    if "id" not in members:
        return SILENCE
    if answer_id is None:
        return refused
    return Stated(answer_id, -32600 if method == "initialize" else SERVED)


def _response(members: dict[str, Any], answer_id: Any) -> Stated:
    """A response is ignored; a malformed one is refused like anything malformed."""
    both = "result" in members and "error" in members
    readable = answer_id is not None or ("id" in members and members["id"] is None and "error" in members)
    if both or not readable:
        return Stated(None, -32600)
    if "error" not in members:
        return SILENCE
    error = dict(members["error"]) if isinstance(members["error"], _Pairs) else {}
    code = error.get("code")
    fits = isinstance(code, int) and not isinstance(code, bool) and isinstance(error.get("message"), str)
    return SILENCE if fits else Stated(None, -32600)


def _readable_id(members: dict[str, Any]) -> Any:
    value = members.get("id")
    if isinstance(value, str):
        return value if len(value.encode("utf-8", "surrogatepass")) <= 256 else None
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def _children(value: Any) -> list[Any]:
    if isinstance(value, _Pairs):
        return [item for _, item in value]
    return value if isinstance(value, list) else []


def _depth(value: Any) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max(map(_depth, _children(value)), default=0)


def _members(value: Any) -> int:
    """Count members and elements of all objects and arrays; an empty one counts as one."""
    if not isinstance(value, list):
        return 0
    return max(1, len(value)) + sum(map(_members, _children(value)))


def _has_doubles(value: Any) -> bool:
    if isinstance(value, _Pairs) and len(dict(value)) != len(value):
        return True
    return any(map(_has_doubles, _children(value)))


def _has_half_pair(value: Any) -> bool:
    """Tell whether a string holds half a surrogate pair, which is no text."""
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    names = [name for name, _ in value] if isinstance(value, _Pairs) else []
    return any(map(_has_half_pair, [*names, *_children(value)]))
