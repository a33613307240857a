"""JSON lines over a socket pair: answers, notifications, and everything a connection can die of."""

import json
import socket
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.shell import wire as wire_module
from holdfast_client.shell.wire import CallRefused, ConnectionLost, NoAnswer, Wire


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    wire = Wire(ours)
    yield wire, theirs
    wire.close()
    theirs.close()


Pair = tuple[Wire, socket.socket]


def send(theirs: socket.socket, *messages: dict[str, Any]) -> None:
    theirs.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


def test_a_call_is_one_line_of_json_rpc(pair: Pair) -> None:
    wire, theirs = pair
    call_id = wire.post("session/list", {"limit": 1})

    sent = theirs.recv(4096)

    assert sent.endswith(b"\n")
    assert json.loads(sent) == {
        "jsonrpc": "2.0",
        "id": call_id,
        "method": "session/list",
        "params": {"limit": 1},
    }


def test_the_answer_is_the_one_with_the_call_s_id(pair: Pair) -> None:
    wire, theirs = pair
    send(
        theirs,
        {"jsonrpc": "2.0", "method": "sessions/changed", "params": {}},
        {"jsonrpc": "2.0", "id": 99, "result": "another's"},
        {"jsonrpc": "2.0", "id": 1, "result": {"ours": True}},
    )

    assert wire.call("ping", {}) == {"ours": True}


def test_a_refusal_has_code_kind_and_data(pair: Pair) -> None:
    wire, theirs = pair
    data = {"kind": "busy", "retryable": True}
    send(theirs, {"jsonrpc": "2.0", "id": 1, "error": {"code": -32004, "message": "a run", "data": data}})

    with pytest.raises(CallRefused) as raised:
        wire.call("session/prompt", {})

    refused = raised.value
    assert (refused.code, refused.kind, refused.data, refused.exit_code) == (-32004, "busy", data, 75)


def test_an_error_without_an_id_is_about_our_call(pair: Pair) -> None:
    wire, theirs = pair
    send(theirs, {"jsonrpc": "2.0", "id": None, "error": {"code": -32009, "message": "too large"}})

    with pytest.raises(CallRefused, match="too large"):
        wire.call("session/prompt", {})


def test_a_daemon_that_dies_in_mid_answer_is_a_lost_connection(pair: Pair) -> None:
    wire, theirs = pair
    theirs.sendall(b'{"jsonrpc": "2.0", "id": 1, "resu')
    theirs.close()

    with pytest.raises(ConnectionLost):
        wire.call("ping", {})


@pytest.mark.parametrize("line", [b"HTTP/1.1 400 Bad Request\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"42\n"])
def test_what_is_no_message_ends_the_connection(pair: Pair, line: bytes) -> None:
    wire, theirs = pair
    theirs.sendall(line)

    with pytest.raises(ConnectionLost, match="does not speak JSON-RPC"):
        wire.call("ping", {})


def test_a_line_without_an_end_is_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "LINE_BYTES_MAX", 1000)
    wire, theirs = pair
    theirs.sendall(b"x" * 1001)

    with pytest.raises(ConnectionLost):
        wire.call("ping", {})


def test_no_answer_in_time_is_said_with_the_method(pair: Pair) -> None:
    with pytest.raises(NoAnswer, match=r"did not answer ping within 0\.01 s"):
        pair[0].call("ping", {}, timeout_s=0.01)


def test_a_flood_of_notifications_does_not_extend_the_time_for_an_answer(pair: Pair) -> None:
    wire, theirs = pair
    done = threading.Event()

    def flood() -> None:
        while not done.is_set():
            try:
                send(theirs, {"jsonrpc": "2.0", "method": "sessions/changed"})
            except OSError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with pytest.raises(NoAnswer):
            wire.call("ping", {}, timeout_s=0.05)
    finally:
        done.set()
        wire.close()
        thread.join()


def test_posting_to_a_daemon_that_has_gone_is_a_lost_connection(pair: Pair) -> None:
    wire, theirs = pair
    theirs.close()

    with pytest.raises(ConnectionLost):
        wire.post("ping", {})


@given(
    st.lists(st.text(), min_size=1, max_size=8),
    st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=40),
)
def test_any_split_of_the_bytes_gives_the_same_messages(texts: list[str], sizes: list[int]) -> None:
    messages = [{"jsonrpc": "2.0", "method": "n", "params": {"text": text}} for text in texts]
    data = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    received = []
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        theirs.sendall(data[at : at + size])
        at += size
        wire.fill(1.0)
        while (message := wire.take()) is not None:
            received.append(message)
    wire.close()
    theirs.close()

    assert received == messages


def test_a_message_received_with_another_is_held_for_the_next_take(pair: Pair) -> None:
    wire, theirs = pair
    send(theirs, {"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "method": "b"})
    first = wire.receive(monotonic() + 5)

    assert (first["method"], wire.holds_message()) == ("a", True)
    assert (wire.receive(monotonic() + 5)["method"], wire.holds_message()) == ("b", False)
