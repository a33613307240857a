"""What holds of every connection, whatever was said on it. Pure: reads transcripts.

Promises about answers, subscriptions and the method table (PROTOCOL.md, "Discipline", "Subscribing", "Order",
"Methods"). Each function gives sentences about what is broken, none if all is well.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from fakes.raw_client import Entry
from holdfast_protocol.errors import BY_CODE
from holdfast_protocol.events import UnknownEvent, convert
from holdfast_protocol.methods import COMMON_ERRORS, TABLE

Message = dict[str, Any]
LogId = tuple[str, str]
"""A session and the epoch of its log."""

_MUTATIONS: Final = frozenset({"session/prompt", "session/update", "session/continue", "session/close"})
"""Calls that change one session and are answered with the `seq` that is durable by then."""

_CREATIONS: Final = frozenset({"session/create", "session/fork"})

_ASIDE: Final = frozenset({"session/caughtUp", "session/lagged"})
"""What says where a subscription stands, and is no part of it."""

_ANY_CALL: Final = frozenset({*COMMON_ERRORS, "invalid_request", "method_not_found", "not_initialized"})
"""Kinds with which a call may be refused before its method is looked at, and those any method may give."""


class Connection:
    """Reads one connection's transcript; `broken` says what does not hold.

    Args:
        transcript: of the connection.
        relayed: what was received came by way of a client library, which has answers, notifications and
            each stream's events in order, and promises nothing of one kind's place among another's.

    Attributes:
        logs: the events that were seen, by log and seq.
    """

    def __init__(self, transcript: Iterable[Entry], *, relayed: bool = False) -> None:
        self._relayed = relayed
        self.broken: list[str] = []
        self.logs: dict[LogId, dict[int, Message]] = {}
        self._requests: dict[Any, Message] = {}  # Sent and not answered, by id.
        self._answered: set[Any] = set()
        self._opened = False  # `initialize` was answered with a result.
        self._cursors: dict[str, tuple[str, int, bool]] = {}  # Epoch, cursor, unfiltered; of subscriptions.
        self._last_seqs: dict[str, int] = {}  # The last seq a mutation was answered with, by session.
        self._announced: set[str] = set()  # Sessions of which `sessions/changed` said that they were created.
        for direction, message in transcript:
            if message is not None:
                (self._sent if direction == "sent" else self._received)(message)

    def _sent(self, message: Message) -> None:
        if "id" in message and "method" in message:
            self._requests.setdefault(message["id"], message)

    def _received(self, message: Message) -> None:
        if "method" not in message:
            self._answer(message)
        elif not self._opened:
            self.broken.append(f"{message['method']} before initialize was answered")
        else:
            self._notification(message)

    # Answers -------------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> None:
        if "error" in message:
            self._check_error_object(message["error"])
        if message["id"] is None:
            return
        if message["id"] in self._answered:
            self.broken.append(f"request {message['id']!r} is answered twice")
        request = self._requests.pop(message["id"], None)
        if request is None:
            return  # A frame that was no message and yet had an id.
        self._answered.add(message["id"])
        if "error" in message:
            self._check_kind(request["method"], message["error"]["data"]["kind"])
        else:
            self._result(request, message["result"])

    def _check_error_object(self, error: Message) -> None:
        known = BY_CODE.get(error["code"])
        kind = error.get("data", {}).get("kind")
        if known is None or known.kind != kind:
            self.broken.append(f"code {error['code']} and kind {kind} do not belong together")
        if not error.get("message"):
            self.broken.append(f"an error {kind} without a sentence")

    def _check_kind(self, method: str, kind: str) -> None:
        row = TABLE.get(method)
        if kind not in _ANY_CALL and (row is None or kind not in row.errors):
            self.broken.append(f"{method} is answered with {kind}, which its row does not name")

    def _result(self, request: Message, result: Any) -> None:
        method, params = request["method"], request.get("params")
        self._check_result(method, result)
        if method == "initialize":
            self._opened = True
        elif method == "session/subscribe":
            unfiltered = "types" not in params and params.get("deltas", "all") == "all"
            self._cursors[params["sessionId"]] = (result["epoch"], result["from"] - 1, unfiltered)
        elif method == "session/unsubscribe":
            self._cursors.pop(params["sessionId"], None)
        elif method == "session/read":
            self._see(params["sessionId"], result["epoch"], result["events"])
        elif method in _CREATIONS and self._is_announced(result["sessionId"]) and not result.get("replayed"):
            self.broken.append(f"{result['sessionId']} is announced before {method} is answered")
        elif method in _MUTATIONS and not result.get("replayed"):
            self._check_arrival_order(params["sessionId"], method, result["seq"])

    def _is_announced(self, session: str) -> bool:
        return session in self._announced and not self._relayed

    def _check_result(self, method: str, result: Any) -> None:
        row = TABLE[method]
        try:
            msgspec.json.decode(msgspec.json.encode(result), type=row.result)
        except msgspec.ValidationError as error:
            self.broken.append(f"the result of {method} is not of its type: {error}")

    def _check_arrival_order(self, session: str, method: str, seq: int) -> None:
        if seq < self._last_seqs.get(session, 0) and not self._relayed:
            self.broken.append(f"{method} is answered with seq {seq}, before that of an earlier call")
        self._last_seqs[session] = seq

    # Notifications -------------------------------------------------------------------------------------

    def _notification(self, message: Message) -> None:
        method, params = message["method"], message["params"]
        row = TABLE.get(method)
        if row is None or row.direction != "server_notification":
            self.broken.append(f"{method} is no notification of the table")
            return
        try:
            msgspec.json.decode(msgspec.json.encode(params), type=row.params)
        except msgspec.ValidationError as error:
            self.broken.append(f"the params of {method} are not of their type: {error}")
        if method == "session/events":
            self._batch(params)
        elif method == "session/caughtUp":
            self._check_cursor(method, params, params["head"])
        elif method == "session/lagged":
            self._check_cursor(method, params, params["cursor"])
        elif method == "session/gap":
            self._check_cursor(method, params, params["from"] - 1)
            epoch, _, unfiltered = self._cursors[params["sessionId"]]
            self._cursors[params["sessionId"]] = (epoch, params["to"], unfiltered)
        elif method == "sessions/changed" and params["change"] == "created":
            self._announced.add(params["sessionId"])

    def _batch(self, params: Message) -> None:
        session, events = params["sessionId"], params["events"]
        self._check_cursor("session/events", params, params["from"] - 1)
        if session not in self._cursors:
            return
        epoch, cursor, unfiltered = self._cursors[session]
        seqs = [event["seq"] for event in events]
        covered = range(params["from"], params["to"] + 1)
        if seqs != sorted(set(seqs)) or any(seq not in covered for seq in seqs) or not covered:
            self.broken.append(f"a batch {params['from']}..{params['to']} has the events {seqs}")
        if unfiltered and seqs != list(covered):
            self.broken.append(f"an unfiltered batch {params['from']}..{params['to']} has only {seqs}")
        self._cursors[session] = (epoch, max(cursor, params["to"]), unfiltered)
        self._see(session, params["epoch"], events)

    def _check_cursor(self, method: str, params: Message, cursor: int) -> None:
        subscription = self._cursors.get(params["sessionId"])
        if subscription is None:
            self.broken.append(f"{method} for a session that is not subscribed to")
        elif subscription[:2] != (params["epoch"], cursor) and not self._may_differ(method):
            self.broken.append(
                f"{method} at {params['epoch']} {cursor}, but the cursor is {subscription[:2]}"
            )

    def _may_differ(self, method: str) -> bool:
        """Tell whether the place of a notification among the events is nobody's promise."""
        return self._relayed and method in _ASIDE

    def _see(self, session: str, epoch: str, events: list[Message]) -> None:
        log = self.logs.setdefault((session, epoch), {})
        for event in events:
            self._check_event(event)
            known = log.setdefault(event["seq"], event)
            if known != event:
                self.broken.append(f"{session} {event['seq']} changed from {known} to {event}")

    def _check_event(self, event: Message) -> None:
        try:
            known = convert(event)
        except msgspec.ValidationError as error:
            self.broken.append(f"event {event} is not of its type: {error}")
        else:
            if isinstance(known, UnknownEvent):
                self.broken.append(f"{event['type']} is no event")


def merged_logs(connections: Iterable[Connection], broken: list[str]) -> dict[LogId, dict[int, Message]]:
    """Join what connections saw of each log; an event that is not the same for all is reported."""
    logs: dict[LogId, dict[int, Message]] = {}
    for connection in connections:
        for log_id, seen in connection.logs.items():
            log = logs.setdefault(log_id, {})
            for seq, event in seen.items():
                if log.setdefault(seq, event) != event:
                    broken.append(f"{log_id} {seq} is not the same for two readers")
    return logs
