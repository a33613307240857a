"""Who may connect, for how long without a word, and how many at once."""

import json
import os
import socket

import anyio
import anyio.to_thread
import pytest
from net_world import WAIT_S, config, hello, mode, serving

from fakes.home import Home
from holdfast_protocol.connection import HANDSHAKE_BYTES_MAX
from holdfast_protocol.methods.daemon import NetStatistics

INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}


def padded(token: str, size: int) -> bytes:
    """Give an `initialize` of so many bytes."""
    bare = len(json.dumps({**INITIALIZE, "params": hello(token, padding="")}).encode())
    return json.dumps({**INITIALIZE, "params": hello(token, padding="x" * (size - bare))}).encode()


# Tokens ------------------------------------------------------------------------------------------------


async def test_the_right_token_opens_and_a_wrong_one_is_told_so_and_closed(home: Home) -> None:
    async with serving(config(home)) as net:
        async with await net.connect() as wire:
            answer = await wire.initialize(net.token)
            assert answer["result"]["role"] == "controller"
        for token in ("wrong", "", None, "t\u00f6ken \U0001f511"):
            async with await net.connect() as wire:
                answer = await wire.initialize(token)
                assert answer["error"]["code"] == -32000
                assert await wire.receive() is None


async def test_guessing_is_slowed_and_the_owner_still_let_in(home: Home) -> None:
    async with serving(config(home, auth_failures_max=2)) as net:
        answers = []
        for _ in range(4):
            async with await net.connect() as wire:
                answers.append((await wire.initialize("wrong"))["error"]["data"])
        assert [answer.get("limit") for answer in answers] == [None, None, *["auth_failures_max"] * 2]
        assert answers[-1]["retryAfterMs"] > 0
        await (await net.client()).close()


async def test_tcp_needs_the_token_too_and_a_browser_is_closed_without_a_word(home: Home) -> None:
    async with serving(config(home, tcp=0)) as net:
        async with await net.connect_tcp() as wire:
            assert (await wire.initialize("wrong"))["error"]["code"] == -32000
        async with await net.connect_tcp() as wire:
            assert "result" in await wire.initialize(net.token)
        for request in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\n\r\n{}",
            b"\x16\x03\x01\x02\x00",
        ):
            async with await net.connect_tcp() as wire:
                await wire.send(request)
                assert await wire.is_closed_silently()


# Before `initialize` -----------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["lines", "headers"])
async def test_a_first_message_at_the_limit_is_taken_and_a_larger_one_closes_silently(
    home: Home, framing: str
) -> None:
    def framed(body: bytes) -> bytes:
        return body + b"\n" if framing == "lines" else b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    async with serving(config(home)) as net:
        async with await net.connect() as wire:
            await wire.send(framed(padded(net.token, HANDSHAKE_BYTES_MAX)))
            assert not await wire.is_closed_silently()
        async with await net.connect() as wire:
            await wire.send(framed(padded(net.token, HANDSHAKE_BYTES_MAX + 1)))
            assert await wire.is_closed_silently()


async def test_a_line_that_never_ends_is_closed_silently(home: Home) -> None:
    async with serving(config(home)) as net, await net.connect() as wire:
        await wire.send(b'{"jsonrpc":"2.0","method":"' + b"x" * HANDSHAKE_BYTES_MAX)
        assert await wire.is_closed_silently()


async def test_whoever_says_nothing_is_closed_when_the_handshakes_time_is_over(home: Home) -> None:
    async with serving(config(home, handshake_timeout_s=0.05)) as net:
        for said in (b"", b'{"json', b"Content-Length: 10\r\n\r\n"):
            async with await net.connect() as wire:
                if said:
                    await wire.send(said)
                assert await wire.is_closed_silently()


async def test_a_byte_now_and_then_does_not_extend_the_handshake(home: Home) -> None:
    async with serving(config(home, handshake_timeout_s=0.1)) as net, await net.connect() as wire:
        closed = anyio.Event()

        async def drip() -> None:
            await wire.send(b"{")
            while not closed.is_set():
                try:
                    await wire._stream.send(b" ")
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
                await anyio.sleep(0.01)

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(drip)
                assert await wire.is_closed_silently()
                closed.set()


async def test_an_initialized_connection_may_be_silent_for_as_long_as_it_likes(home: Home) -> None:
    async with serving(config(home, handshake_timeout_s=0.05)) as net, await net.client() as client:
        async with await net.connect() as wire:
            assert await wire.is_closed_silently()  # Later than the client would have been.
        assert (await client.request("ping"))["result"] == {}


# How many ----------------------------------------------------------------------------------------------


