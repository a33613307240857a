"""Ways to a daemon, and the handshake (users.md E2, E4, E5; design 4)."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from library_world import WAIT_S, client_of, daemon_in, locations

import holdfast_client
from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio
from holdfast_client.aio.routes import Dialled, Shared, parse_address
from holdfast_client.errors import ClientClosed, DaemonNotRunning, DaemonUnreachable, VersionMismatch
from holdfast_protocol import version
from holdfast_protocol.errors import AuthRequired, UnsupportedVersion

pytestmark = pytest.mark.timeout(120)


async def test_attaching_finds_the_daemon_by_its_record(home: Home):
    async with daemon_in(home), client_of(home) as client:
        hello = client.server
        assert (hello.version, hello.role, hello.server.pid) == (1, "controller", os.getpid())
        assert hello.server.version == version.VERSION
        assert hello.limits.requests_in_flight_max > 0
        assert client.connected or await client.rpc.ping()


async def test_without_a_daemon_attaching_says_so_at_once(home: Home):
    with pytest.raises(DaemonNotRunning):
        async with client_of(home):
            pytest.fail("nobody answers")


async def test_a_stale_record_is_a_daemon_that_does_not_run(home: Home):
    with ProcessDaemon(home) as daemon:
        await daemon.start()
        await daemon.kill()
        with pytest.raises(DaemonNotRunning):
            async with client_of(home):
                pytest.fail("nobody answers")


async def test_attaching_starts_the_daemon_if_it_may(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_HOME", str(home.path))
    monkeypatch.setenv("HOLDFAST_DAEMON", str(Path(sys.executable).with_name("holdfastd")))
    async with holdfast_client.connect("attach") as client:
        pid = client.server.server.pid
        assert pid != os.getpid()
        async with holdfast_client.connect("attach") as second:
            assert second.server.server.pid == pid
        ended = os.pidfd_open(pid)
        await client.rpc.daemon_shutdown()
    with anyio.fail_after(WAIT_S):
        await anyio.wait_readable(ended)
    os.close(ended)


async def test_auto_attaches_to_the_daemon_that_runs(home: Home):
    async with daemon_in(home), aio.connect("auto", locations=locations(home)) as client:
        assert client.server.server.pid == os.getpid()


async def test_auto_spawns_a_private_daemon_if_none_runs(home: Home):
    async with aio.connect("auto", locations=locations(home)) as client:
        assert client.server.server.pid != os.getpid()
        assert (await client.status()).endpoints == ("stdio",)
    assert not home.runtime.exists()


def addresses(endpoint: Any) -> dict[str, str]:
    """Give a daemon's endpoints as `connect` takes them."""
    return {
        "unix": f"unix:{endpoint.unix}",
        "tcp": "tcp:{}:{}".format(*endpoint.tcp),
        "websocket": "ws://{}:{}/".format(*endpoint.ws),
    }


each_endpoint = pytest.mark.parametrize("over", ["unix", "tcp", "websocket"])


@each_endpoint
async def test_an_endpoint_and_token_of_ones_own_need_no_record(home: Home, over: str):
    async with daemon_in(home) as daemon:
        address = addresses(daemon.endpoint)[over]
        async with aio.connect(endpoint=address, token=daemon.endpoint.token) as client:
            assert client.server.role == "controller"
            assert (await client.run("say hello", cwd=str(home.work))).text.endswith("hello")


@each_endpoint
@pytest.mark.parametrize("token", ["wrong", None])
async def test_a_wrong_token_is_refused_with_its_class(home: Home, over: str, token: str | None):
    async with daemon_in(home) as daemon:
        with pytest.raises(AuthRequired):
            async with aio.connect(endpoint=addresses(daemon.endpoint)[over], token=token):
                pytest.fail("it was let in")


async def test_a_page_server_is_no_daemon_for_a_websocket(home: Home):
    async with daemon_in(home) as daemon:
        host, port = daemon.endpoint.tcp
        with pytest.raises(DaemonUnreachable):
            async with aio.connect(endpoint=f"ws://{host}:{port}/", token=daemon.endpoint.token):
                pytest.fail("it speaks no HTTP")


