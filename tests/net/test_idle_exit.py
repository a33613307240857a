"""A daemon nobody uses ends; whoever knocks at that moment is served or turned away, never dropped."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from net_world import WAIT_S, Net, Wire, config, serving

from fakes.home import Home
from holdfast_daemon.app import App
from holdfast_daemon.idle_exit import IdleExit
from holdfast_protocol.discovery import Locations, Record

ROUNDS = 100


class Runs:
    """Counts runs, as the daemon's run factory does."""

    def __init__(self, active: int = 0) -> None:
        self.active = active


def watcher(net: Net, idle_s: float = 0.02, runs: Any = None) -> IdleExit:
    """Give a watch over a daemon that does not watch itself."""
    endpoints: Any = net.app._endpoints
    return IdleExit(idle_s, endpoints, net.server, runs or Runs())


async def until_it_stops(watch: IdleExit) -> None:
    stopped = anyio.Event()
    with anyio.fail_after(WAIT_S):
        await watch.watch(stopped.set)
    assert stopped.is_set()


async def goes_on(watch: IdleExit) -> bool:
    """Tell whether it is still watching after many times its idle time."""
    with anyio.move_on_after(0.2) as scope:
        await watch.watch(lambda: None)
    return scope.cancelled_caught


async def test_a_daemon_nobody_uses_stops_and_leaves_nothing_behind(home: Home) -> None:
    with anyio.fail_after(WAIT_S):
        await App(config(home, idle_exit_s=0.02)).run(lambda _record: None)
    assert list(home.runtime.glob("*.sock")) == []
    assert list(home.runtime.glob("*.json")) == []


async def test_a_connection_keeps_it_up_even_one_that_never_says_a_word(home: Home) -> None:
    async with serving(config(home)) as net:
        for connect in (net.client, net.connect):
            wire = await connect()
            await net.until(lambda found: found.connections == 1)
            assert await goes_on(watcher(net))
            await wire.close()
            await net.until(lambda found: found.connections == 0)
        await until_it_stops(watcher(net))


async def test_a_run_keeps_it_up_without_a_connection(home: Home) -> None:
    async with serving(config(home)) as net:
        runs = Runs(active=1)
        assert await goes_on(watcher(net, runs=runs))
        runs.active = 0
        await until_it_stops(watcher(net, runs=runs))


class RunsOnce:
    """Says that nothing runs, but at one look."""

    def __init__(self) -> None:
        self.looks = 0
        self.ran_at = 0.0

    @property
    def active(self) -> int:
        self.looks += 1
        if self.looks != 3:
            return 0
        self.ran_at = time.monotonic()
        return 1


async def test_use_begins_its_time_anew(home: Home) -> None:
    async with serving(config(home)) as net:
        runs: Any = RunsOnce()
        await until_it_stops(watcher(net, 0.05, runs))
    assert runs.looks > 3
    assert time.monotonic() - runs.ran_at >= 0.05


async def test_a_jump_of_the_wall_clock_is_no_idleness(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(config(home)) as net:
        monkeypatch.setattr("time.time", lambda: 4e9)
        assert await goes_on(watcher(net, idle_s=60.0))


async def test_it_stays_while_a_client_is_starting_a_daemon(home: Home) -> None:
    """Who starts one holds the lock, has seen ours, and may be about to connect."""
    async with serving(config(home)) as net:
        lock = os.open(home.runtime / "start-v1.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert await goes_on(watcher(net))
        await (await net.client()).close()
        os.close(lock)
        await until_it_stops(watcher(net))


async def test_whoever_has_knocked_is_let_in_instead(home: Home) -> None:
    """The kernel has taken the connection, the daemon has not had its turn: asked now, it must not leave."""
    async with serving(config(home)) as net:
        net.knock()
        assert watcher(net)._leave() is False
        assert net.server.connections == 1
        assert net.app._endpoints.names != ()  # pyright: ignore[reportOptionalMemberAccess]


async def test_whoever_was_just_let_in_is_counted_at_once(home: Home) -> None:
    """Between being accepted and being served lies a turn of the loop."""
    async with serving(config(home)) as net:
        net.knock()
        endpoints: Any = net.app._endpoints
        assert endpoints.accept_waiting() == 1
        assert net.server.connections == 1


async def test_who_knocks_at_the_moment_it_ends_is_never_let_in_and_dropped(
    home: Home,
) -> None:
    """A client that was answered keeps its daemon; one that was turned away starts the next."""
    outcomes = {await knock_at_the_end(home, turn) for turn in range(ROUNDS)}
    assert outcomes <= {"served", "turned away"}
    # The next daemon serves whoever was turned away.
    async with serving(config(home)) as net:
        await (await net.client()).close()


async def knock_at_the_end(home: Home, turn: int) -> str:
    """Start a daemon with hardly any patience and knock about when it has had enough."""
    idle_s = 0.01
    app, ready = App(config(home, idle_exit_s=idle_s)), anyio.Event()
    records: list[Record] = []

    def on_ready(record: Record) -> None:
        records.append(record)
        ready.set()

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.run, on_ready)
            await ready.wait()
            await anyio.sleep(idle_s * (0.8 + 0.6 * turn / ROUNDS))
            outcome = await talk(records[0])
            app.stop()
    return outcome


async def talk(record: Record) -> str:
    try:
        stream = await anyio.connect_unix(str(record["unix"]))
    except (FileNotFoundError, ConnectionRefusedError):
        return "turned away"
    async with Wire(stream) as wire:
        try:
            await wire.send(HELLO % record["token"].encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return "turned away"
        if await wire.receive() is None:
            return "turned away"
        for _ in range(3):  # It was answered: from here on the daemon stays.
            await anyio.sleep(0.005)
            if (await wire.request("ping")).get("result") != {}:
                return "dropped"
    return "served"


HELLO = (
    b'{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocol":"holdfast","versions":[1],'
    b'"client":{"id":"t","name":"t","version":"1"},"capabilities":{},"token":"%s"}}\n'
)


def test_the_start_lock_is_where_clients_look_for_it(home: Home) -> None:
    assert Path(Locations(config="", state="", runtime=str(home.runtime)).start_lock).name == "start-v1.lock"