async def test_so_many_strangers_may_wait_and_a_further_one_is_closed(home: Home) -> None:
    async with serving(config(home, unauthenticated_max=3)) as net:
        clients = [await net.client() for _ in range(5)]
        strangers = [await net.connect() for _ in range(3)]
        await net.until(lambda found: found.unauthenticated == 3)
        async with await net.connect() as refused:
            assert await refused.is_closed_silently()
        await strangers[0].close()
        await net.until(lambda found: found.unauthenticated == 2)
        clients.append(await net.client())
        statistics = net.server.statistics()
        assert (statistics.connections, statistics.unauthenticated, statistics.refused) == (8, 2, 1)
        for wire in (*clients, *strangers):
            await wire.close()


async def test_a_flood_of_strangers_at_one_moment_takes_no_more_places_than_there_are(home: Home) -> None:
    """They all knock before the daemon has its next turn."""
    async with serving(config(home, unauthenticated_max=8)) as net:
        for _ in range(100):
            net.knock()
        most = 0

        def all_seen(found: NetStatistics) -> bool:
            nonlocal most
            most = max(most, found.unauthenticated)
            return found.accepted + found.refused == 100

        statistics = await net.until(all_seen)
        assert most == 8
        assert (statistics.unauthenticated, statistics.refused) == (8, 92)


async def test_so_many_connections_are_taken_and_no_more(home: Home) -> None:
    async with serving(config(home, connections_max=4)) as net:
        clients = [await net.client() for _ in range(4)]
        async with await net.connect() as refused:
            assert await refused.is_closed_silently()
        await clients[0].close()
        await net.until(lambda found: found.connections == 3)
        clients.append(await net.client())
        for wire in clients:
            await wire.close()


async def test_an_answer_is_not_kept_waiting_by_a_flood_of_strangers(home: Home) -> None:
    """Each turn of the loop takes a bounded number of them."""
    async with serving(config(home, unauthenticated_max=1000)) as net, await net.client() as client:
        before = net.server.statistics().accepted
        for _ in range(200):
            net.knock()
        assert (await client.request("ping"))["result"] == {}
        assert net.server.statistics().accepted - before < 200


# Rates -------------------------------------------------------------------------------------------------


async def test_a_burst_is_served_and_what_comes_above_the_rate_is_told_when_to_try_again(home: Home) -> None:
    limits = {"requests_per_second_max": 1, "requests_burst_max": 5, "requests_in_flight_max": 64}
    async with serving(config(home, **limits)) as net:
        async with await net.client() as client:
            answers = [await client.request("session/list") for _ in range(6)]
            assert ["result" in answer for answer in answers] == [True] * 5 + [False]
            data = answers[-1]["error"]["data"]
            assert (data["limit"], data["limitValue"]) == ("requests_per_second_max", 1)
            assert 0 < data["retryAfterMs"] <= 1000
            assert (await client.request("ping"))["result"] == {}
            assert (await client.request("session/cancel", sessionId="x"))["error"]["code"] == -32002
        async with await net.client() as other:
            assert "result" in await other.request("session/list")


# Files -------------------------------------------------------------------------------------------------


async def test_socket_record_and_directory_are_the_owners_alone(home: Home) -> None:
    mask = os.umask(0)
    try:
        async with serving(config(home)) as net:
            assert mode(home.runtime) == 0o700
            assert mode(str(net.record["unix"])) == 0o600
            assert mode(home.runtime / "daemon-v1.json") == 0o600
            assert mode(home.state) == 0o700
            assert json.loads((home.runtime / "daemon-v1.json").read_text()) == net.record
            loose = [path for path in home.state.rglob("*") if mode(path) & 0o077]
            assert loose == []
    finally:
        os.umask(mask)
    assert list(home.runtime.glob("daemon-v1.[js]*")) == []


async def test_a_runtime_directory_with_loose_permissions_is_tightened(home: Home) -> None:
    home.runtime.mkdir(mode=0o777)
    home.runtime.chmod(0o777)
    async with serving(config(home)) as net:
        assert mode(home.runtime) == 0o700
        await (await net.client()).close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
async def test_another_user_is_closed_without_a_word_even_if_the_permissions_let_him_in(home: Home) -> None:
    async with serving(config(home)) as net:
        path = str(net.record["unix"])
        for directory in (home.path, home.runtime):
            directory.chmod(0o711)
        os.chmod(path, 0o666)  # noqa: PTH101 - a socket

        def connect_as_another() -> bytes:
            """In a child process, for a thread cannot become another user alone."""
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(54321)
                    connected = socket.socket(socket.AF_UNIX)
                    connected.settimeout(WAIT_S)
                    connected.connect(path)
                    message = json.dumps({**INITIALIZE, "params": hello(net.token)}).encode()
                    try:
                        connected.sendall(message + b"\n")
                        os.write(writing, b"got " + connected.recv(100))
                    except (BrokenPipeError, ConnectionResetError):
                        os.write(writing, b"got ")
                finally:
                    os._exit(0)
            os.close(writing)
            with os.fdopen(reading, "rb") as file:
                answer = file.read()
            os.waitpid(child, 0)
            return answer

        assert await anyio.to_thread.run_sync(connect_as_another) == b"got "
        assert net.server.statistics().refused == 1
        await (await net.client()).close()
