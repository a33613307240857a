"""Finding the daemon: the record is a hint, the socket's answer the truth."""

import json
import os
import socket
from pathlib import Path

import pytest
from shell_world import Home, Peer, ScriptedDaemon

from holdfast_client.shell import endpoint
from holdfast_client.shell.exit_codes import UNREACHABLE, NotRunning, Unreachable
from holdfast_protocol import discovery

CLIENT = "shell-test"


def test_without_a_record_no_daemon_runs(in_home: discovery.Locations) -> None:
    with pytest.raises(NotRunning, match="daemon not running"):
        endpoint.connect(in_home, CLIENT)


def test_a_stale_record_means_that_no_daemon_runs(home: Home) -> None:
    """Nobody listens on the socket it names; the file may be there or not."""
    home.write_record()
    with pytest.raises(NotRunning):
        endpoint.connect(home.locations, CLIENT)

    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(home.locations.socket)
    with pytest.raises(NotRunning):
        endpoint.connect(home.locations, CLIENT)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_record_that_others_can_touch_is_refused(home: Home, mode: int) -> None:
    home.write_record()
    Path(home.locations.record).chmod(mode)

    with pytest.raises(Unreachable, match="only you can read"):
        endpoint.connect(home.locations, CLIENT)


def test_a_record_behind_a_symbolic_link_is_refused(home: Home) -> None:
    home.write_record()
    moved = Path(home.locations.record).rename(home.path / "elsewhere")
    Path(home.locations.record).symlink_to(moved)

    with pytest.raises(Unreachable, match="cannot read"):
        endpoint.connect(home.locations, CLIENT)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"token": 5}', "\xff"])
def test_a_file_that_is_no_record_is_said_to_be_none(home: Home, content: str) -> None:
    home.write_record()
    Path(home.locations.record).write_text(content)

    with pytest.raises(Unreachable, match="not a discovery record"):
        endpoint.connect(home.locations, CLIENT)


def test_a_fifo_in_the_record_s_place_is_refused_without_waiting(home: Home) -> None:
    Path(home.locations.runtime).mkdir(mode=0o700)
    os.mkfifo(home.locations.record, 0o600)

    with pytest.raises(Unreachable):
        endpoint.connect(home.locations, CLIENT)


def test_an_address_beyond_loopback_is_never_dialled(home: Home) -> None:
    home.write_record(unix=None, tcp=["192.0.2.1", 80])

    with pytest.raises(Unreachable, match="names no endpoint"):
        endpoint.connect(home.locations, CLIENT)


def test_the_handshake_carries_token_versions_and_a_stable_client_id(home: Home) -> None:
    asked = []
    with ScriptedDaemon(home, lambda peer: asked.append(peer.shake_hands())):
        connection = endpoint.connect(home.locations, CLIENT)
        connection.wire.close()

    assert connection.server["instanceId"] == "scripted"
    assert asked[0]["method"] == "initialize"
    assert asked[0]["params"]["token"] == "t" * 43
    assert asked[0]["params"]["versions"] == [1]
    assert asked[0]["params"]["client"]["id"] == CLIENT


def test_loopback_is_dialled_where_there_is_no_unix_socket(home: Home) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        home.write_record(unix=None, tcp=["127.0.0.1", listener.getsockname()[1]])
        with pytest.raises(NotRunning):
            endpoint.connect(home.locations, CLIENT)  # Bound, but nobody listens.


def test_a_refused_token_names_the_record(home: Home) -> None:
    with (
        ScriptedDaemon(home, lambda peer: peer.refuse(-32000, "auth_required")),
        pytest.raises(Unreachable) as raised,
    ):
        endpoint.connect(home.locations, CLIENT)

    assert raised.value.kind == "auth_required"
    assert home.locations.record in raised.value.message


def test_no_common_version_names_both_sides_versions(home: Home) -> None:
    with (
        ScriptedDaemon(home, lambda peer: peer.refuse(-32005, "unsupported_version", supported=[2, 3])),
        pytest.raises(Unreachable) as raised,
    ):
        endpoint.connect(home.locations, CLIENT)

    assert raised.value.message == "the daemon speaks protocol 2, 3, this command 1"
    assert raised.value.exit_code == UNREACHABLE


def test_a_daemon_replaced_while_connecting_is_asked_again_with_its_new_token(home: Home) -> None:
    tokens = []

    def refuse_and_replace(peer: Peer) -> None:
        tokens.append(peer.receive()["params"]["token"])
        home.write_record(token="n" * 43)
        error = {"code": -32000, "message": "wrong token", "data": {"kind": "auth_required"}}
        peer.send({"id": 1, "error": error})

    with ScriptedDaemon(
        home, refuse_and_replace, lambda peer: tokens.append(peer.shake_hands()["params"]["token"])
    ):
        endpoint.connect(home.locations, CLIENT).wire.close()

    assert tokens == ["t" * 43, "n" * 43]


def test_a_daemon_that_closes_without_a_word_is_about_to_stop(home: Home) -> None:
    with ScriptedDaemon(home, lambda _peer: None), pytest.raises(NotRunning):
        endpoint.connect(home.locations, CLIENT)


def test_something_else_on_the_socket_is_not_taken_for_a_daemon(home: Home) -> None:
    with (
        ScriptedDaemon(home, lambda peer: (peer.receive(), peer.send_bytes(b"220 smtp\r\n"))[0]),
        pytest.raises(NotRunning),
    ):
        endpoint.connect(home.locations, CLIENT)


def test_a_relative_home_is_taken_from_here(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.path.parent)
    monkeypatch.setenv("HOLDFAST_HOME", home.path.name)

    assert endpoint.locate() == home.locations


def test_two_processes_are_two_clients() -> None:
    assert endpoint.new_client_id() != endpoint.new_client_id()


def test_the_record_read_is_the_record_written(home: Home) -> None:
    written = home.write_record(pid=123)

    assert endpoint.read_record(home.locations.record) == json.loads(json.dumps(written))
