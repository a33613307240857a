"""One connection, from bytes to calls and back, on a transport that only remembers."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from net_world import WAIT_S

from holdfast_daemon.config import NetLimits
from holdfast_daemon.net.peer import Answer, Peer
from holdfast_protocol.errors import AuthRequired, NotFound

BUGS = {"bug/type": object(), "bug/text": "\ud800"}
"""What is no JSON, by the method that gives it."""


class FakeTransport:
    """Takes everything; its buffer is as full as the test says."""

    def __init__(self) -> None:
        self.written = b""
        self.buffered = 0
        self.reading = True
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class FakeService:
    """Answers `echo`; `wait` waits; `change` changes something; `bug/…` give what is no JSON."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.gone: list[Peer] = []
        self.after: Callable[[], None] | None = None

    def opened(self, _peer: Peer, params: Any) -> Any:
        if (params or {}).get("token") == "wrong":
            raise AuthRequired("no")
        return {"hello": True}

    def immediate(self, _peer: Peer, method: str, _params: Any) -> Any | None:
        if method == "session/cancel":
            return {"begun": list(self.begun)}
        return {} if method == "ping" else None

    async def call(self, _peer: Peer, method: str, params: Any) -> Answer:
        self.begun.append(method)
        try:
            if method in ("wait", "change"):
                await self.go.wait()
            elif method == "refuse":
                raise NotFound("not there")
        finally:
            self.ended.append(method)
        return Answer(BUGS.get(method, params), self.after)

    def survives(self, method: str) -> bool:
        return method == "change"

    def resumed(self, _peer: Peer) -> None:
        self.begun.append("resumed")

    def closed(self, peer: Peer) -> None:
        self.gone.append(peer)


class Line:
    """A peer, its transport and its service."""

    def __init__(self, tasks: TaskGroup, limits: NetLimits) -> None:
        self.service = FakeService()
        self.transport = FakeTransport()
        self.peer = Peer(self.service, tasks, limits)  # pyright: ignore[reportArgumentType]
        self.peer.connection_made(self.transport)

    def send(self, *messages: Any) -> None:
        """Let messages come in one read."""
        self.peer.data_received(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def call(self, request_id: Any, method: str, params: Any = None) -> None:
        self.send(request(request_id, method, params))

    async def settle(self) -> list[dict[str, Any]]:
        """Let everything get as far as it can; give what was answered since the last time."""
        await anyio.wait_all_tasks_blocked()
        lines = self.transport.written.splitlines()
        self.transport.written = b""
        return [json.loads(line) for line in lines]


def request(request_id: Any, method: str, params: Any = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


@asynccontextmanager
async def line(*, initialized: bool = True, **limits: Any) -> AsyncIterator[Line]:
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            made = Line(tasks, NetLimits(**limits))
            if initialized:
                made.call(0, "initialize", {})
                assert await made.settle() == [{"jsonrpc": "2.0", "id": 0, "result": {"hello": True}}]
            yield made
            made.service.go.set()
            made.peer.connection_lost(None)


async def test_calls_run_beside_each_other_and_each_is_answered_once() -> None:
    async with line() as here:
        here.send(request(1, "wait", [1]), request("two", "echo", [2]), request(3, "refuse"))
        answers = await here.settle()
        assert [answer["id"] for answer in answers] == ["two", 3]
        assert answers[0]["result"] == [2]
        assert answers[1]["error"]["code"] == -32002
        here.service.go.set()
        assert await here.settle() == [{"jsonrpc": "2.0", "id": 1, "result": [1]}]
        assert await here.settle() == []


@pytest.mark.parametrize("method", BUGS)
async def test_a_result_that_is_no_json_is_answered_as_a_bug(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with line() as here:
        here.call(1, method)
        (answer,) = await here.settle()
        assert answer["error"]["code"] == -32603
        here.call(2, "echo", [7])
        assert (await here.settle())[0]["result"] == [7]
    assert "cannot be encoded" in caplog.text


async def test_what_follows_an_answer_comes_after_it() -> None:
    async with line() as here:
        written: list[bytes] = []
        here.service.after = lambda: written.append(here.transport.written)
        here.call(1, "echo", ["x"])
        await here.settle()
        assert b'"result":["x"]' in written[0]


async def test_a_cancelled_call_is_answered_as_cancelled_and_an_unknown_one_ignored() -> None:
    async with line() as here:
        here.call(1, "wait")
        await here.settle()
        here.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 9}})
        here.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}})
        (answer,) = await here.settle()
        assert (answer["id"], answer["error"]["code"]) == (1, -32800)
        assert here.service.ended == ["wait"]
        here.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}})
        here.send({"jsonrpc": "2.0", "method": "no/such"}, {"jsonrpc": "2.0", "id": 5, "result": 1})
        assert await here.settle() == []


