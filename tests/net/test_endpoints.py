"""Where a daemon can be reached: record and sockets come and go together, and are never another's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from net_world import WAIT_S, Wire, config, serving

from fakes.home import Home
from holdfast_daemon.app import App
from holdfast_daemon.journal.state_dir import StateDirError, StateInUse
from holdfast_daemon.net.discovery_record import DiscoveryRecord
from holdfast_daemon.net.listener import BindError, listen_unix
from holdfast_protocol.discovery import Record

HOLDFASTD = str(Path(sys.executable).with_name("holdfastd"))


async def start(settings: Any) -> None:
    """Start a daemon that is expected not to come up."""

    def fail(_record: Record) -> None:
        raise AssertionError("it came up")

    await App(settings).run(fail)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [HOLDFASTD, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )


# The record --------------------------------------------------------------------------------------------


async def test_the_record_leads_to_the_daemon_and_goes_with_it(home: Home) -> None:
    record = home.runtime / "daemon-v1.json"
    async with serving(config(home, tcp=0)) as net:
        found = json.loads(record.read_text())
        assert (found["pid"], found["protocol"], found["major"]) == (os.getpid(), "holdfast", 1)
        assert found["state"] == str(home.state)
        for endpoint in ("unix", "tcp"):
            if endpoint == "unix":
                stream: Any = await anyio.connect_unix(found["unix"])
            else:
                stream = await anyio.connect_tcp(*found["tcp"])
            async with Wire(stream) as wire:
                answer = await wire.initialize(found["token"])
            server = answer["result"]["server"]
            assert (server["instanceId"], server["pid"]) == (found["instanceId"], found["pid"])
        assert net.app.endpoints == (f"unix:{found['unix']}", f"tcp:127.0.0.1:{found['tcp'][1]}")
    assert not record.exists()
    assert not (home.runtime / "daemon-v1.sock").exists()


async def test_a_record_of_another_daemon_is_not_removed(home: Home) -> None:
    path = home.runtime / "daemon-v1.json"
    async with serving(config(home)) as net:
        theirs = {**net.record, "instanceId": "a successor's"}
        path.write_text(json.dumps(theirs))
    assert json.loads(path.read_text()) == theirs


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"instanceId": 7}', b"\xff"])
async def test_a_damaged_record_is_replaced_and_hinders_nobody(home: Home, content: bytes) -> None:
    home.runtime.mkdir(mode=0o700)
    path = home.runtime / "daemon-v1.json"
    path.write_bytes(content)
    async with serving(config(home)) as net:
        assert json.loads(path.read_text()) == net.record
        path.write_bytes(content)
    assert path.read_bytes() == content


def test_a_record_is_never_seen_half_written(home: Home) -> None:
    path = home.path / "record.json"
    DiscoveryRecord(path, {"instanceId": "first"}).write()  # pyright: ignore[reportArgumentType]
    reading = path.open()
    DiscoveryRecord(path, {"instanceId": "second"}).write()  # pyright: ignore[reportArgumentType]
    with reading:
        assert json.load(reading) == {"instanceId": "first"}
    assert json.loads(path.read_text()) == {"instanceId": "second"}
    assert [found.name for found in home.path.iterdir() if found.is_file()] == ["record.json"]


# The socket --------------------------------------------------------------------------------------------


async def test_a_displaced_daemon_leaves_its_successors_socket_alone(home: Home) -> None:
    """Somebody took its place behind its back: what stands there is not its own any more."""
    async with serving(config(home)) as net:
        path = str(net.record["unix"])
        client = await net.client()
        successor = listen_unix(path)
    try:
        assert (home.runtime / "daemon-v1.sock").exists()
        async with await anyio.connect_unix(path):
            successor.setblocking(True)
            connected, _ = successor.accept()
            connected.close()
    finally:
        successor.close()
        await client.close()


async def test_a_socket_that_was_removed_by_hand_hinders_no_end(home: Home) -> None:
    async with serving(config(home)) as net:
        assert net.record["unix"] == str(home.runtime / "daemon-v1.sock")
        (home.runtime / "daemon-v1.sock").unlink()
    assert not (home.runtime / "daemon-v1.json").exists()


async def test_a_daemon_that_cannot_bind_says_so_and_lets_go_of_its_state(home: Home) -> None:
    long = home.path / ("x" * 100)
    with pytest.raises(BindError, match="longer than"):
        await start(config(home, runtime_dir=str(long)))
    async with serving(config(home)) as net:
        await (await net.client()).close()


async def test_a_taken_port_is_said_and_leaves_nothing_behind(home: Home) -> None:
    async with serving(config(home, tcp=0)) as net:
        assert net.record["tcp"] is not None
        other = config(home, state_dir=str(home.path / "s2"), runtime_dir=str(home.path / "r2"))
        with pytest.raises(BindError, match="in use"):
            await start(msgspec.structs.replace(other, tcp=net.record["tcp"][1]))
    assert not (home.path / "r2" / "daemon-v1.json").exists()


async def test_a_sidecar_has_neither_socket_nor_record(home: Home) -> None:
    async with serving(config(home, runtime_dir=None)) as net:
        assert (net.record["unix"], net.record["tcp"]) == (None, None)
    assert not home.runtime.exists()


# Two daemons -------------------------------------------------------------------------------------------


async def test_a_second_daemon_on_the_same_state_is_refused_and_told_whose_it_is(home: Home) -> None:
    async with serving(config(home)) as net:
        other = msgspec.structs.replace(config(home), runtime_dir=str(home.path / "r2"))
        with pytest.raises(StateInUse, match=rf"pid {os.getpid()}\b"):
            await start(other)
        await (await net.client()).close()
    async with serving(other):
        pass


async def test_a_second_daemon_on_the_same_runtime_directory_is_refused(home: Home) -> None:
    async with serving(config(home)) as net:
        with pytest.raises(StateDirError):
            await start(msgspec.structs.replace(config(home), state_dir=str(home.path / "s2")))
        await (await net.client()).close()
        assert json.loads((home.runtime / "daemon-v1.json").read_text()) == net.record


async def test_the_command_says_in_one_line_who_is_in_the_way(home: Home) -> None:
    async with serving(config(home)):
        done = await anyio.to_thread.run_sync(
            run, "--state", str(home.state), "--runtime", str(home.path / "r2")
        )
    assert done.returncode == 75
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"(pid {os.getpid()})" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--state", "{home}/file", "--runtime", "{home}/r"], "file"),
        (["--state", "{home}/s", "--runtime", "{home}/" + "x" * 100], "longer than"),
        (["--state", "{home}/link", "--runtime", "{home}/r"], "not a directory of this user"),
        (["--state", "{home}/s", "--runtime", "{home}/file"], "file"),
        (["--state", "{home}/s", "--runtime", "{home}/link"], "not a directory of this user"),
        (["--state", "{home}/s", "--runtime", "{home}/file/below"], "Not a directory"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_use(
    home: Home, arguments: list[str], problem: str
) -> None:
    (home.path / "file").touch()
    (home.path / "real").mkdir()
    (home.path / "link").symlink_to(home.path / "real")
    done = run(*(argument.format(home=home.path) for argument in arguments))
    assert done.returncode == 1
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_log_is_said_and_left_as_it_is(home: Home) -> None:
    home.state.mkdir(mode=0o700)
    (home.state / "journal.db").write_bytes(b"this is no database at all" * 400)
    done = run("--state", str(home.state), "--runtime", str(home.runtime))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (home.state / "journal.db").read_bytes() == b"this is no database at all" * 400
    assert not (home.runtime / "daemon-v1.json").exists()


async def test_stopping_closes_every_connection_after_what_it_was_told(home: Home) -> None:
    async with serving(config(home)) as net:
        client = await net.client()
        stranger = await net.connect()
        assert "result" in await client.request("daemon/shutdown")
        with anyio.fail_after(WAIT_S):
            while (message := await client.receive()) is not None:
                assert message["method"] == "daemon/state"
        assert await stranger.is_closed_silently()
        await client.close()
        await stranger.close()
