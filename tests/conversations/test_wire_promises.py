"""The checks every connection of every conversation passes are themselves able to fail (`wire_promises`)."""

from typing import Any

import pytest

from conversations.wire_promises import Connection, merged_logs
from fakes.raw_client import Entry

Message = dict[str, Any]


def _sent(request_id: int, method: str, **params: Any) -> Entry:
    return Entry("sent", {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def _result(request_id: int | None, result: Any) -> Entry:
    return Entry("received", {"jsonrpc": "2.0", "id": request_id, "result": result})


def _error(request_id: int | None, code: int, kind: str) -> Entry:
    error = {"code": code, "message": "Not so.", "data": {"kind": kind}}
    return Entry("received", {"jsonrpc": "2.0", "id": request_id, "error": error})


def _heard(method: str, **params: Any) -> Entry:
    return Entry("received", {"jsonrpc": "2.0", "method": method, "params": params})


def _batch(first: int, last: int, *seqs: int, epoch: str = "e", model: str = "m") -> Entry:
    events = [
        {"seq": seq, "at": 1, "type": "model_switched", "model": model, "previous": "m"} for seq in seqs
    ]
    return _heard(
        "session/events", **{"sessionId": "s", "epoch": epoch, "from": first, "to": last, "events": events}
    )


def _subscribed(request_id: int, after: int, **params: Any) -> list[Entry]:
    result = {"epoch": "e", "from": after + 1, "head": 3, "oldest": 1}
    return [_sent(request_id, "session/subscribe", sessionId="s", **params), _result(request_id, result)]


def _created(session: str) -> Entry:
    row = {"sessionId": session, "epoch": "e", "cwd": "/", "agent": "a", "model": "m", "status": "idle"}
    row |= {"head": 1, "createdAt": 1, "updatedAt": 1}
    return _heard("sessions/changed", change="created", sessionId=session, session=row)


LIMITS = dict.fromkeys(
    (
        *("messageBytesMax", "eventBytesMax", "batchBytesMax", "snapshotBytesMax", "depthMax", "membersMax"),
        *("requestsInFlightMax", "requestsPerSecondMax", "subscribersPerSessionMax", "queuedPromptsMax"),
        "readEventsMax",
    ),
    1,
)

HELLO = [
    _sent(1, "initialize"),
    _result(
        1,
        {
            "version": 1,
            "server": {"name": "n", "version": "v", "instanceId": "i", "pid": 1, "startedAt": 1},
            "capabilities": {"deliveries": [], "transports": []},
            "limits": LIMITS,
            "role": "controller",
        },
    ),
]

CAUGHT_UP = {"sessionId": "s", "epoch": "e", "head": 3}

RIGHT = {
    "a subscription and its events": [
        *_subscribed(2, 0),
        _batch(1, 2, 1, 2),
        _batch(3, 3, 3),
        _heard("session/caughtUp", **CAUGHT_UP),
    ],
    "a filter": [*_subscribed(2, 0, types=["model_switched"]), _batch(1, 3, 2), _batch(4, 9)],
    "a subscription that takes another's place": [
        *_subscribed(2, 0),
        _batch(1, 2, 1, 2),
        *_subscribed(3, 1),
        _batch(2, 2, 2),
    ],
    "a gap that is named": [
        *_subscribed(2, 0),
        _heard("session/gap", **{"sessionId": "s", "epoch": "e", "from": 1, "to": 7, "reason": "skipped"}),
        _batch(8, 8, 8),
    ],
    "an error of the method's row": [_sent(2, "session/get", sessionId="s"), _error(2, -32002, "not_found")],
    "an error of any call": [_sent(2, "session/get"), _error(2, -32602, "invalid_params")],
    "a refusal with a null id": [_error(None, -32700, "parse_error")],
    "a session that is announced": [
        _sent(2, "session/create"),
        _result(2, {"sessionId": "s", "epoch": "e", "seq": 1}),
        _created("s"),
    ],
    "another's session": [_sent(2, "session/create"), _created("t")],
    "two mutations in order": [
        _sent(2, "session/update", sessionId="s"),
        _sent(3, "session/update", sessionId="s"),
        _result(2, {"seq": 4}),
        _result(3, {"seq": 4}),
    ],
}

WRONG = {
    "two answers": ([_sent(2, "ping"), _result(2, {}), _result(2, {})], "is answered twice"),
    "a code of another kind": ([_sent(2, "ping"), _error(2, -32001, "not_found")], "do not belong together"),
    "an error that is not of the row": (
        [_sent(2, "ping"), _error(2, -32002, "not_found")],
        "row does not name",
    ),
    "a result of another type": ([_sent(2, "session/list"), _result(2, {})], "is not of its type"),
    "an unknown notification": ([_heard("session/other")], "is no notification of the table"),
    "a notification of another type": ([_heard("daemon/state", state="odd")], "are not of their type"),
    "an event of no subscription": ([_batch(1, 1, 1)], "that is not subscribed to"),
    "an event before the answer": (
        [_subscribed(2, 0)[0], _batch(1, 1, 1), _subscribed(2, 0)[1]],
        "that is not subscribed to",
    ),
    "an event after the end": (
        [
            *_subscribed(2, 0),
            _sent(3, "session/unsubscribe", sessionId="s"),
            _result(3, {"cursor": 0}),
            _batch(1, 1, 1),
        ],
        "that is not subscribed to",
    ),
    "a hole between batches": ([*_subscribed(2, 0), _batch(1, 1, 1), _batch(3, 3, 3)], "but the cursor is"),
    "a batch again": ([*_subscribed(2, 0), _batch(1, 1, 1), _batch(1, 1, 1)], "but the cursor is"),
    "a batch of the old subscription": (
        [*_subscribed(2, 0), _batch(1, 2, 1, 2), *_subscribed(3, 0), _batch(3, 3, 3)],
        "but the cursor is",
    ),
    "another epoch": ([*_subscribed(2, 0), _batch(1, 1, 1, epoch="f")], "but the cursor is"),
    "an event left out": ([*_subscribed(2, 0), _batch(1, 3, 1, 3)], "has only [1, 3]"),
    "events out of order": ([*_subscribed(2, 0), _batch(1, 2, 2, 1)], "has the events [2, 1]"),
    "an event outside the range": (
        [*_subscribed(2, 0, deltas="none"), _batch(1, 2, 1, 3)],
        "has the events [1, 3]",
    ),
    "caught up too early": (
        [*_subscribed(2, 0), _heard("session/caughtUp", **CAUGHT_UP)],
        "but the cursor is",
    ),
    "an event that changed": (
        [*_subscribed(2, 0), _batch(1, 1, 1), *_subscribed(3, 0), _batch(1, 1, 1, model="n")],
        "changed from",
    ),
    "a session announced too early": (
        [
            _sent(2, "session/create"),
            _created("s"),
            _result(2, {"sessionId": "s", "epoch": "e", "seq": 1}),
        ],
        "is announced before",
    ),
    "mutations out of order": (
        [
            _sent(2, "session/update", sessionId="s"),
            _sent(3, "session/update", sessionId="s"),
            _result(2, {"seq": 5}),
            _result(3, {"seq": 4}),
        ],
        "before that of an earlier call",
    ),
}


def test_the_handshake_alone_is_right() -> None:
    assert Connection(HELLO).broken == []


def test_what_comes_before_the_handshake_is_reported() -> None:
    assert Connection([_created("s"), *HELLO]).broken == ["sessions/changed before initialize was answered"]


@pytest.mark.parametrize("transcript", RIGHT.values(), ids=RIGHT.keys())
def test_a_transcript_in_which_all_is_right_passes(transcript: list[Entry]) -> None:
    assert Connection([*HELLO, *transcript]).broken == []


@pytest.mark.parametrize(("transcript", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_transcript_in_which_something_is_wrong_is_reported(transcript: list[Entry], sentence: str) -> None:
    assert sentence in "\n".join(Connection([*HELLO, *transcript]).broken)


BESIDE = {
    "a session that is announced before its answer": [
        _sent(2, "session/create"),
        _created("s"),
        _result(2, {"sessionId": "s", "epoch": "e", "seq": 1}),
    ],
    "mutations whose answers come in another order": [
        _sent(2, "session/update", sessionId="s"),
        _sent(3, "session/update", sessionId="s"),
        _result(3, {"seq": 5}),
        _result(2, {"seq": 4}),
    ],
    "a notice that comes after later events": [
        *_subscribed(2, 0),
        _batch(1, 4, 1, 2, 3, 4),
        _heard("session/caughtUp", **CAUGHT_UP),
    ],
}
"""What is wrong on a connection, and may be so where a library tells it in several tasks."""

STREAMS = ("a hole between batches", "a batch again", "two answers", "a result of another type")


@pytest.mark.parametrize("transcript", BESIDE.values(), ids=BESIDE.keys())
def test_what_has_no_order_among_itself_in_a_library_is_wrong_only_on_a_connection(
    transcript: list[Entry],
) -> None:
    assert Connection([*HELLO, *transcript]).broken != []
    assert Connection([*HELLO, *transcript], relayed=True).broken == []


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_library_promises_of_streams_and_answers_is_checked_too(name: str) -> None:
    transcript, sentence = WRONG[name]
    assert sentence in "\n".join(Connection([*HELLO, *transcript], relayed=True).broken)


def test_an_event_that_two_clients_got_differently_is_reported() -> None:
    one = Connection([*HELLO, *_subscribed(2, 0), _batch(1, 1, 1)])
    other = Connection([*HELLO, *_subscribed(2, 0), _batch(1, 1, 1, model="n")])
    broken: list[str] = []
    assert merged_logs([one, other, one], broken).keys() == {("s", "e")}
    assert broken == ["('s', 'e') 1 is not the same for two readers"]
