"""Errors, from ours to the editor's: one table, and the sentence a person can act on."""

from typing import Any, Final

import msgspec

from holdfast_client.errors import ClientError, ConnectionLost, NoAnswer
from holdfast_protocol.errors import (
    ErrorObject,
    InvalidParams,
    NotFound,
    RequestCancelled,
    RpcError,
)
from holdfast_protocol.events import ErrorInfo

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REQUEST_CANCELLED: Final = -32800
NOT_FOUND: Final = -32002


class Refusal(Exception):
    """A request is answered with an error.

    Attributes:
        error: the error.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.error = ErrorObject(code=code, message=message, data=data)


def bad_params(message: str) -> Refusal:
    """Give the refusal of params that do not fit."""
    return Refusal(INVALID_PARAMS, message)


def no_session(session_id: str) -> Refusal:
    """Give the refusal of an id nobody knows."""
    return Refusal(NOT_FOUND, f"There is no session {session_id!r}.", {"sessionId": session_id})


def refusal_of(error: Exception) -> Refusal:
    """Give what an editor is told of an error of a call to the daemon."""
    match error:
        case Refusal():
            return error
        case NotFound() if error.data.resource == "session":
            return no_session(error.data.id or "")
        case NotFound() | InvalidParams():
            return Refusal(INVALID_PARAMS, error.message, msgspec.to_builtins(error.data))
        case RequestCancelled():
            return Refusal(REQUEST_CANCELLED, error.message)
        case RpcError():
            return Refusal(INTERNAL_ERROR, error.message, msgspec.to_builtins(error.data))
        case ConnectionLost() | NoAnswer():
            message = (
                "The holdfast daemon went away and did not come back in time. The session is kept: "
                "try again, or look with `holdfast doctor`."
            )
            return Refusal(INTERNAL_ERROR, message, {"kind": "connection_lost", "retryable": True})
        case ClientError():
            return Refusal(INTERNAL_ERROR, str(error), {"kind": "daemon_unreachable", "retryable": True})
        case _:
            return Refusal(INTERNAL_ERROR, "The bridge failed; its standard error says more.")


def failed_run(error: ErrorInfo) -> Refusal:
    """Give what a prompt is answered whose run failed."""
    return Refusal(INTERNAL_ERROR, error.message, msgspec.to_builtins(error))
