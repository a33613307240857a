"""`holdfast rpc` and `holdfast socket`: the protocol for whoever speaks it, the token added."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell_world import Home, Peer, ScriptedDaemon

from holdfast_client.shell import first_message
from holdfast_client.shell.exit_codes import CommandFailed
from holdfast_protocol.framing import FrameReader, Framing, encode_frame

TOKEN = "a" * 43

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocol": "holdfast", "versions": [1], "client": {"id": "editor"}},
}

FRAMINGS = (Framing.LINES, Framing.HEADERS)


def call(call_id: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}


def framed(framing: Framing, *messages: dict[str, Any]) -> bytes:
    return b"".join(encode_frame(framing, json.dumps(message).encode()) for message in messages)


def unframed(framing: Framing, data: bytes) -> list[dict[str, Any]]:
    reader = FrameReader(2**24, framing)
    reader.feed(data)
    return [json.loads(frame) for frame in reader.frames()]


def forward(home: Home, data: bytes, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        home.command("rpc", *options),
        input=data,
        env=home.environ,
        cwd=home.path,
        capture_output=True,
        timeout=60,
        check=False,
    )


# With the real daemon -------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_editor_without_a_token_is_served_in_its_own_framing(home: Home, framing: Framing) -> None:
    talk = framed(framing, INITIALIZE, call(2, "session/list"), call(3, "ping"))
    ran = forward(home, talk)
    answers = {answer["id"]: answer for answer in unframed(framing, ran.stdout)}

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert answers[1]["result"]["role"] == "controller"
    assert answers[2]["result"] == {"sessions": []}
    assert answers[3]["result"] == {}


def test_a_wrong_token_of_the_client_s_own_is_not_replaced(home: Home) -> None:
    wrong = {**INITIALIZE, "params": {**INITIALIZE["params"], "token": "mine"}}
    answer = unframed(Framing.LINES, forward(home, framed(Framing.LINES, wrong)).stdout)[0]

    assert answer["error"]["data"]["kind"] == "auth_required"


def test_a_first_message_that_is_no_initialize_gets_the_daemon_s_own_answer(home: Home) -> None:
    answer = unframed(Framing.LINES, forward(home, framed(Framing.LINES, call(1, "ping"))).stdout)[0]

    assert answer["error"]["data"]["kind"] == "not_initialized"


def test_events_come_while_the_client_says_nothing_and_its_end_ends_the_forwarder_only(home: Home) -> None:
    session_id = home.run("run", "--detach", "script:\n  - text: I wait.\n    hang: true\n").stdout.strip()
    forwarder = subprocess.Popen(
        home.command("rpc"), env=home.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    forwarder.stdin.write(
        framed(Framing.LINES, INITIALIZE, call(2, "session/subscribe", sessionId=session_id, after="start"))
    )
    forwarder.stdin.flush()
    while b"session/caughtUp" not in forwarder.stdout.readline():
        pass
    forwarder.stdin.close()

    assert forwarder.wait(60) == 0
    forwarder.stdout.close()
    assert json.loads(home.run("ps", "--json").stdout)["sessions"][0]["status"] == "running"


def test_large_messages_go_both_ways_at_once(home: Home) -> None:
    """More than pipes and sockets hold, so that a forwarder that does one thing at a time would hang."""
    pings = [call(number, "ping", padding="x" * 300_000) for number in range(2, 22, 2)]
    looks = [call(number, "rpc.discover") for number in range(3, 23, 2)]
    talk = [message for pair in zip(looks, pings, strict=True) for message in pair]
    ran = forward(home, framed(Framing.LINES, INITIALIZE, *talk))

    assert len(ran.stdout) > 1_000_000
    assert {answer["id"] for answer in unframed(Framing.LINES, ran.stdout)} == set(range(1, 22))


def test_a_daemon_that_goes_away_ends_the_forwarder_with_69(home: Home) -> None:
    home.run("run", "say hello")
    forwarder = subprocess.Popen(
        home.command("rpc"),
        env=home.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    forwarder.stdin.write(framed(Framing.LINES, INITIALIZE))
    forwarder.stdin.flush()
    forwarder.stdout.readline()
    home.run("stop", "--now")

    assert forwarder.wait(60) == 69
    assert b"the daemon closed the connection" in forwarder.stderr.read()
    for stream in (forwarder.stdin, forwarder.stdout, forwarder.stderr):
        stream.close()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"this is not JSON-RPC"),
        (b"Content-Type: x\r\n\r\n{}", b"has no Content-Length"),
        (b"Content-Length: 99999\r\n\r\n", b"longer than 16 KiB"),
        (b"{" + b" " * 20_000, b"longer than 16 KiB"),
        (b"C" * 10_000, b"longer than 8 KiB"),
    ],
)
def test_what_is_no_first_message_is_a_usage_error(home: Home, data: bytes, said: bytes) -> None:
    ran = forward(home, data)

    assert ran.returncode == 2
    assert said in ran.stderr


@pytest.mark.parametrize("messages", [[INITIALIZE], [INITIALIZE, call(2, "ping")]])
def test_a_last_line_without_its_end_is_answered_too(home: Home, messages: list[dict[str, Any]]) -> None:
    ran = forward(home, framed(Framing.LINES, *messages).rstrip(b"\n"))

    assert ran.returncode == 0
    assert [answer["id"] for answer in unframed(Framing.LINES, ran.stdout)] == [1, 2][: len(messages)]


def test_an_input_that_ends_inside_its_first_message_is_a_usage_error(home: Home) -> None:
    ran = forward(home, framed(Framing.HEADERS, INITIALIZE)[:-1])

    assert ran.returncode == 2
    assert b"ends inside the first message" in ran.stderr


def test_nothing_at_all_is_no_error(home: Home) -> None:
    assert forward(home, b"").returncode == 0


def test_the_token_never_shows(home: Home) -> None:
    told = home.run("socket", "--json").stdout + home.run("socket").stdout
    token = json.loads(Path(home.locations.record).read_text())["token"]
    answered = forward(home, framed(Framing.LINES, INITIALIZE))

    assert token not in told
    assert token.encode() not in answered.stdout + answered.stderr


def test_the_printed_socket_is_the_daemon_s(home: Home) -> None:
    path = home.run("socket").stdout.rstrip("\n")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        record = json.loads(Path(home.locations.record).read_text())
        named = {**INITIALIZE, "params": {**INITIALIZE["params"], "token": record["token"]}}
        sock.sendall(framed(Framing.LINES, named))
        answer = json.loads(sock.makefile().readline())

    assert answer["result"]["server"]["pid"] == home.status()["server"]["pid"]


def test_the_forwarder_sends_the_token_to_the_owner_of_the_socket_alone(home: Home) -> None:
    """It asks first whether a daemon answers; what it forwards then goes to the same record's socket."""
    told: list[dict[str, Any]] = []

    def hears(peer: Peer) -> None:
        told.append(peer.receive())
        peer.send({"id": 1, "result": {}})
        peer.receive_end()

    with ScriptedDaemon(home, lambda peer: peer.shake_hands() and None, hears):
        assert forward(home, framed(Framing.LINES, INITIALIZE)).returncode == 0

    assert told[0]["params"] == {**INITIALIZE["params"], "token": "t" * 43}


