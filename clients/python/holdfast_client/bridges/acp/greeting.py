"""What `initialize` is answered: static facts, so that no editor waits for a daemon. Standard library alone.

An editor freezes until it has this answer. So it is given before anything that is slow to import is.
"""

import json
import os
from typing import Any, Final, NamedTuple, cast

from holdfast_protocol.version import VERSION

PROTOCOL_VERSION: Final = 1
"""The one stable version. Whoever asks for another is answered this one, and decides."""

_READ_BYTES: Final = 64 * 1024

FIRST_LINE_BYTES_MAX: Final = 1024 * 1024
"""A first message that is longer is none that could be answered here."""


class Greeted(NamedTuple):
    """What was read of an editor so far.

    Attributes:
        received: all of it, the first message too.
        answered: whether the first message was `initialize`, and is answered.
    """

    received: bytes
    answered: bool


def facts() -> dict[str, Any]:
    """Give the result of `initialize`."""
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "agentInfo": {"name": "holdfast", "title": "holdfast", "version": VERSION},
        "agentCapabilities": {
            "loadSession": True,
            "promptCapabilities": {"image": True, "audio": False, "embeddedContext": True},
            "mcpCapabilities": {"http": True, "sse": False},
            "sessionCapabilities": {
                name: {}
                for name in (
                    *("list", "delete", "additionalDirectories", "resume", "close"),
                    *("fork", "archive", "status", "title"),  # Not in the stable schema.
                )
            },
            "auth": {},
        },
        "authMethods": [],
        "_meta": {"steering": {"supported": True}, "holdfast": {"methods": "_holdfast/"}},
    }


def is_answerable(params: Any) -> bool:
    """Tell whether params of `initialize` are as they must be."""
    version = cast("dict[str, Any]", params).get("protocolVersion") if isinstance(params, dict) else None
    return isinstance(version, int) and not isinstance(version, bool) and 0 <= version <= 0xFFFF


def greet(source: int, sink: int) -> Greeted:
    """Read the first message, and answer it if it is a fitting `initialize`; else leave it to the bridge.

    Args:
        source: a descriptor to read from; waited for.
        sink: a descriptor to write to.
    """
    received = b""
    while b"\n" not in received and len(received) < FIRST_LINE_BYTES_MAX:
        chunk = os.read(source, _READ_BYTES)
        if not chunk:
            return Greeted(received, answered=False)
        received += chunk
    answer = _answer(received.partition(b"\n")[0])
    if answer is None:
        return Greeted(received, answered=False)
    rest = memoryview(answer)
    while rest:
        rest = rest[os.write(sink, rest) :]
    return Greeted(received, answered=True)


def _answer(line: bytes) -> bytes | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match message:
        case {"jsonrpc": "2.0", "method": "initialize", "id": str() | int() as call_id, "params": params}:
            if isinstance(call_id, bool) or not is_answerable(params):
                return None
            response = {"jsonrpc": "2.0", "id": call_id, "result": facts()}
            return json.dumps(response, separators=(",", ":")).encode() + b"\n"
        case _:
            return None
