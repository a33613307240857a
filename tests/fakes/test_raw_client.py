"""The raw client reads more strictly than a JSON library does (`raw_client`)."""

from collections import deque

import pytest

from fakes.raw_client import BadMessage, ConnectionClosed, Entry, RawClient, Refused, decode


class InMemoryChannel:
    """A channel whose daemon has said what it will say."""

    unfinished = b""

    def __init__(self, *frames: list[bytes]) -> None:
        self._frames = deque(frames)
        self.sent: list[bytes] = []

    async def send(self, bodies: list[bytes]) -> None:
        self.sent += bodies

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> list[bytes] | None:
        return self._frames.popleft() if self._frames else None

    def close(self) -> None:
        self._frames.clear()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"1.0","id":1,"result":1}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","result":1}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"extra":1}',
        b'{"jsonrpc":"2.0","id":1,"id":2,"result":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":[{"b":1,"b":1}]}}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"jsonrpc":"2.0","id":1,"method":"m","params":{}}',
        b'{"jsonrpc":"2.0","method":"m"}',
        b'{"jsonrpc":"2.0","id":1,"result":"\xff"}',
    ],
)
def test_what_is_no_message_of_a_daemon_is_an_error(body: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(body)


async def test_a_call_gives_its_own_answer_and_keeps_what_came_before_it() -> None:
    note = b'{"jsonrpc":"2.0","method":"m","params":{}}'
    channel = InMemoryChannel(
        [], [note, b'{"jsonrpc":"2.0","id":9,"result":9}'], [b'{"jsonrpc":"2.0","id":1,"result":7}']
    )
    client = RawClient(channel)
    assert await client.call("ping") == 7
    assert channel.sent == [b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}']
    assert [entry.direction for entry in client.transcript] == ["sent", "received", "received", "received"]
    assert client.has_answer(9)


async def test_a_refused_call_raises_the_error_as_it_came() -> None:
    client = RawClient(InMemoryChannel([b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}']))
    with pytest.raises(Refused) as refused:
        await client.call("ping")
    assert refused.value.error == {"code": -1, "message": "no"}


async def test_the_end_of_the_connection_ends_every_wait() -> None:
    client = RawClient(InMemoryChannel())
    with pytest.raises(ConnectionClosed):
        await client.call("ping")
    assert client.closed
    assert client.transcript == [Entry("sent", {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}})]
