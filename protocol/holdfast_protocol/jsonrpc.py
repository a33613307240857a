"""JSON-RPC 2.0 envelopes: one frame's bytes to one message, one message to bytes.

Knows nothing of framing, methods or transports. `decode` is strict: what it returns is a well-formed
request, notification or response, and everything else is a typed error (PROTOCOL.md, "Discipline").

One untyped decode does the work. The checks JSON decoders leave out (depth, members, duplicate names)
first try a cheap proof that the frame is harmless, and scan only if that fails.
"""

import json
import re
from typing import Any, Final, Literal

import msgspec

from holdfast_protocol.errors import ErrorObject, InvalidRequest, ParseError, RpcError

DEPTH_MAX: Final = 128
"""Nesting of arrays and objects; deeper frames are refused before any recursion could overflow."""

MEMBERS_MAX: Final = 10_000
"""Members and elements of one frame, all objects and arrays together; an empty one counts as one more."""

_TOKENS_MAX: Final = 5 * MEMBERS_MAX + 1
"""What `_TOKEN` finds in JSON of so many members: openers, closers, commas, and two strings a member."""

ID_BYTES_MAX: Final = 256
METHOD_BYTES_MAX: Final = 256

Id = str | int
"""A request id. Null, fractional and over-2^63 ids are refused."""

_ID_MAX: Final = 2**63

# A JSON string, or one structural character. Strings are matched whole so that their content is skipped, also
# one that never ends, and possessively: no byte is looked at twice, whatever the peer sends.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\],]', re.DOTALL)

_SPACE: Final = b" \t\r\n"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class Request(msgspec.Struct, frozen=True):
    """A call that must be answered exactly once."""

    id: Id
    method: str
    params: Any


class Notification(msgspec.Struct, frozen=True):
    """A message that is never answered."""

    method: str
    params: Any


class Response(msgspec.Struct, frozen=True):
    """The answer to a call of ours: a result, or an error. `id` is None if the peer could not read ours."""

    id: Id | None
    result: Any = None
    error: ErrorObject | None = None


Message = Request | Notification | Response


class _Envelope(msgspec.Struct, frozen=True):
    """Any message, its contents not decoded. An absent `result` is empty, a null one is not."""

    jsonrpc: Literal["2.0"]
    id: Id | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorObject | None = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)


class InvalidMessage(Exception):
    """A frame that is not a message.

    Attributes:
        error: what the peer is answered.
        id: the id to answer under; None where none could be read.
    """

    def __init__(self, error: RpcError, id: Id | None = None) -> None:  # noqa: A002 - the field's name
        super().__init__(error.message)
        self.error = error
        self.id = id


def decode(frame: bytes) -> Message:
    """Decode one frame.

    Raises:
        InvalidMessage: with ParseError (-32700) or InvalidRequest (-32600).
    """
    value = _decode_json(frame)
    if isinstance(value, list):
        raise InvalidMessage(InvalidRequest("Batches are not supported."))
    if not isinstance(value, dict):
        raise InvalidMessage(InvalidRequest("A message is a JSON object."))
    envelope: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
    message_id = _readable_id(envelope)
    is_response = "method" not in envelope and ("result" in envelope or "error" in envelope)
    refused_id = None if is_response else message_id  # A response's id is one of ours, not of the peer's.
    if _has_duplicates(frame, envelope):
        raise InvalidMessage(InvalidRequest("A member name occurs twice in one object."), refused_id)
    if envelope.get("jsonrpc") != "2.0":
        raise InvalidMessage(InvalidRequest('"jsonrpc" must be "2.0".', path="$.jsonrpc"), refused_id)
    if is_response:
        return _response(envelope, message_id)
    if "method" in envelope:
        return _call(envelope, message_id)
    raise InvalidMessage(InvalidRequest("Neither a request nor a response."), refused_id)


def decode_trusted(frame: bytes) -> Message:
    """Decode one frame of a peer that keeps the rules: a client's daemon.

    `params` and `result` stay `msgspec.Raw`, for their own types to decode. A batch of events costs so next
    to nothing until somebody takes them, and may have more members than a stranger's message.

    Raises:
        InvalidMessage: not JSON, or no envelope.
    """
    try:
        envelope = _envelope_decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidMessage(ParseError(f"Not a message: {error}")) from None
    if envelope.method is not None:
        if envelope.id is None:
            return Notification(envelope.method, envelope.params)
        return Request(envelope.id, envelope.method, envelope.params)
    if envelope.error is not None:
        return Response(envelope.id, error=envelope.error)
    if envelope.id is None or not bytes(envelope.result):
        raise InvalidMessage(InvalidRequest("Neither a request nor a response."))
    return Response(envelope.id, result=envelope.result)


