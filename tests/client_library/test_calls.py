"""Calls over as many connections as it takes (design 10: unanswered calls are sent again with their key)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.core.calls import DEATHS_MAX, Call, Calls
from holdfast_client.errors import ConnectionLost
from holdfast_protocol.connection import Connection, Side
from holdfast_protocol.errors import NotFound, ParseError, TooLarge
from holdfast_protocol.framing import Framing
from holdfast_protocol.jsonrpc import Response

DAEMON = {"instance_id": "i1", "message_bytes_max": 10_000, "in_flight_max": 64}


class Client:
    """Calls, the wire they are written to, and what became of them."""

    def __init__(self):
        self.calls = Calls()
        self.ended = []

    def connect(self, *, release=True, **daemon):
        number = self.calls.connect(Connection(Side.CLIENT, framing=Framing.LINES), **{**DAEMON, **daemon})
        if release:
            self.calls.release()
        return number

    def call(self, method="session/list", params=None, **options):
        call = Call(method, params or {}, self.ended.append, **options)
        self.calls.add(call)
        return call

    def sent(self):
        """Take what is sent, as (id, method)."""
        frames = [msgspec.json.decode(frame) for frame in self.calls.take_frames()]
        return [(frame.get("id"), frame["method"]) for frame in frames]

    def methods(self):
        return [method for _id, method in self.sent()]

    def answer(self, call_id, result=b"{}"):
        self.calls.receive(Response(call_id, result=msgspec.Raw(result)))


@pytest.fixture
def client():
    return Client()


KEYED = {"sessionId": "s", "key": "k"}


def test_a_call_waits_for_a_connection_and_is_sent_on_it(client):
    client.call("model/list")
    assert client.sent() == []
    client.connect()
    assert client.methods() == ["model/list"]
    assert client.methods() == []


def test_an_answer_ends_its_call_with_the_encoded_result(client):
    client.connect()
    first, second = client.call(), client.call()
    (first_id, _), (second_id, _) = client.sent()
    client.answer(second_id, b'{"n":2}')
    assert client.ended == [second]
    assert bytes(second.outcome) == b'{"n":2}'
    client.answer(first_id)
    assert client.ended == [second, first]


def test_a_refusal_ends_its_call_with_the_error_of_its_class(client):
    client.connect()
    call = client.call()
    ((call_id, _),) = client.sent()
    client.calls.receive(
        Response(call_id, error=NotFound("No such session.", resource="session").to_object())
    )
    assert isinstance(call.outcome, NotFound)
    assert call.outcome.data.resource == "session"


def test_an_answer_nobody_waits_for_is_ignored(client):
    client.connect()
    client.answer(17)
    assert client.ended == []


def test_reads_and_keyed_calls_are_sent_again_in_their_order_before_what_came_later(client):
    client.connect()
    client.call("session/update", {**KEYED, "title": "a"})
    client.call("session/get", {"sessionId": "s"})
    assert client.methods() == ["session/update", "session/get"]
    client.calls.disconnect()
    client.call("session/list")
    client.connect()
    assert client.methods() == ["session/update", "session/get", "session/list"]
    assert client.ended == []


def test_a_resent_call_has_the_same_params_byte_for_byte(client):
    client.connect()
    client.call("session/update", {"sessionId": "s", "key": "k", "title": "ä", "meta": {"b": 1, "a": [None]}})
    (first,) = client.calls.take_frames()
    client.calls.disconnect()
    client.connect()
    (second,) = client.calls.take_frames()
    assert first == second


def test_a_call_that_may_not_be_made_twice_ends_when_its_connection_is_lost(client):
    client.connect()
    call = client.call("session/cancel", {"sessionId": "s"})
    client.sent()
    client.calls.disconnect()
    assert isinstance(call.outcome, ConnectionLost)
    assert (call.outcome.method, call.outcome.maybe_done) == ("session/cancel", True)


def test_a_call_that_was_not_sent_yet_survives_whatever_it_is(client):
    call = client.call("session/cancel", {"sessionId": "s"})
    client.connect(release=False)
    client.calls.disconnect()
    client.connect()
    assert client.methods() == ["session/cancel"]
    assert call.outcome is None


def test_a_call_bound_to_a_connection_ends_with_it(client):
    number = client.connect()
    sent = client.call("session/subscribe", {"sessionId": "s"}, bound_to=number)
    client.sent()
    unsent = client.call("session/subscribe", {"sessionId": "t"}, bound_to=number)
    client.calls.disconnect()
    assert [call.outcome.maybe_done for call in (sent, unsent)] == [True, False]


def test_a_call_bound_to_a_connection_that_is_gone_ends_at_once(client):
    number = client.connect()
    client.calls.disconnect()
    client.connect()
    call = client.call("tool/complete", {}, bound_to=number)
    assert isinstance(call.outcome, ConnectionLost)
    assert client.sent() == []


def test_only_early_calls_pass_before_the_connection_is_released(client):
    client.call("session/prompt", KEYED)
    client.call("ping")
    number = client.connect(release=False)
    client.call("tool/register", {}, early=True, bound_to=number)
    assert client.methods() == ["tool/register"]
    client.calls.release()
    assert client.methods() == ["session/prompt", "ping"]


def test_urgent_calls_overtake_those_that_wait_for_a_place(client):
    client.connect(in_flight_max=8)
    for _ in range(20):
        client.call("session/list")
    client.call("session/cancel", {"sessionId": "s"})
    methods = client.methods()
    assert methods[-1] == "session/cancel"
    assert methods.count("session/list") < 20


def test_urgent_calls_do_not_overtake_those_that_are_sent_with_them(client):
    """PROTOCOL.md, "session/cancel": one sent right behind a prompt finds it."""
    client.connect()
    client.call("session/prompt", KEYED)
    client.call("session/cancel", {"sessionId": "s"})
    client.call("session/list")
    assert client.methods() == ["session/prompt", "session/cancel", "session/list"]


def test_calls_that_are_too_large_do_not_keep_others_from_their_places(client):
    client.connect(in_flight_max=6)
    for _ in range(3):
        client.call("session/prompt", {"text": "x" * 20_000})
    client.call("session/list")
    assert client.methods() == ["session/list"]


def test_never_more_calls_are_in_flight_than_the_daemon_takes(client):
    client.connect(in_flight_max=8)
    for _ in range(30):
        client.call("session/list")
        client.call("session/wait", {"sessionId": "s", "runId": "r"})
    sent = client.sent()
    assert 0 < len(sent) < 8
    assert client.calls.in_flight + client.calls.waiting == 60


def test_calls_that_wait_for_long_leave_places_to_the_others(client):
    client.connect(in_flight_max=8)
    for _ in range(30):
        client.call("session/wait", {"sessionId": "s", "runId": "r"})
    client.sent()
    client.call("session/list")
    assert client.methods() == ["session/list"]


def test_an_answer_makes_room_for_the_next_call(client):
    client.connect(in_flight_max=6)
    for _ in range(9):
        client.call("session/list")
    order = []
    while sent := client.sent():
        order += [call_id for call_id, _ in sent]
        client.answer(sent[0][0])
        for call_id, _ in sent[1:]:
            client.answer(call_id)
    assert len(order) == 9
    assert len(client.ended) == 9


def test_a_message_the_daemon_would_not_take_is_refused_here(client):
    client.connect(message_bytes_max=1000)
    call = client.call("session/update", {**KEYED, "title": "x" * 1000})
    assert client.sent() == []
    assert isinstance(call.outcome, TooLarge)
    assert (call.outcome.data.limit, call.outcome.data.limit_value) == ("message_bytes_max", 1000)
    client.call("session/list")
    assert client.methods() == ["session/list"]


def test_params_that_are_no_json_are_refused_where_the_call_is_made(client):
    with pytest.raises(TypeError):
        client.call("session/update", {"meta": object()})


def test_a_call_the_daemon_could_not_read_is_found_by_what_is_wrong_with_it(client):
    deep = None
    for _ in range(200):
        deep = [deep]
    client.connect()
    fine, bad = client.call("session/list"), client.call("session/update", {**KEYED, "meta": deep})
    client.sent()
    client.calls.receive(Response(None, error=ParseError("Nested too deeply.").to_object()))
    assert client.ended == [bad]
    assert isinstance(bad.outcome, ParseError)
    assert fine.outcome is None


def test_a_withdrawn_call_that_was_sent_is_cancelled_and_never_sent_again(client):
    client.connect()
    call = client.call("session/wait", {"sessionId": "s", "runId": "r"})
    ((call_id, _),) = client.sent()
    client.calls.withdraw(call)
    (frame,) = client.calls.take_frames()
    assert msgspec.json.decode(frame) == {
        "jsonrpc": "2.0",
        "method": "$/cancelRequest",
        "params": {"id": call_id},
    }
    client.calls.disconnect()
    client.connect()
    assert client.sent() == []
    assert client.ended == []


def test_a_withdrawn_call_that_was_not_sent_is_not(client):
    call = client.call()
    client.calls.withdraw(call)
    client.connect()
    assert client.sent() == []


def test_a_withdrawn_call_keeps_its_place_until_the_daemon_has_answered(client):
    client.connect(in_flight_max=6)
    calls = [client.call() for _ in range(8)]
    first = client.sent()
    client.calls.withdraw(calls[0])
    assert client.methods() == ["$/cancelRequest"]
    client.answer(first[0][0])
    assert client.methods() == ["session/list"]


def test_a_call_is_sent_again_as_often_as_connections_are_lost(client):
    call = client.call("session/update", KEYED)
    for _ in range(100):
        client.connect()
        assert client.methods() == ["session/update"]
        client.calls.disconnect()
    assert call.outcome is None


def test_a_call_that_daemon_after_daemon_does_not_survive_is_given_up(client):
    call, innocent = client.call("session/update", KEYED), client.call("session/wait", KEYED)
    for number in range(DEATHS_MAX):
        client.connect(instance_id=f"i{number}")
        assert client.methods() == ["session/update", "session/wait"]
        client.calls.disconnect()
    client.connect(instance_id="another")
    assert isinstance(call.outcome, ConnectionLost)
    assert client.methods() == ["session/wait"]
    assert innocent.outcome is None


def test_a_call_is_not_blamed_for_a_daemon_that_never_had_it(client):
    call = client.call("session/update", KEYED)
    client.connect(instance_id="had it")
    client.sent()
    client.calls.disconnect()
    for number in range(DEATHS_MAX * 2):
        client.connect(instance_id=f"i{number}", release=False)
        assert client.sent() == []
        client.calls.disconnect()
    assert call.outcome is None


def test_failing_ends_all_that_waits_with_its_own_error(client):
    first, second = client.call("session/list"), client.call("ping")
    client.calls.fail(lambda call: ConnectionLost("gone", call.method))
    assert [call.outcome.method for call in (first, second)] == ["session/list", "ping"]
    client.connect()
    assert client.sent() == []


def test_a_notification_needs_a_connection(client):
    with pytest.raises(ConnectionLost):
        client.calls.notify("$/cancelRequest", {"id": 1})


class Storm:
    """A client whose connections come and go, and a daemon that answers now and then."""

    def __init__(self):
        self.client = Client()
        self.made = []
        self.keys_sent = []
        self.open_ids = []
        self.connected = False

    def call(self):
        params = {"sessionId": "s", "key": f"k{len(self.made)}"}
        self.made.append(self.client.call("session/update", params))

    def connect(self):
        if not self.connected:
            self.client.connect(in_flight_max=8)
            self.connected = True

    def lose(self):
        if self.connected:
            self.client.calls.disconnect()
            self.connected, self.open_ids = False, []

    def send(self):
        for frame in map(msgspec.json.decode, self.client.calls.take_frames()):
            self.open_ids.append(frame["id"])
            self.keys_sent.append(frame["params"]["key"])

    def answer(self):
        if self.open_ids:
            self.client.answer(self.open_ids.pop(0))

    def finish(self):
        self.connect()
        self.send()
        while self.open_ids:
            self.answer()
            self.send()


@given(
    st.lists(st.sampled_from([Storm.call, Storm.send, Storm.answer, Storm.lose, Storm.connect]), max_size=60)
)
def test_every_keyed_call_is_answered_once_in_the_end_and_none_overtakes_another(actions):
    storm = Storm()
    for action in [*actions, Storm.finish]:
        action(storm)
    answered = [call for call in storm.made if isinstance(call.outcome, msgspec.Raw)]
    given_up = [call for call in storm.made if isinstance(call.outcome, ConnectionLost)]
    assert len(answered) + len(given_up) == len(storm.made) == len(storm.client.ended)
    first_sent = list(dict.fromkeys(storm.keys_sent))
    assert first_sent == sorted(first_sent, key=lambda key: int(key[1:]))
