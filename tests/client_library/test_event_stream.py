"""Iterating events (design 4, subscribing; failures.md 2: seq on every event, never silence)."""

import gc

import anyio
import pytest
from library_world import HANG, WAIT_S, client_of, daemon_in, load

from fakes.daemons import Home
from holdfast_client import aio
from holdfast_client.errors import LogChanged
from holdfast_protocol import events
from holdfast_protocol.errors import CursorInvalid, NotFound

pytestmark = pytest.mark.timeout(120)


async def seqs_up_to_the_end(stream: aio.EventStream) -> list[int]:
    """Take events up to the end of a run."""
    seqs = []
    with anyio.fail_after(WAIT_S):
        async for event in stream:
            seqs.append(event.seq)
            if isinstance(event, events.Terminal):
                break
    return seqs


async def test_all_events_come_in_order_and_the_stream_goes_live(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.run("say one")
        stream = session.events()
        first = await seqs_up_to_the_end(stream)
        await session.prompt("say two")
        second = await seqs_up_to_the_end(stream)
        assert first + second == list(range(1, second[-1] + 1))
        assert stream.cursor == second[-1]
        assert stream.epoch == session.epoch


async def test_a_stream_begins_after_the_cursor_it_is_given(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        result = await session.run("say one")
        last = result.events[-1].seq
        assert await seqs_up_to_the_end(session.events(after=last - 3)) == [last - 2, last - 1, last]


async def test_from_the_head_only_what_is_new_comes(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        result = await session.run("say one")
        async with session.events(after="head") as stream:
            await session.prompt("say two")
            seqs = await seqs_up_to_the_end(stream)
        assert seqs[0] == result.events[-1].seq + 1


async def test_events_are_typed(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work), title="A title")
        with anyio.fail_after(WAIT_S):
            event = await anext(session.events())
        assert isinstance(event, events.SessionStarted)
        assert event.title == "A title"


async def test_only_the_wanted_types_come_from_the_log_and_live(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.run("count 20")
        stream = session.events(types=("run_started", "run_completed"))
        got = []
        with anyio.fail_after(WAIT_S):
            got += [await anext(stream), await anext(stream)]
            await session.prompt("count 20")
            got += [await anext(stream), await anext(stream)]
        assert [events.type_of(event) for event in got] == ["run_started", "run_completed"] * 2


async def test_without_deltas_the_whole_blocks_still_come(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.prompt("count 50")
        got = []
        with anyio.fail_after(WAIT_S):
            async for event in session.events(deltas=False):
                got.append(event)
                if isinstance(event, events.RunCompleted):
                    break
        assert not [event for event in got if isinstance(event, events.TokenDelta)]
        texts = [event.text for event in got if isinstance(event, events.ContentBlockEnd)]
        assert texts[-1].split() == [str(number) for number in range(1, 51)]


async def test_several_streams_of_one_session_each_get_all(home: Home):
    async with daemon_in(home), client_of(home) as client, anyio.create_task_group() as tasks:
        session = await client.create_session(str(home.work))
        got: dict[int, list[int]] = {}

        async def read(number: int, after: int) -> None:
            got[number] = await seqs_up_to_the_end(session.events(after=after))

        await session.prompt(load(2000))
        for number in range(5):
            tasks.start_soon(read, number, min(number, 2))
    assert all(seqs == list(range(min(number, 2) + 1, seqs[-1] + 1)) for number, seqs in got.items())
    assert len({seqs[-1] for seqs in got.values()}) == 1


async def test_one_subscription_serves_all_streams_and_ends_with_the_last(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))

        async def subscribers() -> int:
            return (await client.status()).hub.subscribers

        streams = [session.events(after="head") for _ in range(3)]
        for stream in streams:
            await stream.fill()
        assert await subscribers() == 1
        for stream in streams:
            stream.close()
        assert await subscribers() == 0


async def test_a_stream_that_was_let_go_of_ends_its_subscription_by_itself(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            async for event in session.events():
                assert event.seq == 1
                break
            gc.collect()
            await session.update(title="something happens")
            while (await client.status()).hub.subscribers:
                await anyio.lowlevel.checkpoint()


async def test_a_reader_that_is_too_slow_reads_the_log_and_loses_nothing(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        stream = aio.EventStream(
            aio.event_stream.Follow(session.id, 0, buffer_bytes_max=10_000), client.rpc, client._follower
        )
        with anyio.fail_after(WAIT_S):
            first = [await anext(stream)]
            assert stream.is_live
            run = await session.prompt(load(20_000, 1_000_000))
            await session.wait(run_id=run.run_id)  # It takes nothing meanwhile.
            assert not stream.is_live
            held = stream._tail.buffered_bytes
            seqs = [first[0].seq, *await seqs_up_to_the_end(stream)]
        assert stream.times_behind >= 1
        assert held < 10_000 + 2 * 256 * 1024 * 3
        assert seqs == list(range(1, seqs[-1] + 1))
        assert len(seqs) > 20_000


async def test_a_reader_may_call_while_events_wait_for_it(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.prompt(load(3000, 100_000))
        seqs = []
        with anyio.fail_after(WAIT_S):
            async for event in session.events():
                seqs.append(event.seq)
                if event.seq % 100 == 0:
                    await client.rpc.ping()
                if isinstance(event, events.Terminal):
                    break
        assert seqs == list(range(1, seqs[-1] + 1))


async def test_the_stream_of_a_deleted_session_ends_with_its_last_event(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        stream = session.events()
        with anyio.fail_after(WAIT_S):
            await anext(stream)
            assert stream.is_live
            await session.delete()
            rest = [event async for event in stream]
        assert isinstance(rest[-1], events.SessionEnded)
        assert [event async for event in stream] == []


async def test_a_session_that_does_not_exist_is_told(home: Home):
    async with daemon_in(home), client_of(home) as client:
        with pytest.raises(NotFound):
            await anext(client.session("nobody").events())


async def test_a_cursor_beyond_the_head_is_told(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with pytest.raises(CursorInvalid):
            await anext(session.events(after=99))


@pytest.mark.parametrize("after", [0, 1, 99])
async def test_a_cursor_of_another_log_is_told_as_such(home: Home, after: int):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        with pytest.raises(LogChanged) as caught:
            await anext(session.events(after=after, epoch="another"))
        assert (caught.value.expected, caught.value.found) == ("another", session.epoch)


async def test_cancelling_a_wait_for_an_event_loses_none(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.prompt(HANG)
        stream, seqs = session.events(), []
        for _ in range(200):
            with anyio.move_on_after(0.001):
                seqs.append((await anext(stream)).seq)
        await session.cancel()
        seqs += await seqs_up_to_the_end(stream)
        assert seqs == list(range(1, seqs[-1] + 1))


async def test_pages_of_the_log_can_be_read_as_events(home: Home):
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        await session.run("say hello")
        page = await session.read(after=1, limit=3)
        assert [event.seq for event in page] == [2, 3, 4]
        assert isinstance((await session.read(types=("run_completed",)))[0], events.RunCompleted)


async def test_a_batch_of_very_many_events_is_read(home: Home):
    """More members than a stranger's message may have (`members_max`)."""
    async with daemon_in(home), client_of(home) as client:
        session = await client.create_session(str(home.work))
        stream = session.events()
        with anyio.fail_after(WAIT_S):
            await anext(stream)
            assert stream.is_live
            run = await session.prompt(load(10_000, 1_000_000))
            seqs = [1, *await seqs_up_to_the_end(stream)]
        assert run.run_id
        assert seqs == list(range(1, seqs[-1] + 1))
        assert client.statistics().connections == 1
