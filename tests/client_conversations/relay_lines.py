"""What the two Python relays share: their lines, and a conversation's messages as calls of the library.

A relay is a program that uses nothing but a client library, as a program of somebody else would. The runner
of the conversations speaks to it as to a daemon; the relay says it again with the library, and tells what the
library gives.

    in   {"client": 3, "connect": {"runtime": DIR, "name": "a", "hello": MESSAGE}}
         {"client": 3, "send": [MESSAGE, …]}                        JSON-RPC, as the runner would write it
         {"client": 3, "close": true}                               leave the client
    out  3 {"jsonrpc":"2.0",…}                                      an answer or a notification
         3 end                                                      its connection is lost; it lives on

`initialize` is answered with what the library knows of the daemon, `session/subscribe` with the beginning of
an event stream, whose events are told as batches. All other calls are methods of the library.
"""

import sys
import threading
from typing import Any, Final

import msgspec

from holdfast_client.core.tail import AnyEvent
from holdfast_client.errors import ClientError
from holdfast_protocol import discovery
from holdfast_protocol.errors import ErrorObject, RpcError
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.session import SessionGetResult
from holdfast_protocol.methods.subscribe import SessionSubscribeParams, SessionSubscribeResult

Message = dict[str, Any]

HEARD: Final = (
    "sessions/changed",
    "daemon/state",
    "tool/call",
    "session/caughtUp",
    "session/halted",
    "session/lagged",
    "session/gap",
)
"""Notifications that are told as the library hands them over; events come out of the streams."""

NOT_TYPED: Final = frozenset({"initialize", "session/subscribe", "session/unsubscribe"})

LOOK_EVERY_S: Final = 0.005
"""Whether a client is connected is a property of it, and nothing that could be waited for."""

LAST_PING_S: Final = 1.0

_writing: Final = threading.Lock()


def commands(line: bytes) -> tuple[int, Message]:
    """Give whose command it is, and what is to be done."""
    command: Message = msgspec.json.decode(line)
    return command.pop("client"), command


def write(number: int, body: bytes) -> None:
    """Write a line; waits while nobody reads. May be called from any thread."""
    with _writing:
        sys.stdout.buffer.write(b"%d %s\n" % (number, body))
        sys.stdout.buffer.flush()


def locations(runtime: str) -> discovery.Locations:
    """Say where the daemon's record lies."""
    return discovery.Locations(config="", state="", runtime=runtime)


# Calls ------------------------------------------------------------------------------------------------------


def typed(method: str, params: Any) -> tuple[str, dict[str, Any]] | None:
    """Give a call as a method of `rpc` and its keyword arguments; None if its types do not allow it."""
    row = CALLS.get(method)
    if row is None or method in NOT_TYPED:
        return None
    try:
        given = msgspec.json.decode(msgspec.json.encode(params or {}), type=row.params)
    except msgspec.ValidationError:
        return None
    arguments = {name: getattr(given, name) for name in given.__struct_fields__}
    return method.replace("/", "_").replace(".", "_"), arguments


def answer(request: Message, result: Any) -> bytes:
    """Give the answer to a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refusal(request: Message, error: Exception) -> bytes:
    """Give the answer of a request that failed; an error of the library's own has its class for a kind."""
    if isinstance(error, RpcError):
        found = error.to_object()
    else:
        assert isinstance(error, ClientError)
        found = ErrorObject(code=0, message=str(error), data={"kind": type(error).__name__})
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request["id"], "error": found})


def notification(method: str, params: Any) -> bytes:
    """Give a notification."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})


# Streams ----------------------------------------------------------------------------------------------------


def subscription(request: Message) -> SessionSubscribeParams:
    """Read how a conversation wants to follow; a stream offers no more than this."""
    params = msgspec.json.decode(msgspec.json.encode(request["params"]), type=SessionSubscribeParams)
    assert params.deltas != "settled"
    assert params.on_lag == "catch_up"
    return params


def begins_after(params: SessionSubscribeParams, found: SessionGetResult) -> int:
    """Give the cursor a stream begins with."""
    if params.after == "start":
        return 0
    return found.snapshot.head if params.after == "head" else params.after


def beginning(
    params: SessionSubscribeParams, found: SessionGetResult, epoch: str, after: int, oldest: AnyEvent
) -> SessionSubscribeResult:
    """Give what a program knows when its stream has begun.

    Args:
        params: how it follows.
        found: the session, as it was just before.
        epoch: of the stream.
        after: where it begins.
        oldest: the first event that can be read.
    """
    snapshot = found.snapshot if params.after == "head" else None
    head = found.snapshot.head
    return SessionSubscribeResult(
        epoch=epoch, from_=after + 1, head=head, oldest=oldest.seq, snapshot=snapshot
    )


def batch(session: str, epoch: str, first: int, last: int, items: list[AnyEvent]) -> bytes:
    """Give events of a stream as a batch."""
    return notification(
        "session/events", {"sessionId": session, "epoch": epoch, "from": first, "to": last, "events": items}
    )
