"""Questions of MCP servers: few at once, none too large, and the rest is declined without asking."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from core_world import Client, Core, core_running

from holdfast_daemon.extensions.mcp_values import Elicitation, ElicitationAnswer
from holdfast_daemon.sessions.elicitations import BYTES_MAX, OPEN_MAX
from holdfast_protocol import events

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"colour": {"type": "string"}}}
QUESTION = Elicitation(server="told", message="Which?", schema=SCHEMA)
DECLINED = ElicitationAnswer(action="decline")


@asynccontextmanager
async def session() -> AsyncIterator[tuple[Core, Client, Any]]:
    """Run a core with a session; give what a server asks it by."""
    async with core_running() as core:
        client = core.client()
        await client.create(unattended="wait")
        with anyio.fail_after(10):
            yield core, client, core.live().extensions._elicit


async def open_requests(core: Core, count: int) -> list[str]:
    """Wait for so many; give their ids."""
    while len(core.live().view.requests) != count:
        await anyio.lowlevel.checkpoint()
    return list(core.live().view.requests)


def notices(log: list[Any]) -> list[str]:
    return [event.message for event in log if isinstance(event, events.Notice)]


async def test_more_questions_at_once_than_a_session_takes_are_declined_with_one_notice() -> None:
    answers: list[ElicitationAnswer] = []
    async with session() as (core, client, elicit), anyio.create_task_group() as group:

        async def ask() -> None:
            answers.append(await elicit(QUESTION))

        for _ in range(OPEN_MAX):
            group.start_soon(ask)
        asked = await open_requests(core, OPEN_MAX)
        for _ in range(100):
            assert await elicit(QUESTION) == DECLINED
        assert len(core.live().view.requests) == OPEN_MAX
        assert notices(await core.log()) == [
            "The MCP server told asks for too much, and is declined: 4 questions are open."
        ]
        values = {"colour": "red"}
        await client.call(
            "request/respond", sessionId="s", requestId=asked[0], outcome="accept", values=values
        )
        await open_requests(core, OPEN_MAX - 1)
        while not answers:
            await anyio.lowlevel.checkpoint()
        assert answers == [ElicitationAnswer(action="accept", content=values)]
        group.start_soon(ask)  # There is room for one again.
        await open_requests(core, OPEN_MAX)
        group.cancel_scope.cancel()


async def test_questions_taken_back_make_room() -> None:
    async with session() as (core, _client, elicit):
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(OPEN_MAX):
                    group.start_soon(elicit, QUESTION)
                await open_requests(core, OPEN_MAX)
                group.cancel_scope.cancel()
            await open_requests(core, 0)
        assert notices(await core.log()) == []


@pytest.mark.parametrize(
    "question",
    [
        Elicitation(server="told", message="ä" * (BYTES_MAX // 2), schema=SCHEMA),
        Elicitation(server="told", message="Which?", schema={**SCHEMA, "title": "x" * BYTES_MAX}),
        Elicitation(server="told", message="Go there.", url=f"https://example.org/{'x' * BYTES_MAX}"),
    ],
    ids=["message", "schema", "address"],
)
async def test_a_question_that_is_too_large_is_declined_with_a_notice(question: Elicitation) -> None:
    async with session() as (core, _client, elicit):
        assert await elicit(question) == DECLINED
        assert await elicit(question) == DECLINED
        log = await core.log()
    assert notices(log) == [
        "The MCP server told asks for too much, and is declined: a question is over 65536 bytes."
    ]
    assert not any(isinstance(event, events.RequestOpened) for event in log)


async def test_a_question_as_large_as_one_may_be_is_asked() -> None:
    room = BYTES_MAX - len("null") - len("https://x")
    question = Elicitation(server="told", message="x" * room, url="https://x")
    async with session() as (core, _client, elicit), anyio.create_task_group() as group:
        group.start_soon(elicit, question)
        await open_requests(core, 1)
        group.cancel_scope.cancel()