def encode_request(id: Id, method: str, params: Any) -> bytes:  # noqa: A002 - the field's name
    """Encode a call."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def encode_notification(method: str, params: Any) -> bytes:
    """Encode a notification; `params` may be a `msgspec.Raw` of bytes encoded before."""
    return _encoder.encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_result(id: Id, result: Any) -> bytes:  # noqa: A002 - the field's name
    """Encode the answer to a call."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "result": result})


def encode_error(id: Id | None, error: RpcError) -> bytes:  # noqa: A002 - the field's name
    """Encode the refusal of a call; a null id where the call's could not be read."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "error": error.to_object()})


def _decode_json(frame: bytes) -> Any:
    try:
        frame.decode("utf-8")  # msgspec does not check skipped strings.
    except UnicodeDecodeError as error:
        raise InvalidMessage(ParseError(f"Not UTF-8 at byte {error.start}.")) from None
    _check_shape(frame)
    try:
        return _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(ParseError(f"Not JSON: {error}")) from None


def _check_shape(frame: bytes) -> None:
    """Refuse frames that nest too deeply or have too many members, before they are decoded."""
    openers = frame.count(b"{") + frame.count(b"[")
    if openers <= DEPTH_MAX and openers + frame.count(b",") <= MEMBERS_MAX:
        return  # Characters inside strings counted too, and still within the limits.
    depth = members = 0
    for tokens, match in enumerate(_TOKEN.finditer(frame), 1):
        token = frame[match.start()]
        if token in b"{[":
            depth += 1
            members += 1
            if depth > DEPTH_MAX:
                raise InvalidMessage(
                    ParseError("Nested too deeply.", limit="depth_max", limit_value=DEPTH_MAX)
                )
        elif token in b"}]":
            depth -= 1
        elif token in b",":
            members += 1
        if members > MEMBERS_MAX or tokens > _TOKENS_MAX:
            raise InvalidMessage(
                ParseError("Too many members.", limit="members_max", limit_value=MEMBERS_MAX)
            )


def _has_duplicates(frame: bytes, value: dict[str, Any]) -> bool:
    """Tell whether an object of the frame names a member twice; decoders keep the last in silence.

    A frame equal to the compact encoding of what was decoded from it cannot have lost a member, and
    that is how most clients write. The same holds if both are equal without any white space: what is left
    of the tokens then has the same structure. Others are decoded once more, watching each object.
    """
    encoded = _encoder.encode(value)
    if encoded == frame or encoded.translate(None, _SPACE) == frame.translate(None, _SPACE):
        return False
    seen_twice = False

    def watch(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal seen_twice
        members = dict(pairs)
        seen_twice = seen_twice or len(members) != len(pairs)
        return members

    json.loads(frame, object_pairs_hook=watch)
    return seen_twice


def _readable_id(envelope: dict[str, Any]) -> Id | None:
    """Give the id if it is a valid one, so that a bad message can be answered under it."""
    value = envelope.get("id")
    if isinstance(value, str):
        return value if len(value.encode("utf-8", "surrogatepass")) <= ID_BYTES_MAX else None
    if isinstance(value, int) and not isinstance(value, bool) and -_ID_MAX <= value < _ID_MAX:
        return value
    return None


def _call(envelope: dict[str, Any], message_id: Id | None) -> Request | Notification:
    method: Any = envelope["method"]
    if not isinstance(method, str) or len(method.encode("utf-8", "surrogatepass")) > METHOD_BYTES_MAX:
        error = InvalidRequest(f"A method is a string of at most {METHOD_BYTES_MAX} bytes.", path="$.method")
        raise InvalidMessage(error, message_id)
    params: Any = envelope.get("params")
    if params is not None and not isinstance(params, dict | list):
        raise InvalidMessage(
            InvalidRequest("Params are an object, an array or null.", path="$.params"), message_id
        )
    if "id" not in envelope:
        return Notification(method, params)
    if message_id is None:
        error = InvalidRequest(
            f"An id is a string of at most {ID_BYTES_MAX} bytes or an integer below 2^63.", path="$.id"
        )
        raise InvalidMessage(error)
    return Request(message_id, method, params)


def _response(envelope: dict[str, Any], message_id: Id | None) -> Response:
    if "id" not in envelope or ("result" in envelope and "error" in envelope):
        raise InvalidMessage(InvalidRequest("A response has an id, and either a result or an error."))
    if message_id is None and ("result" in envelope or envelope["id"] is not None):
        raise InvalidMessage(InvalidRequest("A response has the id of its request.", path="$.id"))
    if "result" in envelope:
        return Response(message_id, result=envelope["result"])
    try:
        error = msgspec.convert(envelope["error"], ErrorObject)
    except msgspec.ValidationError as problem:
        raise InvalidMessage(InvalidRequest(f"Not an error object: {problem}")) from None
    return Response(message_id, error=error)