async def test_urgent_calls_are_answered_before_others_and_above_every_limit() -> None:
    async with line(requests_in_flight_max=2, requests_burst_max=3, requests_per_second_max=1) as here:
        here.send(request(1, "wait"), request(2, "wait"), request(3, "echo"), request(4, "ping"))
        answers = await here.settle()
        assert [(answer["id"], "error" in answer) for answer in answers] == [(3, True), (4, False)]
        here.send(*(request(number, "ping") for number in range(10, 30)))
        answers = await here.settle()
        assert [answer["id"] for answer in answers] == list(range(10, 30))
        assert all(answer["result"] == {} for answer in answers)


async def test_a_cancel_read_right_behind_a_call_finds_it_begun() -> None:
    async with line() as here:
        here.send(request(1, "wait"), request(2, "session/cancel"))
        (answer,) = await here.settle()
        assert answer["result"] == {"begun": ["wait"]}


async def test_with_the_connection_go_the_calls_that_only_look() -> None:
    async with line() as here:
        here.send(request(1, "wait"), request(2, "change"))
        await here.settle()
        here.peer.connection_lost(None)
        await anyio.wait_all_tasks_blocked()
        assert here.service.ended == ["wait"]
        here.service.go.set()
        await anyio.wait_all_tasks_blocked()
        assert here.service.ended == ["wait", "change"]
        assert here.transport.written == b""
        assert here.service.gone == [here.peer]
        here.peer.write(b"ignored")
        here.peer.close()
        assert here.transport.written == b""


async def test_after_its_last_word_a_client_still_gets_its_answers() -> None:
    async with line() as here:
        here.call(1, "wait", ["late"])
        await here.settle()
        assert here.peer.eof_received() is True
        assert here.transport.ended == ""
        here.service.go.set()
        (answer,) = await here.settle()
        assert answer["result"] == ["late"]
        assert here.transport.ended == "closed"
        assert here.peer.last_answered.is_set()


async def test_a_client_that_asked_nothing_is_closed_with_its_last_word() -> None:
    async with line() as here:
        assert not here.peer.eof_received()
        assert here.peer.last_answered.is_set()


async def test_a_client_that_asks_faster_than_it_reads_is_read_no_more_until_it_does() -> None:
    async with line(send_high_water_bytes=100, unsent_answer_bytes_max=1000) as here:
        assert here.transport.high == 100
        here.transport.buffered = 1100
        here.call(1, "echo")
        await here.settle()
        assert here.transport.reading
        here.transport.buffered = 1101
        here.call(2, "echo")
        await here.settle()
        assert not here.transport.reading
        here.peer.pause_writing()
        assert here.peer.paused
        here.peer.resume_writing()
        assert here.transport.reading
        assert not here.peer.paused
        assert here.service.begun[-1] == "resumed"


async def test_a_refused_hello_is_answered_then_closed() -> None:
    async with line(initialized=False) as here:
        here.send(request(1, "initialize", {"token": "wrong"}), request(2, "echo"))
        (answer,) = await here.settle()
        assert answer["error"]["code"] == -32000
        assert here.transport.ended == "closed"
        assert here.service.begun == []
        assert not here.peer.initialized


async def test_whoever_does_not_say_hello_is_aborted_when_the_time_is_over() -> None:
    async with line(initialized=False, handshake_timeout_s=0.01) as here:
        with anyio.fail_after(WAIT_S):
            while not here.transport.ended:
                await anyio.lowlevel.checkpoint()
        assert here.transport.ended == "aborted"
        assert here.transport.written == b""


async def test_a_message_that_is_too_large_is_said_and_the_connection_closed() -> None:
    async with line(message_bytes_max=200) as here:
        here.call(1, "echo", ["x" * 300])
        (answer,) = await here.settle()
        assert (answer["id"], answer["error"]["code"]) == (None, -32009)
        assert here.transport.ended == "closed"


async def test_a_connection_closed_before_it_began_ends_when_it_begins() -> None:
    async with anyio.create_task_group() as tasks:
        peer = Peer(FakeService(), tasks, NetLimits())  # pyright: ignore[reportArgumentType]
        peer.close()
        transport = FakeTransport()
        peer.connection_made(transport)
        assert transport.ended == "aborted"
        peer.connection_lost(None)
