"""One end of a connection: handshake, ids in flight, refusals (PROTOCOL.md, "Discipline")."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_protocol import errors
from holdfast_protocol.connection import HANDSHAKE_BYTES_MAX, URGENT_METHODS, Connection, Side, State
from holdfast_protocol.errors import LocalProtocolError, RemoteProtocolError
from holdfast_protocol.framing import Framing, encode_frame
from holdfast_protocol.jsonrpc import Notification, Request, Response

INITIALIZE = {"id": "i", "method": "initialize", "params": {"protocol": "holdfast"}}


def frame(message, framing=Framing.LINES):
    return encode_frame(framing, msgspec.json.encode({"jsonrpc": "2.0", **message}))


def call(request_id, method="session/list", params=None):
    return frame({"id": request_id, "method": method, "params": params or {}})


def read(data):
    """Give the messages of bytes in JSON lines."""
    return [msgspec.json.decode(line) for line in data.splitlines()]


def codes(connection):
    """Take the refusals the connection decided by itself, as (id, code)."""
    return [(reply["id"], reply["error"]["code"]) for reply in read(b"".join(connection.take_replies()))]


def events_of(connection, data):
    connection.receive_data(data)
    return list(iter(connection.next_event, None))


def server(**settings):
    """Give a server that has served `initialize`, in JSON lines."""
    connection = Connection(Side.SERVER, **settings)
    assert [event.id for event in events_of(connection, frame(INITIALIZE))] == ["i"]
    connection.result("i", {})
    assert connection.state is State.OPEN
    return connection


def client(framing=Framing.LINES):
    return Connection(Side.CLIENT, framing=framing)


# Handshake ---------------------------------------------------------------


def test_a_server_waits_until_initialize_is_answered():
    connection = Connection(Side.SERVER)
    assert connection.state is State.WAITING
    (event,) = events_of(connection, frame(INITIALIZE))
    assert event == Request("i", "initialize", {"protocol": "holdfast"})
    assert connection.state is State.WAITING
    assert read(connection.result("i", {"version": 1})) == [
        {"jsonrpc": "2.0", "id": "i", "result": {"version": 1}}
    ]
    assert connection.state is State.OPEN


@pytest.mark.parametrize("framing", [Framing.LINES, Framing.HEADERS])
def test_a_server_answers_in_the_peers_framing(framing):
    connection = Connection(Side.SERVER)
    events_of(connection, frame(INITIALIZE, framing))
    answer = connection.result("i", 1)
    assert answer == encode_frame(framing, b'{"jsonrpc":"2.0","id":"i","result":1}')
    assert connection.notify("m", None).startswith(
        b"Content-Length: " if framing is Framing.HEADERS else b"{"
    )


def test_another_request_before_initialize_is_refused_and_the_connection_closes():
    connection = Connection(Side.SERVER)
    assert events_of(connection, call(1) + frame(INITIALIZE)) == []
    assert codes(connection) == [(1, -32011)]
    assert connection.state is State.CLOSING


def test_another_request_before_initialize_is_refused_in_the_peers_framing():
    connection = Connection(Side.SERVER)
    assert events_of(connection, frame({"id": 1, "method": "ping"}, Framing.HEADERS)) == []
    assert b"".join(connection.take_replies()).startswith(b"Content-Length: ")


@pytest.mark.parametrize(
    "data",
    [
        frame({"method": "initialize"}),
        frame({"method": "$/cancelRequest", "params": {"id": 1}}),
        frame({"id": 1, "result": 1}),
        frame({"id": None, "error": {"code": 1, "message": "m"}}),
        b"{}\n",
        b"[]\n",
        b"{\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"Content-Length: x\r\n\r\n",
        b"\x16\x03\x01",
        b"{" + b"x" * HANDSHAKE_BYTES_MAX,
        b"Content-Length: %d\r\n\r\n" % (HANDSHAKE_BYTES_MAX + 1),
    ],
)
def test_anything_else_before_initialize_closes_without_a_word(data):
    connection = Connection(Side.SERVER)
    connection.receive_data(data)
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert connection.state is State.CLOSING
    assert b"".join(connection.take_replies()) == b""
    assert events_of(connection, frame(INITIALIZE)) == []


def test_a_refused_initialize_closes_the_connection():
    connection = Connection(Side.SERVER)
    events_of(connection, frame(INITIALIZE))
    (answer,) = read(connection.error("i", errors.AuthRequired("No.")))
    assert (answer["id"], answer["error"]["code"]) == ("i", -32000)
    assert connection.state is State.CLOSING
    assert events_of(connection, call(1)) == []


def test_messages_in_the_chunk_of_initialize_are_served_if_it_is_answered_first():
    connection = Connection(Side.SERVER)
    connection.receive_data(frame(INITIALIZE) + call(1) + call(2) + frame({"method": "n"}))
    assert connection.next_event().method == "initialize"
    connection.result("i", {})
    assert connection.next_event() == Request(1, "session/list", {})
    assert connection.next_event() == Request(2, "session/list", {})
    assert connection.next_event() == Notification("n", None)
    assert connection.next_event() is None


def test_a_message_in_the_chunk_of_initialize_may_be_larger_than_the_handshake_allows():
    connection = Connection(Side.SERVER)
    text = "x" * (2 * HANDSHAKE_BYTES_MAX)
    connection.receive_data(frame(INITIALIZE) + call(1, params={"text": text}))
    connection.next_event()
    connection.result("i", {})
    assert connection.next_event().params == {"text": text}


def test_a_request_taken_before_initialize_is_answered_closes_for_good():
    connection = Connection(Side.SERVER)
    assert len(events_of(connection, frame(INITIALIZE) + call(1))) == 1
    assert codes(connection) == [(1, -32011)]
    assert connection.state is State.CLOSING
    assert read(connection.result("i", {}))[0]["id"] == "i"
    assert connection.state is State.CLOSING


def test_a_second_initialize_before_the_first_is_answered_closes():
    connection = Connection(Side.SERVER)
    assert len(events_of(connection, frame(INITIALIZE) + frame({**INITIALIZE, "id": 2}))) == 1
    assert codes(connection) == [(2, -32011)]
    assert connection.state is State.CLOSING


def test_a_second_initialize_is_refused_and_changes_nothing():
    connection = server()
    assert events_of(connection, frame({**INITIALIZE, "id": 2})) == []
    assert codes(connection) == [(2, -32600)]
    assert [event.id for event in events_of(connection, call(3))] == [3]


def test_a_frame_at_the_handshake_limit_is_read():
    padding = HANDSHAKE_BYTES_MAX - len(frame({**INITIALIZE, "x": ""})) + 1
    connection = Connection(Side.SERVER)
    assert len(events_of(connection, frame({**INITIALIZE, "x": "x" * padding}))) == 1


def test_one_past_the_handshake_limit_is_not_read():
    padding = HANDSHAKE_BYTES_MAX - len(frame({**INITIALIZE, "x": ""})) + 2
    connection = Connection(Side.SERVER)
    connection.receive_data(frame({**INITIALIZE, "x": "x" * padding}))
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


def test_an_authenticated_transport_has_no_small_limit_before_initialize():
    connection = Connection(Side.SERVER, authenticated=True)
    assert len(events_of(connection, frame({**INITIALIZE, "x": "x" * (2 * HANDSHAKE_BYTES_MAX)}))) == 1


@given(st.lists(st.integers(1, 400), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_conversation(places):
    data = frame(INITIALIZE) + call(1) + b"nonsense\n" + call(1) + frame({"method": "n"}) + call(2, "ping")
    connection = Connection(Side.SERVER)
    seen = []
    cuts = sorted({0, len(data), *(place for place in places if place < len(data))})
    for begin, end in itertools.pairwise(cuts):
        connection.receive_data(data[begin:end])
        while (event := connection.next_event()) is not None:
            seen.append(event.method)
            if event.method == "initialize":
                connection.result("i", {})
    assert seen == ["initialize", "session/list", "n", "ping"]
    assert codes(connection) == [(None, -32700), (None, -32600)]


# Answers ---------------------------------------------------------------


def test_a_request_is_answered_exactly_once():
    connection = server()
    events_of(connection, call(1) + call(2))
    connection.result(1, {})
    connection.error(2, errors.NotFound("No."))
    for request_id in (1, 2):
        with pytest.raises(LocalProtocolError):
            connection.result(request_id, {})
        with pytest.raises(LocalProtocolError):
            connection.error(request_id, errors.NotFound("No."))


def test_a_request_never_received_cannot_be_answered():
    connection = server()
    events_of(connection, frame({"method": "n"}))
    for request_id in (1, "1", "n"):
        with pytest.raises(LocalProtocolError):
            connection.result(request_id, {})


def test_a_refused_request_cannot_be_answered_again():
    connection = server(requests_in_flight_max=1)
    events_of(connection, call(1) + call(2))
    assert codes(connection) == [(2, -32001)]
    with pytest.raises(LocalProtocolError):
        connection.result(2, {})


def test_a_string_id_and_a_number_are_different_requests():
    connection = server()
    assert len(events_of(connection, call(1) + call("1"))) == 2
    assert read(connection.result("1", {}))[0]["id"] == "1"
    assert connection.is_in_flight(1)
    assert not connection.is_in_flight("1")


def test_an_id_is_free_again_once_it_is_answered():
    connection = server()
    events_of(connection, call(1))
    connection.result(1, {})
    assert [event.id for event in events_of(connection, call(1))] == [1]


def test_an_id_in_flight_is_refused_under_a_null_id_and_the_first_request_stays():
    connection = server()
    assert len(events_of(connection, call(1) + call(1, "session/get"))) == 1
    assert codes(connection) == [(None, -32600)]
    assert read(connection.result(1, {}))[0]["id"] == 1


def test_a_bad_message_under_an_id_in_flight_is_refused_under_a_null_id():
    """Else the first request would be answered twice: by the refusal, and by its answer."""
    connection = server()
    events_of(connection, call(1) + frame({"id": 1, "method": 7}))
    assert codes(connection) == [(None, -32600)]
    assert connection.is_in_flight(1)


def test_a_notification_is_never_answered():
    connection = server()
    assert events_of(connection, frame({"method": "initialize"}) + frame({"method": "nope"})) == [
        Notification("initialize", None),
        Notification("nope", None),
    ]
    assert b"".join(connection.take_replies()) == b""


# Malformed frames on an open connection ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"nonsense\n", (None, -32700)),
        (b"{\n", (None, -32700)),
        (b'{"a":"\xff"}\n', (None, -32700)),
        (b"[" * 129 + b"\n", (None, -32700)),
        (b"[]\n", (None, -32600)),
        (b"{}\n", (None, -32600)),
        (frame({"id": 5}), (5, -32600)),
        (frame({"id": None, "method": "m"}), (None, -32600)),
        (frame({"id": 1.5, "method": "m"}), (None, -32600)),
        (frame({"id": 5, "method": "m", "params": 1}), (5, -32600)),
    ],
)
def test_a_malformed_frame_is_answered_and_the_connection_goes_on(data, reply):
    connection = server()
    assert [event.id for event in events_of(connection, data + call(9))] == [9]
    assert codes(connection) == [reply]
    assert connection.state is State.OPEN


def test_an_empty_body_is_answered_as_a_parse_error():
    connection = Connection(Side.SERVER)
    events_of(connection, frame(INITIALIZE, Framing.HEADERS))
    connection.result("i", {})
    events_of(connection, b"Content-Length: 0\r\n\r\n")
    assert b'"code":-32700' in b"".join(connection.take_replies())


def test_bytes_in_no_framing_close_an_open_connection():
    connection = Connection(Side.SERVER)
    events_of(connection, frame(INITIALIZE, Framing.HEADERS))
    connection.result("i", {})
    connection.receive_data(b"{}\r\n\r\n")
    with pytest.raises(RemoteProtocolError):
        connection.next_event()
    assert connection.state is State.CLOSING


# Limits ---------------------------------------------------------------


def test_a_message_at_the_limit_is_read_and_one_past_it_is_refused_under_a_null_id_and_closes():
    empty = len(call(1, params={"x": ""})) - 1
    connection = server(message_bytes_max=1000)
    assert len(events_of(connection, call(1, params={"x": "x" * (1000 - empty)}))) == 1
    assert events_of(connection, call(2, params={"x": "x" * (1001 - empty)}) + call(3)) == []
    (reply,) = read(b"".join(connection.take_replies()))
    assert (reply["id"], reply["error"]["code"]) == (None, -32009)
    assert (reply["error"]["data"]["limit"], reply["error"]["data"]["limitValue"]) == (
        "message_bytes_max",
        1000,
    )
    assert connection.state is State.CLOSING


def test_a_message_too_large_is_refused_from_its_header():
    connection = Connection(Side.SERVER, message_bytes_max=1000)
    events_of(connection, frame(INITIALIZE, Framing.HEADERS))
    connection.result("i", {})
    assert events_of(connection, b"Content-Length: 1001\r\n\r\n") == []
    assert b'"code":-32009' in b"".join(connection.take_replies())
    assert connection.state is State.CLOSING


def test_what_was_in_flight_can_still_be_answered_when_closing():
    connection = server(message_bytes_max=1000)
    events_of(connection, call(1) + b"{" + b"x" * 1000)
    assert connection.state is State.CLOSING
    assert read(connection.result(1, {}))[0]["id"] == 1


def test_requests_up_to_the_limit_are_in_flight_and_one_more_is_overloaded():
    connection = server(requests_in_flight_max=3)
    assert len(events_of(connection, call(1) + call(2) + call(3))) == 3
    assert connection.requests_in_flight == 3
    assert b"".join(connection.take_replies()) == b""
    assert events_of(connection, call(4)) == []
    (reply,) = read(b"".join(connection.take_replies()))
    assert (reply["id"], reply["error"]["code"]) == (4, -32001)
    data = reply["error"]["data"]
    assert (data["kind"], data["limit"], data["limitValue"]) == ("overloaded", "requests_in_flight_max", 3)
    assert data["retryable"]
    assert data["retryAfterMs"] > 0


def test_an_answer_makes_room_for_the_next_request():
    connection = server(requests_in_flight_max=1)
    events_of(connection, call(1))
    connection.result(1, {})
    assert len(events_of(connection, call(2))) == 1


@pytest.mark.parametrize("method", ["session/cancel", "ping"])
def test_cancel_and_ping_are_served_beyond_the_limit(method):
    connection = server(requests_in_flight_max=1)
    assert len(events_of(connection, call(1) + call(2, method) + call(3, method))) == 3
    assert b"".join(connection.take_replies()) == b""


def test_notifications_are_served_beyond_the_limit():
    connection = server(requests_in_flight_max=1)
    assert (
        len(events_of(connection, call(1) + frame({"method": "$/cancelRequest", "params": {"id": 1}}))) == 2
    )


def test_nothing_else_is_exempt_from_the_limit():
    assert frozenset({"session/cancel", "ping"}) == URGENT_METHODS


# Closing ---------------------------------------------------------------


def test_a_closed_connection_takes_nothing_more():
    connection = server()
    connection.receive_data(call(1))
    connection.close()
    assert connection.next_event() is None
    assert events_of(connection, call(2)) == []


def test_a_connection_closed_during_the_handshake_is_not_opened_by_its_answer():
    connection = Connection(Side.SERVER)
    events_of(connection, frame(INITIALIZE))
    connection.close()
    connection.result("i", {})
    assert connection.state is State.CLOSING


# The client's side ---------------------------------------------------------------


def test_a_client_must_choose_its_framing():
    with pytest.raises(LocalProtocolError):
        Connection(Side.CLIENT)


@pytest.mark.parametrize("framing", [Framing.LINES, Framing.HEADERS])
def test_a_client_and_a_server_understand_each_other(framing):
    ours, theirs = client(framing), Connection(Side.SERVER)
    request_id, data = ours.request("initialize", {"protocol": "holdfast"})
    (request,) = events_of(theirs, data)
    answer = theirs.result(request.id, {"version": 1}) + theirs.notify("daemon/state", {"state": "serving"})
    assert events_of(ours, answer) == [
        Response(request_id, {"version": 1}),
        Notification("daemon/state", {"state": "serving"}),
    ]


def test_a_clients_requests_have_ids_of_their_own():
    connection = client()
    assert len({connection.request("m", None)[0] for _ in range(100)}) == 100


def test_an_answer_counts_once_and_an_answer_to_nothing_never():
    connection = client()
    request_id, _ = connection.request("m", None)
    answer = frame({"id": request_id, "result": 1})
    assert events_of(connection, answer + answer) == [Response(request_id, 1)]
    assert events_of(connection, frame({"id": 99, "result": 1}) + frame({"id": "1", "result": 1})) == []
    assert b"".join(connection.take_replies()) == b""


def test_a_refusal_of_a_request_comes_as_its_answer():
    connection = client()
    request_id, _ = connection.request("m", None)
    (event,) = events_of(connection, frame({"id": request_id, "error": {"code": -32002, "message": "m"}}))
    assert (event.id, event.error.code) == (request_id, -32002)


def test_a_refusal_under_a_null_id_is_handed_on():
    (event,) = events_of(client(), frame({"id": None, "error": {"code": -32009, "message": "m"}}))
    assert (event.id, event.error.code) == (None, -32009)


def test_a_bad_answer_is_refused_under_a_null_id_and_the_request_stays_open():
    connection = client()
    request_id, _ = connection.request("m", None)
    assert (
        events_of(connection, frame({"id": request_id, "result": 1, "error": {"code": 1, "message": "m"}}))
        == []
    )
    assert codes(connection) == [(None, -32600)]
    assert events_of(connection, frame({"id": request_id, "result": 2})) == [Response(request_id, 2)]


def test_a_client_can_be_called_too():
    connection = client()
    assert events_of(connection, call(1, "initialize")) == [Request(1, "initialize", {})]
    connection.error(1, errors.MethodNotFound("No."))
    assert connection.state is State.OPEN


@given(
    st.lists(
        st.sampled_from(["call", "again", "notify", "answer", "refuse", "bad", "ping"]) | st.integers(1, 3),
        max_size=40,
    )
)
def test_whatever_happens_every_request_is_answered_exactly_once(steps):
    connection = server(requests_in_flight_max=4)
    fresh = itertools.count(10)
    sent, answered, unanswered = [], [], []
    for step in steps:
        match step:
            case "call" | "ping":
                sent.append(next(fresh))
                events = events_of(connection, call(sent[-1], "ping" if step == "ping" else "m"))
                unanswered += [event.id for event in events]
            case "again" if unanswered:
                assert events_of(connection, call(unanswered[0])) == []
            case "bad" if unanswered:
                assert events_of(connection, frame({"id": unanswered[0], "method": None})) == []
            case "notify":
                assert len(events_of(connection, frame({"method": "n"}))) == 1
            case "answer" if unanswered:
                answered += [reply["id"] for reply in read(connection.result(unanswered.pop(), {}))]
            case "refuse" if unanswered:
                answered += [
                    reply["id"] for reply in read(connection.error(unanswered.pop(0), errors.Busy("No.")))
                ]
        answered += [reply_id for reply_id, _ in codes(connection) if reply_id is not None]
        assert sorted(answered + unanswered) == sorted(sent)
        assert connection.requests_in_flight == len(unanswered)
