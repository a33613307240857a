"""The JSON-RPC client of pygls connects unchanged, over TCP and as the parent of a sidecar.

It frames with Content-Length and Content-Type, numbers its calls with strings, and reads headers by the
letter: an implementation that shares nothing with ours.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pygls.client import JsonRPCClient
from pygls.exceptions import JsonRpcException

HANG = "script:\n- hang: true\n"


class Peer:
    """A pygls client, and the notifications it was sent."""

    def __init__(self) -> None:
        self.client = JsonRPCClient()
        self.batches: list[Any] = []
        self._arrived = anyio.Event()

        @self.client.feature("session/events")
        def receive(params: Any) -> None:
            self.batches.append(params)
            self._arrived.set()

    @property
    def events(self) -> list[Any]:
        return [event for batch in self.batches for event in batch.events]

    async def event_of(self, event_type: str, run_id: str) -> Any:
        """Give a run's event of a type, when it has come."""
        while True:
            arrived = self._arrived = anyio.Event()
            for event in self.events:
                if event.type == event_type and event.runId == run_id:
                    return event
            await arrived.wait()

    def send(self, method: str, params: Any = None, call_id: str | None = None) -> asyncio.Future[Any]:
        """Write a call now; its answer can be awaited."""
        return asyncio.wrap_future(self.client.protocol.send_request(method, params, msg_id=call_id))

    async def call(self, method: str, params: Any = None) -> Any:
        return await self.send(method, params)

    async def initialize(self, token: str | None) -> Any:
        client = {"id": "pygls", "name": "pygls", "version": "2"}
        params = {"protocol": "holdfast", "versions": [1], "client": client}
        return await self.call("initialize", params if token is None else {**params, "token": token})


@asynccontextmanager
async def _over_tcp(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    daemon = request.getfixturevalue("daemon")
    peer = Peer()
    await peer.client.start_tcp(*daemon.tcp)
    await peer.initialize(daemon.token)
    yield peer
    writer = peer.client.protocol.writer
    writer.close()
    await writer.wait_closed()
    await peer.client.stop()


@asynccontextmanager
async def _over_stdio(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    holdfastd = request.getfixturevalue("holdfastd")
    state = request.getfixturevalue("tmp_path") / "state"
    peer = Peer()
    await peer.client.start_io(holdfastd, "--stdio", "--state", str(state))
    await peer.initialize(None)
    yield peer
    await peer.call("daemon/shutdown", {})
    await peer.client.stop()
    assert peer.client._server.returncode == 0


@pytest.fixture(params=[_over_tcp, _over_stdio], ids=["tcp", "stdio"])
def connected(request: pytest.FixtureRequest) -> Any:
    """Give a context manager that connects, initializes and leaves."""
    return lambda: request.param(request)


async def _refusal(answer: asyncio.Future[Any]) -> JsonRpcException:
    with pytest.raises(JsonRpcException) as refused:
        await answer
    return refused.value


async def _new_session(peer: Peer, cwd: Path) -> str:
    created = await peer.call("session/create", {"cwd": str(cwd)})
    await peer.call("session/subscribe", {"sessionId": created.sessionId, "after": "start"})
    return created.sessionId


async def _prompt(peer: Peer, session_id: str, text: str) -> str:
    content = [{"type": "text", "text": text}]
    prompted = await peer.call("session/prompt", {"sessionId": session_id, "content": content})
    assert prompted.status == "started"
    return prompted.runId


async def test_pygls_creates_prompts_and_is_notified_of_every_event(connected: Any, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with connected() as peer:
            session_id = await _new_session(peer, tmp_path)
            run_id = await _prompt(peer, session_id, "Say Grüße, 世界")
            waited = await peer.call("session/wait", {"sessionId": session_id, "runId": run_id})
            assert (waited.done, waited.status) == (True, "completed")
            await peer.event_of("run_completed", run_id)
            assert [event.seq for event in peer.events] == list(range(1, waited.seq + 1))
            assert peer.batches[-1].to == waited.seq
            received = next(event for event in peer.events if event.type == "prompt_received")
            assert received.content[0].text == "Say Grüße, 世界"


async def test_pygls_cancels_a_call_and_then_the_run(connected: Any, tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with connected() as peer:
            session_id = await _new_session(peer, tmp_path)
            run_id = await _prompt(peer, session_id, HANG)
            waiting = peer.send("session/wait", {"sessionId": session_id, "runId": run_id}, "wait-1")
            await peer.call("ping")  # The call before it was read by now.
            peer.client.protocol.notify("$/cancelRequest", {"id": "wait-1"})
            refusal = await _refusal(waiting)
            assert (refusal.code, refusal.data["kind"]) == (-32800, "request_cancelled")
            got = await peer.call("session/get", {"sessionId": session_id})
            assert got.session.status == "running"
            cancelled = await peer.call("session/cancel", {"sessionId": session_id})
            assert cancelled.cancelled is True
            terminal = await peer.event_of("run_cancelled", run_id)
            assert terminal.seq == peer.batches[-1].to


@pytest.mark.parametrize(
    ("method", "params", "code", "kind"),
    [
        ("session/explode", {}, -32601, "method_not_found"),
        ("session/get", {"sessionId": "nowhere"}, -32002, "not_found"),
        ("session/create", {"cwd": 7}, -32602, "invalid_params"),
    ],
)
async def test_pygls_gets_the_code_and_kind_of_an_error(
    connected: Any, method: str, params: dict[str, Any], code: int, kind: str
) -> None:
    with anyio.fail_after(10):
        async with connected() as peer:
            refusal = await _refusal(peer.send(method, params))
            assert (refusal.code, refusal.data["kind"]) == (code, kind)


async def test_pygls_is_refused_with_a_wrong_token(daemon: Any) -> None:
    with anyio.fail_after(10):
        peer = Peer()
        await peer.client.start_tcp(*daemon.tcp)
        with pytest.raises(JsonRpcException) as refused:
            await peer.initialize("wrong")
        assert refused.value.code == -32000
        await peer.client.stop()  # The daemon has closed: the reader ends by itself.
        peer.client.protocol.writer.close()
