"""What one client of a conversation has heard and nobody has looked at yet: a fold of its transcript."""

from collections import deque
from typing import Any, Final

from fakes.raw_client import ConnectionClosed, RawClient

_LIST_CHANGES: Final = "sessions/changed"


class Stream:
    """One subscription, as its client has got it.

    Attributes:
        cursor: the last seq it covered.
        events: those nobody has looked at.
    """

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.events: deque[dict[str, Any]] = deque()


class Listener:
    """Sorts what a client receives. All waits read from the connection; the caller bounds them.

    Attributes:
        streams: by session; a new subscription takes the place of the old one.
        refusals: answers with a null id.
        arrived: ids of answers, in the order they came.
        opened: `initialize` was answered with a result.
    """

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.streams: dict[str, Stream] = {}
        self.refusals: deque[dict[str, Any]] = deque()
        self.arrived: list[Any] = []
        self.opened = False
        self._notifications: dict[str, deque[dict[str, Any]]] = {}
        self._requests: dict[Any, dict[str, Any]] = {}  # Sent, by id.
        self._folded = 0  # Entries of the transcript that were folded in.

    async def hear(self) -> None:
        """Wait for something more."""
        await self.client.receive()
        self._fold()

    async def answer(self, request_id: Any) -> dict[str, Any]:
        """Wait for an answer and take it."""
        while not self.client.has_answer(request_id):
            await self.hear()
        return await self.client.answer(request_id)

    async def arrival(self, request_id: Any) -> int:
        """Wait for an answer and leave it; give its place among all answers."""
        while request_id not in self.arrived:
            await self.hear()
        return self.arrived.index(request_id)

    async def refusal(self) -> dict[str, Any]:
        """Wait for an answer with a null id; give its error."""
        while not self.refusals:
            await self.hear()
        return self.refusals.popleft()["error"]

    async def next_event(self, session: str) -> dict[str, Any]:
        """Wait for the next event of a session and take it."""
        await self.peek(session)
        return self.streams[session].events.popleft()

    async def peek(self, session: str) -> dict[str, Any]:
        """Wait for the next event of a session and leave it."""
        while session not in self.streams or not self.streams[session].events:
            await self.hear()
        return self.streams[session].events[0]

    async def notification(self, method: str) -> dict[str, Any]:
        """Wait for the next notification of a method and take it; give its params."""
        while not self._notifications.get(method):
            await self.hear()
        return self._notifications[method].popleft()["params"]

    async def catch_up(self) -> None:
        """Hear everything the daemon wrote before the answer to a ping sent now."""
        ping = self.client.request("ping")
        await self.client.send(ping)
        await self.answer(ping["id"])

    async def hear_out(self) -> None:
        """Hear everything up to the end of the connection."""
        while True:
            try:
                await self.hear()
            except ConnectionClosed:
                return

    def left_over(self) -> list[dict[str, Any]]:
        """Give events and notifications nobody has looked at, those about the session list apart."""
        events = [event for stream in self.streams.values() for event in stream.events]
        return events + [
            message
            for method, messages in self._notifications.items()
            if method != _LIST_CHANGES
            for message in messages
        ]

    def unanswered(self) -> set[Any]:
        """Give the ids of requests that have no answer."""
        self._fold()
        return set(self._requests) - set(self.arrived)

    def _fold(self) -> None:
        for direction, message in self.client.transcript[self._folded :]:
            if message is None:
                continue
            if direction == "sent":
                if "id" in message and "method" in message:
                    self._requests[message["id"]] = message
            elif "method" in message:
                self._fold_notification(message)
            else:
                self._fold_answer(message)
        self._folded = len(self.client.transcript)

    def _fold_answer(self, message: dict[str, Any]) -> None:
        if message["id"] is None:
            self.refusals.append(message)
            return
        self.arrived.append(message["id"])
        request = self._requests.get(message["id"], {})
        if request.get("method") == "initialize" and "result" in message:
            self.opened = True
        if request.get("method") == "session/subscribe" and "result" in message:
            session = request["params"]["sessionId"]
            self.streams[session] = Stream(message["result"]["from"] - 1)

    def _fold_notification(self, message: dict[str, Any]) -> None:
        params = message["params"]
        if message["method"] != "session/events":
            self._notifications.setdefault(message["method"], deque()).append(message)
            return
        stream = self.streams[params["sessionId"]]
        stream.events.extend(params["events"])
        stream.cursor = params["to"]
