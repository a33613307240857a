"""The error table: one class per kind, each with its JSON-RPC code.

Clients compare `data.kind` (or the code), never the message. Every error is an `RpcError`:

    RpcError
      ParseError, InvalidRequest, MethodNotFound, InvalidParams, InternalError      JSON-RPC's own
      RequestCancelled                                                              as in LSP
      AuthRequired, Overloaded, NotFound, Forbidden, Busy, UnsupportedVersion, Conflict,
      IdempotencyConflict, CursorInvalid, TooLarge, Draining, NotInitialized, Unsupported,
      StorageUnavailable                                                            holdfast's own

Two more, never on the wire: `LocalProtocolError` (our side broke the rules, a bug here) and
`RemoteProtocolError` (the peer sent what no rule answers; the connection closes).
"""

import contextlib
from typing import Any, ClassVar

import msgspec


class LocalProtocolError(Exception):
    """This side called the connection in a way the protocol forbids: a bug on this side."""


class RemoteProtocolError(Exception):
    """The peer sent bytes for which the protocol has no answer; close without a word."""


class ErrorData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`error.data` of a response. `kind` is the contract; the rest names what was wrong.

    Attributes:
        kind: one of the kinds of this module's table.
        retryable: whether the same call may succeed later without a change.
        retry_after_ms: when to try again, if known.
        path: the bad field, as `$.content[0].text`.
        limit: the name of the limit that was hit, as `message_bytes_max`.
        limit_value: its value, in the unit its name ends with.
        resource: what was not found or in the way, as `session`, `run`, `model`.
        id: the id of that resource.
        head: the session's head, with `cursor_invalid`.
        oldest: the oldest seq that can be read, with `cursor_invalid`.
        epoch: the session's epoch, with `cursor_invalid`.
        supported: what this side supports, with `unsupported_version` and `unsupported`.
        incident_id: finds the report in the daemon's log, with `internal_error`.
    """

    kind: str
    retryable: bool = False
    retry_after_ms: int | None = None
    path: str | None = None
    limit: str | None = None
    limit_value: int | None = None
    resource: str | None = None
    id: str | None = None
    head: int | None = None
    oldest: int | None = None
    epoch: str | None = None
    supported: list[Any] | None = None
    incident_id: str | None = None


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON-RPC error object. Foreign peers may send any `data`; ours is `ErrorData`."""

    code: int
    message: str
    data: Any = None


class RpcError(Exception):
    """An error a request is answered with.

    Args:
        message: one plain sentence for a person.
        **details: fields of `ErrorData` other than `kind`.
    """

    code: ClassVar[int] = -32603
    kind: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        details.setdefault("retryable", self.retryable)
        self.data = ErrorData(kind=self.kind, **details)

    def to_object(self) -> ErrorObject:
        """Give the wire form."""
        return ErrorObject(code=self.code, message=self.message, data=self.data)


class ParseError(RpcError):
    """Not JSON, not UTF-8, nested too deeply, or too many members."""

    code = -32700
    kind = "parse_error"


class InvalidRequest(RpcError):
    """JSON, but not a JSON-RPC request: a batch, a bad id, a duplicate member."""

    code = -32600
    kind = "invalid_request"


class MethodNotFound(RpcError):
    """No such method in this direction."""

    code = -32601
    kind = "method_not_found"


class InvalidParams(RpcError):
    """The params do not fit; `path` names the field."""

    code = -32602
    kind = "invalid_params"


class InternalError(RpcError):
    """A bug in the daemon; `incident_id` finds it in the log."""

    code = -32603
    kind = "internal_error"


class RequestCancelled(RpcError):
    """The call was cancelled with `$/cancelRequest` before it took effect."""

    code = -32800
    kind = "request_cancelled"


class AuthRequired(RpcError):
    """Token missing or wrong."""

    code = -32000
    kind = "auth_required"


class Overloaded(RpcError):
    """A limit on concurrent work was hit; nothing was done."""

    code = -32001
    kind = "overloaded"
    retryable = True


class NotFound(RpcError):
    """The named thing does not exist."""

    code = -32002
    kind = "not_found"


class Forbidden(RpcError):
    """The connection's role does not allow the method."""

    code = -32003
    kind = "forbidden"


class Busy(RpcError):
    """The session has a run, and the caller asked not to wait."""

    code = -32004
    kind = "busy"
    retryable = True


class UnsupportedVersion(RpcError):
    """No common protocol revision; `supported` lists ours."""

    code = -32005
    kind = "unsupported_version"


class Conflict(RpcError):
    """The state is not what the call expects."""

    code = -32006
    kind = "conflict"


class IdempotencyConflict(RpcError):
    """The key was used before with other params."""

    code = -32007
    kind = "idempotency_conflict"


class CursorInvalid(RpcError):
    """The cursor is beyond the head, below the oldest event, or of another epoch."""

    code = -32008
    kind = "cursor_invalid"


class TooLarge(RpcError):
    """A message or payload is over its limit."""

    code = -32009
    kind = "too_large"


class Draining(RpcError):
    """The daemon is finishing its runs and takes no new work."""

    code = -32010
    kind = "draining"
    retryable = True


class NotInitialized(RpcError):
    """A message came before `initialize`; the connection closes."""

    code = -32011
    kind = "not_initialized"


class Unsupported(RpcError):
    """Known, but not possible here."""

    code = -32012
    kind = "unsupported"


class StorageUnavailable(RpcError):
    """The log cannot be written; nothing was done."""

    code = -32013
    kind = "storage_unavailable"
    retryable = True


ERRORS: tuple[type[RpcError], ...] = (
    ParseError,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    InternalError,
    RequestCancelled,
    AuthRequired,
    Overloaded,
    NotFound,
    Forbidden,
    Busy,
    UnsupportedVersion,
    Conflict,
    IdempotencyConflict,
    CursorInvalid,
    TooLarge,
    Draining,
    NotInitialized,
    Unsupported,
    StorageUnavailable,
)
"""The whole table, in the order of PROTOCOL.md."""

BY_CODE: dict[int, type[RpcError]] = {error.code: error for error in ERRORS}


def from_object(error: ErrorObject) -> RpcError:
    """Give the exception for an error a peer sent; an unknown code becomes a plain `RpcError`."""
    known = BY_CODE.get(error.code, RpcError)
    exception = known(error.message)
    exception.code = error.code  # pyright: ignore[reportAttributeAccessIssue]
    with contextlib.suppress(msgspec.ValidationError):  # A foreign peer's data may have any shape.
        exception.data = msgspec.convert(error.data, ErrorData)
    return exception
