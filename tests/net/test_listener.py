"""Listening sockets, and an accept loop that survives."""

import asyncio
import itertools
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from net_world import WAIT_S

from fakes.home import Home
from holdfast_daemon.net.listener import BindError, Listener, is_same_user, listen_tcp, listen_unix
from holdfast_protocol.discovery import SUN_PATH_BYTES_MAX


class Admitted:
    """Takes accepted sockets."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def __call__(self, connected: socket.socket) -> None:
        self.sockets.append(connected)

    def close(self) -> None:
        for connected in self.sockets:
            connected.close()


@pytest.fixture
def admitted() -> Iterator[Admitted]:
    admitted = Admitted()
    yield admitted
    admitted.close()


@pytest.fixture
def path(home: Home) -> Path:
    return home.path / "s"


def knock(path: Path) -> socket.socket:
    knocking = socket.socket(socket.AF_UNIX)
    try:
        knocking.settimeout(WAIT_S)
        knocking.connect(str(path))
    except OSError:
        knocking.close()
        raise
    return knocking


async def until_admitted(admitted: Admitted, count: int) -> None:
    with anyio.fail_after(WAIT_S):
        while len(admitted.sockets) < count:
            await checkpoint()


# Binding -------------------------------------------------------------------------------------------------


def test_a_unix_socket_is_the_owners_alone_whatever_the_umask(path: Path) -> None:
    mask = os.umask(0)
    try:
        with listen_unix(str(path)) as listening:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert not listening.getblocking()
            assert os.umask(0) == 0, "the umask was not put back"
    finally:
        os.umask(mask)


def test_a_socket_left_by_a_crash_is_replaced(path: Path) -> None:
    listen_unix(str(path)).close()
    assert path.exists()
    with listen_unix(str(path)):
        knock(path).close()


def test_a_path_at_the_kernels_limit_works_and_a_longer_one_says_what_to_do(home: Home) -> None:
    fitting = home.path / ("x" * (SUN_PATH_BYTES_MAX - len(str(home.path)) - 1))
    assert len(str(fitting)) == SUN_PATH_BYTES_MAX
    listen_unix(str(fitting)).close()
    with pytest.raises(BindError, match=rf"longer than {SUN_PATH_BYTES_MAX} bytes.*--runtime"):
        listen_unix(f"{fitting}x")


def test_the_limit_counts_bytes_not_characters(home: Home) -> None:
    with pytest.raises(BindError, match="longer"):
        listen_unix(str(home.path / ("\u00e9" * 60)))


def test_a_socket_that_cannot_be_bound_says_where_and_why(home: Home) -> None:
    with pytest.raises(BindError, match=r"absent/s: No such file"):
        listen_unix(str(home.path / "absent" / "s"))
    (home.path / "d" / "in the way").mkdir(parents=True)
    with pytest.raises(BindError, match=f"Cannot listen on {home.path}/d"):
        listen_unix(str(home.path / "d"))


def test_tcp_listens_on_loopback_only_and_says_if_the_port_is_taken() -> None:
    with listen_tcp(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(BindError, match=rf"127.0.0.1:{port}: Address already in use"):
            listen_tcp(port)


def test_a_process_of_the_same_user_is_known(path: Path) -> None:
    with listen_unix(str(path)) as listening, knock(path):
        connected, _ = listening.accept()
        with connected:
            assert is_same_user(connected)


# Accepting -----------------------------------------------------------------------------------------------


async def test_everybody_is_admitted_non_blocking(path: Path, admitted: Admitted) -> None:
    listener = Listener(listen_unix(str(path)), admitted)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve)
        knocking = [knock(path) for _ in range(20)]
        await until_admitted(admitted, 20)
        assert not any(connected.getblocking() for connected in admitted.sockets)
        tasks.cancel_scope.cancel()
    for each in knocking:
        each.close()
    with pytest.raises(ConnectionRefusedError):
        knock(path)


async def test_while_many_knock_others_get_their_turn(path: Path, admitted: Admitted) -> None:
    listener = Listener(listen_unix(str(path)), admitted)
    knocking = [knock(path) for _ in range(100)]
    seen: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve)
        while len(admitted.sockets) < 100:
            seen.append(len(admitted.sockets))
            await checkpoint()
        tasks.cancel_scope.cancel()
    for each in knocking:
        each.close()
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2


async def test_whoever_knocked_can_be_taken_in_at_once(path: Path, admitted: Admitted) -> None:
    listener = Listener(listen_unix(str(path)), admitted)
    assert listener.accept_waiting() == 0
    knocking = [knock(path) for _ in range(3)]
    assert listener.accept_waiting() == len(admitted.sockets) == 3
    assert listener.accept_waiting() == 0
    listener.close()
    for each in knocking:
        each.close()


async def test_closing_while_many_knock_ends_it_without_an_error(path: Path, admitted: Admitted) -> None:
    listener = Listener(listen_unix(str(path)), admitted)
    knocking = [knock(path) for _ in range(50)]
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve)
            await until_admitted(admitted, 5)
            listener.close()
            assert listener.accept_waiting() == 0
            for _ in range(5):
                await checkpoint()
            tasks.cancel_scope.cancel()
    for each in knocking:
        each.close()
    assert 5 <= len(admitted.sockets) < 50


async def test_who_was_accepted_in_the_turn_in_which_it_closed_is_not_admitted(
    path: Path, admitted: Admitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes all connections right after; one more would never be closed."""
    loop = asyncio.get_running_loop()
    listener = Listener(listen_unix(str(path)), admitted)
    accept = loop.sock_accept

    async def accept_and_close(listening: socket.socket) -> tuple[socket.socket, object]:
        accepted = await accept(listening)
        listener.close()  # Another task does, before this one has its turn.
        return accepted

    monkeypatch.setattr(loop, "sock_accept", accept_and_close)
    with knock(path) as knocking:
        with anyio.fail_after(WAIT_S):
            await listener.serve()
        assert admitted.sockets == []
        assert knocking.recv(1) == b""


async def test_a_closed_listeners_descriptor_can_be_another_files(path: Path, admitted: Admitted) -> None:
    """The loop must not take the next file of that number for the listener."""
    listening = listen_unix(str(path))
    number = listening.fileno()
    listener = Listener(listening, admitted)
    loop = asyncio.get_running_loop()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve)
        await anyio.wait_all_tasks_blocked()
        listener.close()
        reading, writing = os.pipe()
        os.dup2(reading, number)
        heard = anyio.Event()
        loop.add_reader(number, heard.set)
        tasks.cancel_scope.cancel()
    os.write(writing, b"x")
    with anyio.fail_after(WAIT_S):
        await heard.wait()
    loop.remove_reader(number)
    for descriptor in {reading, writing, number}:  # Two of them may be one.
        os.close(descriptor)


async def test_closing_twice_is_no_error(path: Path, admitted: Admitted) -> None:
    listener = Listener(listen_unix(str(path)), admitted)
    listener.close()
    listener.close()
    assert listener.accept_waiting() == 0
