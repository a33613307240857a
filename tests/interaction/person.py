"""Somebody at a client: one connection, the events it was told of, and what people do with them.

Reads only while something is awaited. Waits are bounded by `within`.
"""

import json
from collections.abc import Callable
from typing import Any

from fakes.raw_client import Channel, RawClient

Event = dict[str, Any]

EVERYTHING = ("permission", "question", "form")

TERMINAL = ("run_completed", "run_failed", "run_cancelled", "run_interrupted")


class Person(RawClient):
    """One connection.

    Args:
        channel: its messages.
        name: the client's id.

    Attributes:
        events: of all sessions it follows, in the order they came.
        role: as the daemon says.
    """

    def __init__(self, channel: Channel, name: str) -> None:
        super().__init__(channel, name)
        self.events: list[Event] = []
        self.role = ""
        self._looked = 0  # Events `event` has gone past.
        self._heard = 0  # Entries of the transcript looked through for events.
        self._notified = 0  # Entries `notification` has gone past.

    async def enter(self, token: str | None, answers: tuple[str, ...] = EVERYTHING) -> dict[str, Any]:
        """Initialize, as somebody who can answer those kinds of requests."""
        params: dict[str, Any] = {} if token is None else {"token": token}
        result = await self.call(
            "initialize",
            protocol="holdfast",
            versions=[1],
            client={"id": self.name},
            capabilities={"answers": list(answers)},
            **params,
        )
        self.role = result["role"]
        return result

    async def receive(self) -> None:
        """See `RawClient.receive`; events are kept."""
        await super().receive()
        for entry in self.transcript[self._heard :]:
            message = entry.message
            if entry.direction == "received" and message and message.get("method") == "session/events":
                session = message["params"]["sessionId"]
                self.events += [event | {"session": session} for event in message["params"]["events"]]
        self._heard = len(self.transcript)

    # What was heard ------------------------------------------------------------------------------------

    async def event(self, *types: str, **members: Any) -> Event:
        """Wait for the next event of one of these types with these members; go past it."""
        while True:
            while self._looked < len(self.events):
                event = self.events[self._looked]
                self._looked += 1
                if event["type"] in types and members.items() <= event.items():
                    return event
            await self.receive()

    def heard(self, *types: str, **members: Any) -> list[Event]:
        """Give all events of these types (none given: all) with these members that came so far."""
        return [
            event
            for event in self.events
            if (not types or event["type"] in types) and members.items() <= event.items()
        ]

    async def hear(self, true: Callable[[], bool]) -> None:
        """Read until something holds."""
        while not true():
            await self.receive()

    async def end(self) -> Event:
        """Wait for the end of a run."""
        return await self.event(*TERMINAL)

    async def notification(self, method: str) -> dict[str, Any]:
        """Wait for the next notification of a method; give its params, and go past it."""
        while True:
            while self._notified < len(self.transcript):
                entry = self.transcript[self._notified]
                self._notified += 1
                if entry.direction == "received" and entry.message and entry.message.get("method") == method:
                    return entry.message["params"]
            await self.receive()

    def notifications(self, method: str) -> list[dict[str, Any]]:
        """Give the params of all notifications of a method that came so far."""
        return [
            entry.message["params"]
            for entry in self.transcript
            if entry.direction == "received" and entry.message and entry.message.get("method") == method
        ]

    # What people do ------------------------------------------------------------------------------------

    async def create(self, cwd: object, **settings: Any) -> str:
        """Make a session."""
        return (await self.call("session/create", cwd=str(cwd), **settings))["sessionId"]

    async def follow(self, session: str, after: int | str = "start") -> dict[str, Any]:
        """Subscribe."""
        return await self.call("session/subscribe", sessionId=session, after=after)

    async def begin(self, cwd: object, **settings: Any) -> str:
        """Make a session and follow it."""
        session = await self.create(cwd, **settings)
        await self.follow(session)
        return session

    async def prompt(self, session: str, text: str, **more: Any) -> dict[str, Any]:
        """Prompt with a text."""
        return await self.call("session/prompt", sessionId=session, content=text_content(text), **more)

    async def answer_request(self, asked: Event, outcome: str, **more: Any) -> dict[str, Any]:
        """Answer a request, given as the event that opened it."""
        return await self.call("request/respond", **self.answering(asked, outcome, **more))

    def answering(self, asked: Event, outcome: str, **more: Any) -> dict[str, Any]:
        """Give the params of an answer."""
        return {"sessionId": asked["session"], "requestId": asked["requestId"], "outcome": outcome, **more}

    async def open_requests(self, session: str) -> list[str]:
        """List the ids of a session's open requests."""
        listed = await self.call("request/list", sessionId=session)
        return [item["request"]["requestId"] for item in listed["requests"]]

    async def log(self, session: str) -> list[Event]:
        """Read a whole log."""
        events: list[Event] = []
        more = True
        while more:
            page = await self.call("session/read", sessionId=session, after=len(events), limit=1000)
            events += page["events"]
            more = page["more"]
        return events


def text_content(text: str) -> list[dict[str, str]]:
    """Give a prompt's content."""
    return [{"type": "text", "text": text}]


def script(*steps: dict[str, Any] | list[dict[str, Any]]) -> str:
    """Give a prompt that makes the offline model play these steps (docs/offline.md)."""
    return "script:\n" + "\n".join(f"  - {json.dumps(step, ensure_ascii=False)}" for step in steps)


def calling(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Give a step that makes these calls, side by side."""
    return {"call": [{"tool": tool, "input": tool_input} for tool, tool_input in calls]}


def shell(command: str) -> tuple[str, dict[str, Any]]:
    """Give a call of the shell."""
    return ("shell", {"command": command})
