"""The first message of a forwarded connection, in either framing, with the token in it. No I/O of its own."""

import json
from collections.abc import Callable
from typing import Any, Final, cast

from holdfast_client.shell.exit_codes import USAGE, CommandFailed

MESSAGE_BYTES_MAX: Final = 16 * 1024
"""The daemon takes no larger one before it knows who speaks; headers come on top."""

_HEADERS_BYTES_MAX: Final = 8 * 1024


def with_token(read: Callable[[], bytes], token: str) -> bytes:
    """Read until the first message is whole, and give it, and what came with it, as it is to be sent.

    Args:
        read: gives some bytes, none at the end of input. Blocks; called until there is a whole message.
        token: for an `initialize` that has none.

    Raises:
        CommandFailed: no message ends within the limit, or before the input does; or the bytes are neither
            framing. The end of the input ends a line.
    """
    received = b""
    while True:
        chunk = read()
        received += chunk
        parts = _cut(received)
        if parts is not None:
            before, body, rest = parts
            return _framed(before, _filled(body, token)) + rest
        if not chunk:
            return _at_end(received, token)


def has_lines(sent: bytes) -> bool:
    """Tell whether the framing is a line per message, by the first message."""
    return sent.lstrip()[:1] in (b"{", b"[")


def _at_end(received: bytes, token: str) -> bytes:
    if not received.strip():
        return received
    if has_lines(received):
        return _framed(b"", _filled(received.lstrip(), token))
    raise CommandFailed("the input ends inside the first message", USAGE, "not_rpc")


def _cut(received: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Give the first message's headers (none for a line), its body, and what follows; None if not whole."""
    start = received.lstrip()[:1]
    if start in (b"C", b"c"):
        return _cut_headers(received.lstrip())
    if start not in (b"", b"{", b"["):
        raise CommandFailed("this is not JSON-RPC: neither an object nor Content-Length", USAGE, "not_rpc")
    line, newline, rest = received.lstrip().partition(b"\n")
    if newline:
        return b"", line, rest
    _check(len(received), MESSAGE_BYTES_MAX)
    return None


def _cut_headers(received: bytes) -> tuple[bytes, bytes, bytes] | None:
    headers, gap, after = received.partition(b"\r\n\r\n")
    if not gap:
        _check(len(received), _HEADERS_BYTES_MAX)
        return None
    length = _content_length(headers)
    _check(length, MESSAGE_BYTES_MAX)
    return (headers, after[:length], after[length:]) if len(after) >= length else None


def _content_length(headers: bytes) -> int:
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    raise CommandFailed("the first message has no Content-Length", USAGE, "not_rpc")


def _check(length: int, length_max: int) -> None:
    if length > length_max:
        raise CommandFailed(f"the first message is longer than {length_max // 1024} KiB", USAGE, "too_large")


def _filled(body: bytes, token: str) -> bytes:
    """Add the token to an `initialize` without one; anything else stays as it is, byte for byte."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        return body
    if not isinstance(message, dict) or cast("dict[str, Any]", message).get("method") != "initialize":
        return body
    params: Any = cast("dict[str, Any]", message).get("params")
    if not isinstance(params, dict) or cast("dict[str, Any]", params).get("token") is not None:
        return body
    params["token"] = token
    return json.dumps(message, separators=(",", ":")).encode()


def _framed(headers: bytes, body: bytes) -> bytes:
    if not headers:
        return body + b"\n"
    others = [
        line for line in headers.split(b"\r\n") if not line.lower().lstrip().startswith(b"content-length")
    ]
    return b"\r\n".join([*others, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body
