"""Answering requests to people (design 7: the first valid answer counts, everybody learns of it)."""

import asyncio
import sys
import threading

import anyio
import pytest
from library_world import WAIT_S, Cuttable, client_of, daemon_in

from fakes import mcp_server
from fakes.daemons import Home, ProcessDaemon
from holdfast_client import aio
from holdfast_client.aio.foreign_code import StrayCancellation
from holdfast_protocol import events
from holdfast_protocol.content import plain_text
from holdfast_protocol.errors import InvalidParams
from holdfast_protocol.methods.extension import StdioServer

pytestmark = pytest.mark.timeout(120)

WRITE = 'script:\n  - call: {tool: write, input: {path: out.txt, content: "written"}}\n  - text: Done.\n'


def written(home: Home) -> bool:
    return (home.work / "out.txt").exists()


def allow(_ask: aio.Ask) -> str:
    return "allow"


async def test_a_callback_answers_a_permission(home: Home):
    asked = []

    async def answer(ask: aio.Ask) -> str:
        asked.append(ask)
        return "allow"

    async with daemon_in(home), client_of(home, answer=answer) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            result = await session.run(WRITE)
        assert result.ok
        assert written(home)
        ((session_id, request),) = asked
        assert (session_id, request.kind) == (session.id, "permission")
        (resolved,) = [event for event in result.events if isinstance(event, events.RequestResolved)]
        assert resolved.outcome == "allow"


async def test_a_denial_with_words_reaches_the_run(home: Home):
    def answer(_ask: aio.Ask) -> aio.Answer:
        return aio.Answer(outcome="deny", message="not there")

    async with daemon_in(home), client_of(home, answer=answer) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            result = await session.run(WRITE)
        assert not written(home)
        (resolved,) = [event for event in result.events if isinstance(event, events.RequestResolved)]
        assert (resolved.outcome, resolved.message) == ("deny", "not there")


async def test_an_answer_may_hold_for_the_session(home: Home):
    asked = []

    def answer(ask: aio.Ask) -> aio.Answer:
        asked.append(ask.request.request_id)
        return aio.Answer(outcome="allow", scope="session")

    async with daemon_in(home), client_of(home, answer=answer) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            await session.run(WRITE)
            await session.run(WRITE)
        assert len(asked) == 1


async def test_a_client_with_a_callback_counts_as_somebody_who_is_here(home: Home):
    async with daemon_in(home):
        async with client_of(home, answer=allow) as client:
            session = await client.create_session(str(home.work), unattended="deny")
            with anyio.fail_after(WAIT_S):
                assert (await session.run(WRITE)).ok
            assert written(home)
        (home.work / "out.txt").unlink()
        async with client_of(home) as client:
            session = await client.create_session(str(home.work), unattended="deny")
            with anyio.fail_after(WAIT_S):
                await session.run(WRITE)
            assert not written(home)


async def test_a_form_of_an_mcp_server_is_filled_in_by_the_callback(home: Home):
    def answer(ask: aio.Ask) -> aio.Answer:
        assert (ask.request.kind, ask.request.detail["server"]) == ("form", "test")
        assert list(ask.request.detail["schema"]["properties"]) == ["colour"]
        return aio.Answer(outcome="accept", values={"colour": "green"})

    async with daemon_in(home), client_of(home, answer={"form": answer}) as client:
        server = StdioServer(name="test", command=sys.executable, args=(mcp_server.__file__,))
        session = await client.create_session(str(home.work), mode="auto", mcp_servers=(server,))
        with anyio.fail_after(WAIT_S):
            result = await session.run(
                "script:\n  - call: {tool: mcp__test__ask, input: {}}\n  - text: Done."
            )
        (completed,) = [event for event in result.events if isinstance(event, events.ToolCallCompleted)]
        assert plain_text(completed.result) == "accept green"
        (resolved,) = [event for event in result.events if isinstance(event, events.RequestResolved)]
        assert resolved.values == {"colour": "green"}


