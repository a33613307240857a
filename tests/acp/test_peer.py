"""The editor's side of the pipes: slow, silent, wordy."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from fakes.links import Link, pipes
from holdfast_client.bridges.acp.peer import (
    CALLS_MAX,
    MESSAGE_BYTES_MAX,
    OUTBOX_BYTES_MAX,
    CallRefused,
    Peer,
)
from holdfast_client.bridges.acp.stdio import Pipes
from holdfast_protocol.foreign.acp.client_calls import FileText
from holdfast_protocol.jsonrpc import Notification, Request

WAIT_S = 30.0


class Keeping:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.notifications: list[Notification] = []

    def take_request(self, request: Request) -> None:
        self.requests.append(request)

    def take_notification(self, notification: Notification) -> None:
        self.notifications.append(notification)

    async def quiet(self) -> None:
        pass


@asynccontextmanager
async def peer_and_link() -> AsyncIterator[tuple[Peer, Keeping, Link]]:
    """Run a peer; give it, what it gives messages to, and the editor's ends, which nobody reads yet."""
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    link = pipes(our_in, our_out)
    handler = Keeping()
    peer = Peer(Pipes(their_in, their_out))
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.run, handler)
            yield peer, handler, link
            tasks.cancel_scope.cancel()
    link.close()
    os.close(their_in)
    os.close(their_out)


async def lines(link: Link, count: int) -> list[Any]:
    """Read so many messages."""
    data = b""
    while data.count(b"\n") < count:
        data += await link.read()
    return [json.loads(line) for line in data.splitlines()]


async def test_an_editor_that_does_not_read_holds_up_whoever_speaks_and_no_more_is_kept() -> None:
    async with peer_and_link() as (peer, handler, link):
        sent = 0
        while True:
            peer.notify("told", {"number": sent, "padding": "x" * 10_000})
            sent += 1
            with anyio.move_on_after(0.2) as held:
                await peer.flow()
            if held.cancelled_caught:
                break
        assert sent * 10_000 < 2 * OUTBOX_BYTES_MAX + 1024 * 1024
        await link.write(b'{"jsonrpc":"2.0","method":"here"}\n')  # It is listened to all the same.
        while not handler.notifications:
            await anyio.lowlevel.checkpoint()
        told = await lines(link, sent)
        await peer.flow()
    assert [message["params"]["number"] for message in told] == list(range(sent))


async def test_a_message_that_is_too_long_is_refused_and_skipped() -> None:
    async with peer_and_link() as (_peer, handler, link):
        piece = b"x" * (1024 * 1024)
        for _ in range(MESSAGE_BYTES_MAX // len(piece) + 2):
            await link.write(piece)
        await link.write(b'x\n{"jsonrpc":"2.0","id":1,"method":"after"}\n')
        (refused,) = await lines(link, 1)
        while not handler.requests:
            await anyio.lowlevel.checkpoint()
    assert (refused["id"], refused["error"]["code"]) == (None, -32700)
    assert [request.method for request in handler.requests] == ["after"]


async def test_a_call_that_is_cancelled_is_taken_back_and_its_late_answer_is_ignored() -> None:
    async with peer_and_link() as (peer, handler, link):
        with anyio.move_on_after(0.05):
            await peer.call("ask", {}, FileText)
        asked, taken_back = await lines(link, 2)
        late = {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": "late"}}
        await link.write(json.dumps(late).encode() + b'\n{"jsonrpc":"2.0","id":9,"method":"after"}\n')
        while not handler.requests:
            await anyio.lowlevel.checkpoint()
    assert (taken_back["method"], taken_back["params"]) == ("$/cancel_request", {"requestId": asked["id"]})


@pytest.mark.parametrize(
    "answer", [{"error": {"code": 5, "message": "no"}}, {"result": {"content": 3}}, {"result": None}]
)
async def test_what_is_no_answer_is_a_refusal(answer: dict[str, Any]) -> None:
    refused: list[CallRefused] = []

    async def ask(peer: Peer) -> None:
        try:
            await peer.call("ask", {}, FileText)
        except CallRefused as refusal:
            refused.append(refusal)

    async with peer_and_link() as (peer, _handler, link), anyio.create_task_group() as tasks:
        tasks.start_soon(ask, peer)
        (asked,) = await lines(link, 1)
        await link.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode() + b"\n")
        while not refused:
            await anyio.lowlevel.checkpoint()
    assert len(refused) == 1


async def test_calls_beyond_the_limit_wait() -> None:
    async with peer_and_link() as (peer, _handler, link), anyio.create_task_group() as tasks:
        for _ in range(CALLS_MAX + 1):
            tasks.start_soon(peer.call, "ask", {}, FileText)
        asked = await lines(link, CALLS_MAX)
        assert len(asked) == CALLS_MAX
        first = {"jsonrpc": "2.0", "id": asked[0]["id"], "result": {"content": ""}}
        await link.write(json.dumps(first).encode() + b"\n")
        assert (await lines(link, 1))[0]["method"] == "ask"
        tasks.cancel_scope.cancel()
