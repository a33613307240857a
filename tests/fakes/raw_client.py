"""A client that shares no code with holdfast: standard library JSON on bytes, and a transcript of all of it.

It neither hides nor repairs anything, so that a test sees what a foreign implementation would. It reads only
when something is awaited; what came is kept in order.

    client = RawClient(StreamChannel(connect_unix(path), Lines()))
    await client.initialize(token)
    created = await client.call("session/create", cwd="/tmp")

Waits are bounded by the caller (`anyio.fail_after`).
"""

import json
from typing import Any, Literal, NamedTuple, Protocol

from fakes.framings import Framing
from fakes.links import Link


class ConnectionClosed(Exception):
    """The daemon closed the connection while something was awaited from it."""


class BadMessage(Exception):
    """The daemon sent something that is no message."""


class Refused(Exception):
    """A call was answered with an error.

    Attributes:
        error: the error object, as it came.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = error


class Channel(Protocol):
    """Messages both ways. A WebSocket is one more of these, with frames of its own."""

    async def send(self, bodies: list[bytes]) -> None:
        """Send messages in one write."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes that are no message."""
        ...

    async def receive(self) -> list[bytes] | None:
        """Give the messages that came next, perhaps none; None at the end."""
        ...

    def close(self) -> None:
        """Close, once."""
        ...

    @property
    def unfinished(self) -> bytes:
        """What of a message has come so far."""
        ...


class StreamChannel:
    """Messages on a byte stream, delimited by a framing."""

    def __init__(self, link: Link, framing: Framing) -> None:
        self._link = link
        self._framing = framing

    async def send(self, bodies: list[bytes]) -> None:
        await self._link.write(b"".join(self._framing.encode(body) for body in bodies))

    async def send_bytes(self, data: bytes) -> None:
        await self._link.write(data)

    async def receive(self) -> list[bytes] | None:
        data = await self._link.read()
        if data:
            return self._framing.feed(data)
        return None

    def close(self) -> None:
        self._link.close()

    @property
    def unfinished(self) -> bytes:
        return self._framing.unfinished


class Entry(NamedTuple):
    """One message of a connection. `message` is None for bytes sent that were none."""

    direction: Literal["sent", "received"]
    message: dict[str, Any] | None


class RawClient:
    """One connection.

    Args:
        channel: its messages.
        name: for the messages of failed tests.

    Attributes:
        transcript: everything sent and received, in order. What was received stands where it was *read*.
        closed: the daemon has closed the connection, or this side has.
    """

    def __init__(self, channel: Channel, name: str = "raw") -> None:
        self.name = name
        self.transcript: list[Entry] = []
        self.closed = False
        self._channel = channel
        self._answers: dict[str | int, dict[str, Any]] = {}  # By id, until taken.
        self._next_id = 1

    # Sending -------------------------------------------------------------------------------------------

    def request(self, method: str, params: Any = ...) -> dict[str, Any]:
        """Make a request with an id of its own, to be sent; without `params` it has none."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        self._next_id += 1
        if params is not ...:
            message["params"] = params
        return message

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        """Send messages in one write; bytes are sent as a body that need not be a message."""
        bodies = [message if isinstance(message, bytes) else encode(message) for message in messages]
        self.transcript.extend(
            Entry("sent", None if isinstance(message, bytes) else message) for message in messages
        )
        await self._channel.send(bodies)

    async def send_unframed(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transcript.append(Entry("sent", None))
        await self._channel.send_bytes(data)

    async def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    # Receiving -----------------------------------------------------------------------------------------

    async def receive(self) -> None:
        """Take in what comes next; waits for something.

        Raises:
            ConnectionClosed: the end was reached.
            BadMessage: it is no message.
        """
        bodies = None if self.closed else await self._channel.receive()
        if bodies is None:
            self.closed = True
            raise ConnectionClosed(self.name)
        for body in bodies:
            message = decode(body)
            self.transcript.append(Entry("received", message))
            if "method" not in message and message["id"] is not None:
                self._answers[message["id"]] = message

    async def answer(self, request_id: str | int) -> dict[str, Any]:
        """Wait for the answer to a request; give the whole message, once."""
        while request_id not in self._answers:
            await self.receive()
        return self._answers.pop(request_id)

    def has_answer(self, request_id: str | int) -> bool:
        """Tell whether an answer came that was not taken."""
        return request_id in self._answers

    async def call(self, method: str, **params: Any) -> Any:
        """Call and give the result.

        Raises:
            Refused: the answer is an error.
        """
        request = self.request(method, params)
        await self.send(request)
        answer = await self.answer(request["id"])
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    async def initialize(self, token: str | None, client_id: str = "raw") -> Any:
        """Open the connection as a client with that id; give the result."""
        client = {"id": client_id, "name": "raw client", "version": "1"}
        params: dict[str, Any] = {"protocol": "holdfast", "versions": [1], "client": client}
        if token is not None:
            params["token"] = token
        return await self.call("initialize", **params)

    @property
    def unfinished(self) -> bytes:
        """The beginning of a message whose end has not come."""
        return self._channel.unfinished

    def close(self) -> None:
        """Close this end."""
        self.closed = True
        self._channel.close()


def encode(message: Any) -> bytes:
    """Give a message's bytes, compact and ASCII-only, as many libraries write them."""
    return json.dumps(message, separators=(",", ":")).encode()


def decode(body: bytes) -> dict[str, Any]:
    """Read one message, more strictly than the standard library does.

    Raises:
        BadMessage: it is not UTF-8, not JSON, names a member twice, or is no JSON-RPC message.
    """
    try:
        message = json.loads(
            body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant
        )
    except ValueError as error:
        raise BadMessage(f"{error}: {body[:200]!r}") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise BadMessage(f"no JSON-RPC message: {body[:200]!r}")
    answers = {"result", "error"} & message.keys()
    expected = {"jsonrpc", "method", "params"} if "method" in message else {"jsonrpc", "id", *answers}
    if message.keys() != expected or (not answers) != ("method" in message) or len(answers) > 1:
        raise BadMessage(f"neither an answer nor a notification: {body[:200]!r}")
    return message


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