async def test_a_form_is_filled_in_by_hand(home: Home):
    async with daemon_in(home), client_of(home) as client:
        server = StdioServer(name="test", command=sys.executable, args=(mcp_server.__file__,))
        session = await client.create_session(str(home.work), mode="auto", mcp_servers=(server,))
        with anyio.fail_after(WAIT_S):
            asks = "script:\n  - call: {tool: mcp__test__ask, input: {}}\n  - text: Done."
            async with session.stream(asks) as run:
                async for event in run:
                    if isinstance(event, events.RequestOpened):
                        answered = await session.respond(
                            event.request_id, "accept", values={"colour": "blue"}
                        )
                        assert answered.accepted
                    if isinstance(event, events.ToolCallCompleted):
                        assert plain_text(event.result) == "accept blue"
                assert (await run.result()).ok


async def test_kinds_can_be_answered_one_by_one(home: Home):
    async with daemon_in(home), client_of(home, answer={"question": allow}) as client:
        session = await client.create_session(str(home.work), unattended="deny")
        with anyio.fail_after(WAIT_S):
            await session.run(WRITE)
        assert not written(home)


async def test_a_dialog_closes_when_somebody_else_answers(home: Home):
    opened, closed = anyio.Event(), anyio.Event()

    async def answer(_ask: aio.Ask) -> str:
        opened.set()
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()
        raise AssertionError

    async with daemon_in(home), client_of(home, answer=answer) as first, client_of(home) as second:
        session = await first.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            async with session.stream(WRITE) as run:
                await opened.wait()
                other = second.session(session.id)
                ((request),) = await other.requests()
                assert (await other.respond(request.request_id, "allow")).accepted
                await closed.wait()
                assert (await run.result()).ok
            assert first._parts.attendance.dialogs == 0


async def test_of_two_clients_that_answer_one_wins_and_nothing_breaks(home: Home):
    async with (
        daemon_in(home),
        client_of(home, answer=allow) as first,
        client_of(home, answer=lambda _ask: "deny") as second,
    ):
        session = await first.create_session(str(home.work))
        await second.session(session.id).attend()
        with anyio.fail_after(WAIT_S):
            for _ in range(20):
                result = await session.run(WRITE)
                resolved = [event for event in result.events if isinstance(event, events.RequestResolved)]
                assert len(resolved) == 1


async def test_a_callback_may_leave_a_request_to_others(home: Home):
    asked = anyio.Event()

    async def answer(_ask: aio.Ask) -> None:
        asked.set()

    async with daemon_in(home), client_of(home, answer=answer) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            async with session.stream(WRITE) as run:
                await asked.wait()
                ((request),) = await session.requests()
                await session.respond(request.request_id, "allow")
                assert (await run.result()).ok


async def test_a_request_that_waited_before_is_answered_by_who_attends(home: Home):
    async with daemon_in(home):
        async with client_of(home) as client:
            session = await client.create_session(str(home.work))
            async with session.stream(WRITE) as run:
                async for event in run:
                    if isinstance(event, events.RequestOpened):
                        break
        async with client_of(home, answer=allow) as client:
            later = client.session(session.id)
            with anyio.fail_after(WAIT_S):
                await later.attend()
                waited = await later.wait(run_id=run.run_id)
            assert waited.status == "completed"


async def test_a_dialog_survives_a_lost_connection(home: Home):
    opened, decided = anyio.Event(), anyio.Event()
    asked = []

    async def answer(ask: aio.Ask) -> str:
        asked.append(ask.request.request_id)
        opened.set()
        await decided.wait()
        return "allow"

    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, answer=answer) as client:
            session = await client.create_session(str(home.work))
            with anyio.fail_after(WAIT_S):
                async with session.stream(WRITE) as run:
                    await opened.wait()
                    for _ in range(5):
                        await route.cut_and_dialled_again()
                    decided.set()
                    assert (await run.result()).ok
        assert len(asked) == 1


async def test_after_a_lost_connection_a_client_is_here_before_its_prompts_are(home: Home):
    async with daemon_in(home):
        route = Cuttable(home)
        async with aio.connect(route=route, answer=allow) as client:
            session = await client.create_session(str(home.work), unattended="fail")
            with anyio.fail_after(WAIT_S):
                for _ in range(30):
                    route.cut()
                    assert (await session.run(WRITE)).status == "completed"
        assert route.dialled == 31