# The first message, without a daemon ----------------------------------------------------------------------


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    cut: list[bytes] = []
    for size in sizes:
        cut, data = [*cut, data[:size]], data[size:]
    return [piece for piece in [*cut, data] if piece]


@given(
    framing=st.sampled_from(FRAMINGS),
    sizes=st.lists(st.integers(1, 40), max_size=30),
    rest=st.binary(max_size=50),
)
def test_any_split_of_the_bytes_gives_the_same_message_and_loses_none(
    framing: Framing, sizes: list[int], rest: bytes
) -> None:
    data = framed(framing, INITIALIZE) + rest
    waiting = iter([*pieces(data, sizes), b""])
    sent = first_message.with_token(lambda: next(waiting), TOKEN) + b"".join(waiting)
    expected = {**INITIALIZE, "params": {**INITIALIZE["params"], "token": TOKEN}}
    body = json.dumps(expected, separators=(",", ":")).encode()

    assert sent == encode_frame(framing, body) + rest


def test_other_headers_stay() -> None:
    body = json.dumps(INITIALIZE).encode()
    data = b"Content-Type: application/vscode-jsonrpc\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    head = first_message.with_token(iter([data, b""]).__next__, TOKEN).partition(b"\r\n\r\n")[0]

    assert head.startswith(b"Content-Type: application/vscode-jsonrpc\r\nContent-Length: ")


@pytest.mark.parametrize("body", [b'{"method":"initialize","params":[]}', b"[1]", b'{"id":1}', b"{broken"])
def test_what_cannot_take_a_token_stays_as_it_is(body: bytes) -> None:
    assert first_message.with_token(iter([body + b"\n", b""]).__next__, TOKEN) == body + b"\n"


def test_a_message_that_never_ends_is_not_held() -> None:
    with pytest.raises(CommandFailed, match="longer than"):
        first_message.with_token(lambda: b"{" * 4096, TOKEN)


# serve ----------------------------------------------------------------------------------------------------


def test_serve_becomes_the_daemon_with_all_its_options(home: Home) -> None:
    stand_in = home.path / "holdfastd"
    stand_in.write_text('#!/bin/sh\necho $$ "$@"\n')
    stand_in.chmod(0o700)
    served = home.start("serve", "--tcp", "0", "--idle-exit", "5", env={"HOLDFAST_DAEMON": str(stand_in)})
    out, _ = served.communicate(timeout=60)

    assert out == f"{served.pid} --tcp 0 --idle-exit 5\n"


def test_a_served_daemon_is_found_and_stopped_like_any_other(home: Home) -> None:
    reading, writing = os.pipe()
    served = home.start("serve", "--ready-fd", str(writing), pass_fds=(writing,))
    os.close(writing)
    with os.fdopen(reading) as ready:
        assert json.loads(ready.readline())["pid"] == served.pid
    stopped = home.run("stop")
    served.communicate(timeout=60)

    assert stopped.stdout == f"daemon stopped (pid {served.pid})\n"
    assert served.returncode == 0