async def test_a_daemon_that_was_replaced_after_its_record_was_read_is_tried_once_more(home: Home):
    async with daemon_in(home):
        shared, dials = Shared(locations(home), may_start=False), []

        class Stale:
            may_start, start_after_s, aclose = False, 0.0, shared.aclose

            async def dial(self, *, start: bool) -> Dialled:
                dialled = await shared.dial(start=start)
                dials.append(dialled)
                return dialled._replace(token="of the daemon before") if len(dials) == 1 else dialled

        async with aio.connect(route=Stale()) as client:
            assert client.server.role == "controller"
        assert len(dials) == 2


async def test_a_version_that_is_asked_for_is_accepted(home: Home):
    async with daemon_in(home), client_of(home, require="holdfast>=0.1,<0.2") as client:
        assert client.server.server.version.startswith("0.1")


async def test_another_version_is_refused_with_a_clear_error(home: Home):
    async with daemon_in(home):
        with pytest.raises(VersionMismatch) as caught:
            async with client_of(home, require="holdfast>=7"):
                pytest.fail("it was accepted")
        assert str(caught.value) == (
            f"This program needs holdfast>=7; the daemon that answers is holdfast {version.VERSION}."
        )


def test_a_requirement_that_cannot_be_read_is_refused_before_connecting():
    with pytest.raises(ValueError, match="Expected a requirement"):
        holdfast_client.connect(require="requests>=2")


async def test_no_common_protocol_is_refused_with_what_the_daemon_speaks(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(version, "PROTOCOL_VERSIONS", (99,))
    async with daemon_in(home):
        with pytest.raises(UnsupportedVersion) as caught:
            async with client_of(home):
                pytest.fail("it was accepted")
        assert caught.value.data.supported == [1]


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b'{"jsonrpc":"2.0","id":1,"result":{}}\n']
)
async def test_what_is_no_daemon_is_told_apart(answer: bytes):
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        path = f"{directory}/s"
        async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:

            async def serve(stream: ByteStream) -> None:
                async with stream:
                    await stream.receive()
                    await stream.send(answer)

            tasks.start_soon(listener.serve, serve)
            with pytest.raises((DaemonUnreachable, DaemonNotRunning)):
                async with aio.connect(endpoint=f"unix:{path}", token="t"):
                    pytest.fail("it was taken for a daemon")
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "address", ["", "unix:", "tcp:1.2.3.4:80", "tcp:localhost", "tcp:localhost:x", "ws://x"]
)
def test_addresses_that_are_none_or_not_loopback_are_refused(address: str):
    with pytest.raises(ValueError, match="loopback"):
        parse_address(address)


async def test_outside_its_block_a_client_is_closed(home: Home):
    client = aio.connect("attach", locations=locations(home))
    for use in (client.rpc.ping, lambda: client.create_session("/")):
        with pytest.raises(ClientClosed):
            await use()
    with pytest.raises(ClientClosed):
        client.session("s")


async def test_an_error_of_the_block_comes_out_as_it_is(home: Home):
    async with daemon_in(home):
        with pytest.raises(KeyError, match="mine"):
            async with client_of(home):
                raise KeyError("mine")


async def test_cancelling_the_block_from_outside_ends_it(home: Home):
    async with daemon_in(home):
        with anyio.move_on_after(0.05) as scope:
            async with client_of(home):
                await anyio.sleep_forever()
        assert scope.cancelled_caught


class OneMessage(ByteStream):
    """A transport of messages, as WebSocket is: one message each way at a time, without a newline inside."""

    def __init__(self, inner: ByteStream) -> None:
        self.inner = inner
        self.rest = b""

    async def send(self, item: bytes) -> None:
        json.loads(item)
        assert item.count(b"\n") == 1
        assert item.endswith(b"\n")
        await self.inner.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while b"\n" not in self.rest:
            self.rest += await self.inner.receive(max_bytes)
        line, _, self.rest = self.rest.partition(b"\n")
        return line + b"\n"

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_a_transport_of_messages_can_stand_behind_a_stream(home: Home):
    async with daemon_in(home):
        shared = Shared(locations(home), may_start=False)

        class Messages:
            may_start, start_after_s, aclose = False, 0.0, shared.aclose

            async def dial(self, *, start: bool) -> Dialled:
                dialled = await shared.dial(start=start)
                return dialled._replace(stream=OneMessage(dialled.stream))

        async with aio.connect(route=Messages()) as client:
            with anyio.fail_after(WAIT_S):
                result = await client.run("count 200", cwd=str(home.work))
        assert result.ok