async def test_an_answer_given_while_the_daemon_is_away_counts_when_it_is_back(home: Home):
    opened, decided = anyio.Event(), anyio.Event()

    async def answer(_ask: aio.Ask) -> str:
        opened.set()
        await decided.wait()
        return "allow"

    with ProcessDaemon(home) as daemon:
        await daemon.start()
        async with client_of(home, answer=answer) as client:
            session = await client.create_session(str(home.work))
            with anyio.fail_after(WAIT_S):
                async with session.stream(WRITE) as run:
                    await opened.wait()
                    await daemon.kill()
                    decided.set()
                    await daemon.start()
                    assert (await run.result()).ok
    assert written(home)


async def test_a_sync_callback_runs_in_a_thread_and_holds_nobody_up(home: Home):
    release = threading.Event()

    def answer(_ask: aio.Ask) -> str:
        release.wait(WAIT_S)
        return "allow"

    async with daemon_in(home), client_of(home, answer=answer) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            async with session.stream(WRITE) as run:
                async for event in run:
                    if isinstance(event, events.RequestOpened):
                        await client.rpc.ping()
                        release.set()
                assert (await run.result()).ok


async def run_once(home: Home, answer: aio.Answerer) -> None:
    with anyio.fail_after(WAIT_S):
        async with client_of(home, answer=answer) as client:
            session = await client.create_session(str(home.work))
            await session.run(WRITE)


async def test_an_error_of_the_callback_comes_out_of_the_client(home: Home):
    def answer(_ask: aio.Ask) -> str:
        raise KeyError("a bug of the program")

    async with daemon_in(home):
        with pytest.raises(ExceptionGroup) as caught:
            await run_once(home, answer)
    assert caught.group_contains(KeyError, match="a bug of the program")


async def test_an_answer_that_is_none_of_the_options_comes_out_of_the_client(home: Home):
    async with daemon_in(home):
        with pytest.raises(ExceptionGroup) as caught:
            await run_once(home, lambda _ask: "perhaps")
    assert caught.group_contains(InvalidParams)


async def test_a_callback_that_is_cancelled_from_within_comes_out_of_the_client(home: Home):
    async def answer(_ask: aio.Ask) -> str:
        raise asyncio.CancelledError

    async with daemon_in(home):
        with pytest.raises(ExceptionGroup) as caught:
            await run_once(home, answer)
    assert caught.group_contains(StrayCancellation)


async def test_who_may_not_answer_goes_on_without_having_answered(home: Home):
    """An observer's callback is asked, and refused: the rest of the program lives."""
    async with daemon_in(home) as daemon, client_of(home) as owner:
        session = await owner.create_session(str(home.work))
        observer = (await owner.rpc.token_create(name="wall", role="observer")).token
        address = f"unix:{daemon.endpoint.unix}"
        with anyio.fail_after(WAIT_S):
            async with aio.connect(endpoint=address, token=observer, answer=allow) as client:
                await client.session(session.id).attend()
                async with session.stream(WRITE) as run:
                    async for event in run:
                        if isinstance(event, events.RequestOpened):
                            await client.rpc.ping()
                            await session.respond(event.request_id, "deny")
                    assert (await run.result()).ok
                assert client.connected


async def test_who_leaves_a_session_is_asked_no_more_and_open_dialogs_close(home: Home):
    tell_asked, asked = anyio.create_memory_object_stream[str](8)
    closed = anyio.Event()

    async def answer(ask: aio.Ask) -> None:
        await tell_asked.send(ask.request.request_id)
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()

    async with daemon_in(home), client_of(home, answer=answer) as client, client_of(home) as other:
        session = await client.create_session(str(home.work))
        there = other.session(session.id)
        with tell_asked, asked, anyio.fail_after(WAIT_S):
            async with there.stream(WRITE) as run:
                request_id = await asked.receive()
                await session.leave()
                await closed.wait()
                await session.attend()  # Whoever comes back is asked what still waits.
                assert await asked.receive() == request_id
                await session.leave()
                await there.respond(request_id, "deny")
                await run.result()
            async with there.stream(WRITE) as run:
                async for event in run:
                    if isinstance(event, events.RequestOpened):
                        await there.respond(event.request_id, "deny")
            assert asked.statistics().current_buffer_used == 0
        await session.leave()
