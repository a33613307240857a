"""Built-in tools in sessions of a real daemon: what asks, what the log has, what a session remembers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from fakes.daemons import Home, InProcessDaemon
from fakes.framings import FRAMINGS
from fakes.links import connect_unix
from fakes.raw_client import RawClient, StreamChannel

TERMINAL = {"run_completed", "run_failed", "run_cancelled", "run_interrupted"}


class Seat:
    """A client with one session, subscribed from its start."""

    def __init__(self, client: RawClient, session_id: str) -> None:
        self._client = client
        self._session_id = session_id

    def events(self) -> list[dict[str, Any]]:
        return [
            event
            for entry in self._client.transcript
            if entry.message and entry.message.get("method") == "session/events"
            for event in entry.message["params"]["events"]
        ]

    async def until(self, types: set[str], after: int) -> dict[str, Any]:
        """Wait for an event of one of these types behind a seq."""
        while True:
            for event in self.events():
                if event["seq"] > after and event["type"] in types:
                    return event
            await self._client.receive()

    async def prompt(self, text: str) -> list[dict[str, Any]]:
        """Run a prompt to its end, or to its first question; give the run's events."""
        content = [{"type": "text", "text": text}]
        started = await self._client.call("session/prompt", sessionId=self._session_id, content=content)
        last = await self.until({*TERMINAL, "run_paused"}, started["seq"])
        return [event for event in self.events() if started["seq"] < event["seq"] <= last["seq"]]

    async def answer(self, request_id: str, outcome: str) -> None:
        answered = {"sessionId": self._session_id, "requestId": request_id, "outcome": outcome}
        await self._client.call("request/respond", **answered)


@asynccontextmanager
async def seated(home: Home, **settings: Any) -> AsyncIterator[Seat]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            daemon = InProcessDaemon(home, tasks)
            await daemon.start()
            client = RawClient(StreamChannel(connect_unix(daemon.endpoint.unix), FRAMINGS["lines"]()))
            try:
                await client.initialize(daemon.endpoint.token)
                created = await client.call("session/create", cwd=str(home.work.resolve()), **settings)
                await client.call("session/subscribe", sessionId=created["sessionId"], after="start")
                yield Seat(client, created["sessionId"])
            finally:
                client.close()
            await daemon.stop()


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


async def test_a_plan_is_stored_right_behind_the_outcome_of_its_call(home: Home) -> None:
    async with seated(home) as seat:
        events = await seat.prompt("plan: look; act")
    types = [event["type"] for event in events]
    at = types.index("tool_call_completed")
    assert types[at + 1] == "plan_updated"
    assert events[at + 1]["runId"] == events[at]["runId"]
    assert events[at + 1]["entries"] == [
        {"content": "look", "priority": "medium", "status": "pending"},
        {"content": "act", "priority": "medium", "status": "pending"},
    ]
    assert "request_opened" not in types


async def test_looking_around_asks_nobody_in_plan_mode(home: Home) -> None:
    (home.work / "a.txt").write_text("one\n")
    calls = "[{tool: list}, {tool: glob, input: {pattern: '*'}}, {tool: grep, input: {pattern: one}}]"
    async with seated(home, mode="plan") as seat:
        events = await seat.prompt(f"script:\n  - call: {calls}\n  - text: This is the plan.\n")
    assert len(of_type(events, "tool_call_completed")) == 3
    [request] = of_type(events, "request_opened")
    assert request["kind"] == "question"  # Which the plan ends with.


async def test_plan_mode_changes_nothing(home: Home) -> None:
    async with seated(home, mode="plan") as seat:
        events = await seat.prompt("write a.txt: hello")
    assert [event["error"]["kind"] for event in of_type(events, "tool_call_failed")] == ["denied"]
    assert list(home.work.iterdir()) == []


async def test_a_write_asks_and_an_allowed_one_is_done(home: Home) -> None:
    async with seated(home) as seat:
        events = await seat.prompt("write a.txt: hello")
        [request] = of_type(events, "request_opened")
        assert (request["title"], request["detail"]["kind"]) == ("write a.txt", "edit")
        assert request["detail"]["locations"] == [{"path": str(home.work.resolve() / "a.txt")}]
        assert not (home.work / "a.txt").exists()
        await seat.answer(request["requestId"], "allow")
        await seat.until(TERMINAL, request["seq"])
        [completed] = of_type(seat.events(), "tool_call_completed")
    assert (home.work / "a.txt").read_text() == "hello\n"
    assert completed["diff"] == [{"path": str(home.work.resolve() / "a.txt"), "newText": "hello\n"}]


async def test_edits_may_pass_by_mode_and_commands_still_ask(home: Home) -> None:
    (home.work / "a.txt").write_text("one\n")
    async with seated(home, mode="accept_edits") as seat:
        events = await seat.prompt("replace one with two in a.txt")
        assert not of_type(events, "request_opened")
        assert (home.work / "a.txt").read_text() == "two\n"
        assert len(of_type(await seat.prompt("run echo hello"), "request_opened")) == 1


async def test_a_session_remembers_between_runs_what_it_read(home: Home) -> None:
    path = home.work / "a.txt"
    path.write_text("one\n")
    async with seated(home, mode="accept_edits") as seat:
        await seat.prompt("read a.txt")
        path.write_text("one and more\n")
        events = await seat.prompt("write a.txt: mine")
        assert [event["error"]["kind"] for event in of_type(events, "tool_call_failed")] == ["stale"]
    assert path.read_text() == "one and more\n"
