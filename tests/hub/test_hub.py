"""The hub, case by case: start, order, sharing, lag, limits, lists, ends."""

import asyncio
import gc
import sys
from typing import Any

import anyio
import pytest
from hub_world import HubWorld, Live, hub_running
from journal_world import Gate, delta, notice, notice_of
from outlets import WAIT_S, FakeOutlet

from holdfast_daemon.hub.filter import Filter
from holdfast_daemon.journal.store import StoreError
from holdfast_protocol.errors import Conflict, Overloaded, RequestCancelled
from holdfast_protocol.framing import Framing
from holdfast_protocol.methods.daemon import DaemonStateParams
from holdfast_protocol.methods.session import SessionsChangedParams

NO_DELTAS = Filter(deltas=False)


async def publish_notices(live: Live, count: int, size: int = 100) -> None:
    for _ in range(count):
        await live.publish(notice_of(size))


# Starting and stopping ---------------------------------------------------------------------------------


async def test_nothing_is_sent_before_the_response_was() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        start = world.hub.subscribe(live.channel, outlet, after=0, wanted=Filter(), on_lag="catch_up")
        await live.publish(notice())
        world.hub.resume(outlet)
        assert outlet.frames == []
        follower = outlet.follow("s", 0)
        start()
        await outlet.until(lambda: follower.caught_up == [2])
        assert follower.seqs == [1, 2]
        start()
        assert follower.seqs == [1, 2]


async def test_a_subscriber_at_the_head_hears_that_it_is_and_what_comes() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1)
        assert follower.caught_up == [1]
        await live.publish(notice("a"), notice("b"))
        assert follower.seqs == [2, 3]
        assert follower.caught_up == [1]


async def test_caught_up_covers_deltas_that_were_left_out() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        await live.publish(delta("a"))
        follower = world.subscribe(live, outlet, 1, NO_DELTAS)
        assert (follower.caught_up, follower.cursor, follower.seqs) == ([2], 2, [])
        await live.publish(delta("b", offset=1))
        assert follower.cursor == 2
        await live.publish(notice())
        assert (follower.cursor, follower.seqs) == (4, [4])


async def test_a_second_subscription_replaces_the_first() -> None:
    async with hub_running(ring_bytes_max=0, page_events_max=2) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 9)
        first = world.subscribe(live, outlet, 0)
        await outlet.until(lambda: first.batches == 1)
        second = world.subscribe(live, outlet, 7)
        await outlet.until(lambda: second.caught_up == [10])
        assert second.seqs == [8, 9, 10]
        assert first.seqs == list(range(1, first.cursor + 1))
        assert world.hub.statistics().subscribers == 1


async def test_unsubscribing_gives_the_cursor_and_ends_the_events() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        world.subscribe(live, outlet, 1)
        await live.publish(notice())
        assert world.hub.unsubscribe(live.channel, outlet) == 2
        assert world.hub.unsubscribe(live.channel, outlet) is None
        frames = len(outlet.frames)
        await live.publish(notice())
        assert len(outlet.frames) == frames


async def test_a_subscription_ended_while_it_reads_gets_no_page_more() -> None:
    gate = Gate()
    async with hub_running(ring_bytes_max=0, page_events_max=2) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 5)
        real = world.store.inner.read

        def read(*args: Any, **options: Any) -> Any:
            gate()
            return real(*args, **options)

        world.store.inner.read = read
        gate.close()
        world.subscribe(live, outlet, 0)
        await gate.reached()
        world.hub.unsubscribe(live.channel, outlet)
        frames = len(outlet.frames)
        gate.open()
        await world.world.stored(live.log)
        await anyio.wait_all_tasks_blocked()
        assert len(outlet.frames) == frames


async def test_a_lost_connection_takes_its_subscriptions_along() -> None:
    async with hub_running() as world:
        lives = [await world.session(name) for name in "ab"]
        outlet, other = world.outlet(), world.outlet()
        for live in lives:
            world.subscribe(live, outlet, 1)
            world.subscribe(live, other, 1)
        world.hub.detach(outlet)
        world.hub.detach(outlet)
        frames = len(outlet.frames)
        for live in lives:
            await live.publish(notice())
        world.hub.broadcast_list_change(SessionsChangedParams(change="deleted", session_id="a"))
        assert len(outlet.frames) == frames
        assert [follower.seqs for follower in other.followers.values()] == [[2], [2]]
        assert world.hub.statistics().subscribers == 2


async def test_a_connection_that_is_gone_cannot_subscribe() -> None:
    """Its call may have been under way when it was lost; nobody would ever end the subscription."""
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        world.hub.detach(outlet)
        with pytest.raises(RequestCancelled):
            world.hub.subscribe(live.channel, outlet, after=0, wanted=Filter(), on_lag="catch_up")
        assert world.hub.statistics().subscribers == 0


async def test_an_unloaded_session_lets_go_of_its_subscribers_and_its_ring() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        world.subscribe(live, outlet, 0)
        await live.publish(notice())
        assert world.hub.statistics().ring_bytes > 0
        world.hub.close(live.channel)
        statistics = world.hub.statistics()
        assert (statistics.subscribers, statistics.ring_bytes) == (0, 0)


# Sharing -----------------------------------------------------------------------------------------------


async def test_equal_subscribers_get_the_very_same_bytes() -> None:
    async with hub_running() as world:
        live = await world.session()
        groups = {
            "lines": [world.outlet() for _ in range(3)],
            "headers": [world.outlet(framing=Framing.HEADERS) for _ in range(2)],
            "filtered": [world.outlet() for _ in range(2)],
        }
        for name, outlets in groups.items():
            for outlet in outlets:
                # Two filters made apart that say the same.
                wanted = Filter(types=frozenset(["notice"])) if name == "filtered" else Filter()
                world.subscribe(live, outlet, 1, wanted)
        await live.publish(notice("a"), delta("b"))
        frames = {name: [outlet.frames[-1] for outlet in outlets] for name, outlets in groups.items()}
        for same in frames.values():
            assert all(frame is same[0] for frame in same)
        assert len({same[0] for same in frames.values()}) == 3


async def test_a_subscriber_elsewhere_gets_bytes_of_its_own() -> None:
    async with hub_running() as world:
        live, near, far = await world.session(), world.outlet(), world.outlet()
        world.subscribe(live, near, 1)
        world.subscribe(live, far, 1)
        far.paused = True
        await live.publish(notice("a"))
        far.paused = False
        await live.publish(notice("b"))
        assert near.followers["s"].batches == 2
        assert far.followers["s"].batches == 1
        assert near.followers["s"].seqs == far.followers["s"].seqs == [2, 3]


async def test_a_quiet_session_keeps_no_frames_however_many_ask() -> None:
    """Every place a client can begin at and every filter would be a frame of its own."""
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 50)
        for cursor in range(51):
            world.subscribe(live, outlet, cursor)
            world.subscribe(live, outlet, cursor, NO_DELTAS)
        gc.collect()
        kept = [number for number in range(len(outlet.frames)) if sys.getrefcount(outlet.frames[number]) > 2]
        assert kept == []


# Lag ---------------------------------------------------------------------------------------------------


async def test_a_paused_client_costs_a_cursor_and_no_more() -> None:
    async with hub_running(ring_bytes_max=2000) as world:
        live, slow, quick = await world.session(), world.outlet(), world.outlet()
        behind = world.subscribe(live, slow, 1)
        ahead = world.subscribe(live, quick, 1)
        slow.paused = True
        frames = len(slow.frames)
        await publish_notices(live, 200)
        assert len(slow.frames) == frames
        assert world.hub.statistics().ring_bytes <= 2000
        assert world.hub.statistics().lagging == 1
        assert ahead.seqs == list(range(2, 202))
        world.read(slow)
        await slow.until(lambda: behind.caught_up == [1, 201])
        assert behind.seqs == ahead.seqs
        assert len(behind.lagged) == 1
        assert behind.lagged[0]["head"] == 201
        statistics = world.hub.statistics()
        assert (statistics.lagged, statistics.lagging) == (1, 0)


async def test_a_small_lag_is_made_up_from_memory() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1)
        outlet.paused = True
        await publish_notices(live, 20)
        world.store.inner.read = None  # Would fail.
        world.read(outlet)
        assert follower.seqs == list(range(2, 22))
        assert follower.lagged == []


@pytest.mark.parametrize("cursor", range(12))
async def test_a_cursor_anywhere_in_what_the_ring_has_dropped_misses_nothing(cursor: int) -> None:
    async with hub_running(ring_bytes_max=500, page_events_max=3) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 10)
        assert 1 < live.channel.ring.first < 11
        follower = world.subscribe(live, outlet, cursor)
        await outlet.until(lambda: follower.caught_up == [11])
        assert follower.seqs == list(range(cursor + 1, 12))


async def test_events_published_while_a_page_is_read_are_not_missed() -> None:
    gate = Gate()
    async with hub_running(ring_bytes_max=300, page_events_max=4) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 10)
        real = world.store.inner.read

        def read(*args: Any, **options: Any) -> Any:
            page = real(*args, **options)
            gate()
            return page

        world.store.inner.read = read
        gate.close()
        follower = world.subscribe(live, outlet, 0)
        await gate.reached()
        await publish_notices(live, 10)
        gate.open()
        await outlet.until(lambda: bool(follower.caught_up))
        assert follower.seqs == list(range(1, 22))


async def test_a_client_that_pauses_while_it_catches_up_goes_on_where_it_was() -> None:
    async with hub_running(ring_bytes_max=0, page_events_max=2) as world:
        live = await world.session()
        await publish_notices(live, 20)
        outlet = world.outlet(high_water=250)
        follower = world.subscribe(live, outlet, 0)
        await world.drain(live)
        assert follower.seqs == list(range(1, 22))
        assert follower.batches > 5


async def test_a_store_that_cannot_be_read_for_a_moment_loses_nothing() -> None:
    async with hub_running(ring_bytes_max=0) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 5)
        real, refused = world.store.inner.read, []

        def read(*args: Any, **options: Any) -> Any:
            if not refused:
                refused.append(True)
                raise StoreError("io", "refused by the test")
            return real(*args, **options)

        world.store.inner.read = read
        follower = world.subscribe(live, outlet, 0)
        await outlet.until(lambda: follower.caught_up == [6])
        assert refused
        assert follower.seqs == [1, 2, 3, 4, 5, 6]


# Skip and block ----------------------------------------------------------------------------------------


async def test_a_skipping_subscriber_jumps_to_the_head_and_is_told_what_it_misses() -> None:
    async with hub_running(ring_bytes_max=500) as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1, on_lag="skip")
        outlet.paused = True
        await publish_notices(live, 50)
        world.read(outlet)
        assert follower.gaps == [(2, 51)]
        assert follower.seqs == []
        await live.publish(notice("live again"))
        assert follower.seqs == [52]
        assert outlet.of("session/gap")[0]["reason"] == "skipped"
        assert follower.lagged == []


async def test_a_skipping_subscriber_that_asks_for_the_past_gets_it() -> None:
    async with hub_running(ring_bytes_max=0) as world:
        live, outlet = await world.session(), world.outlet()
        await publish_notices(live, 10)
        follower = world.subscribe(live, outlet, 0, on_lag="skip")
        await outlet.until(lambda: follower.caught_up == [11])
        assert (follower.seqs, follower.gaps) == (list(range(1, 12)), [])


async def blocked(world: HubWorld, live: Live) -> anyio.Event:
    """Tell when an emitter of a session can go on."""
    done = anyio.Event()

    async def emit() -> None:
        await world.journal.emit(live.log, notice("emitted"))
        done.set()

    assert world.hub._tasks is not None
    world.hub._tasks.start_soon(emit)
    await anyio.wait_all_tasks_blocked()
    return done


async def test_a_blocking_subscriber_holds_the_producer_until_it_reads() -> None:
    async with hub_running(block_timeout_s=3600.0) as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1, on_lag="block")
        outlet.paused = True
        await live.publish(notice("in its buffer"))
        emitted = await blocked(world, live)
        assert not emitted.is_set()
        world.read(outlet)
        with anyio.fail_after(WAIT_S):
            await emitted.wait()
        await outlet.until(lambda: follower.seqs == [2, 3])


async def test_a_blocking_subscriber_holds_its_own_session_only() -> None:
    async with hub_running(block_timeout_s=3600.0) as world:
        live, other, outlet = await world.session("a"), await world.session("b"), world.outlet()
        world.subscribe(live, outlet, 1, on_lag="block")
        outlet.paused = True
        await live.publish(notice())
        assert (await blocked(world, other)).is_set()
        world.hub.detach(outlet)


async def test_a_blocking_subscriber_is_demoted_in_time_and_loses_nothing() -> None:
    async with hub_running(block_timeout_s=0.05, ring_bytes_max=300) as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1, on_lag="block")
        outlet.paused = True
        await live.publish(notice())
        emitted = await blocked(world, live)
        with anyio.fail_after(WAIT_S):
            await emitted.wait()
        assert live.channel.blocking is None
        await publish_notices(live, 20)
        world.read(outlet)
        await outlet.until(lambda: follower.cursor == live.log.head)
        assert follower.seqs == list(range(2, live.log.head + 1))
        world.subscribe(live, world.outlet(), 1, on_lag="block")


async def test_each_hold_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that read in time and stalls again is not demoted by the clock of the first stall."""
    timers: list[Any] = []
    async with hub_running(block_timeout_s=1234.0) as world:
        loop = asyncio.get_running_loop()
        real = loop.call_later

        def call_later(delay: float, callback: Any, *args: Any) -> Any:
            handle = real(delay, callback, *args)
            if delay == 1234.0:
                timers.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        live, outlet = await world.session(), world.outlet()
        world.subscribe(live, outlet, 1, on_lag="block")
        outlet.paused = True
        for _ in range(5):
            await live.publish(notice())
        world.read(outlet)
        outlet.paused = True
        await live.publish(notice())
        assert len(timers) == 2
        assert [timer.cancelled() for timer in timers] == [True, False]
        assert live.channel.blocking is not None
        world.hub.detach(outlet)
        assert timers[1].cancelled()


async def test_one_subscriber_may_block_a_session() -> None:
    async with hub_running() as world:
        live, outlet, other = await world.session(), world.outlet(), world.outlet()
        world.subscribe(live, outlet, 1, on_lag="block")
        with pytest.raises(Conflict):
            world.hub.subscribe(live.channel, other, after=1, wanted=Filter(), on_lag="block")
        world.subscribe(live, outlet, 1, on_lag="block")
        world.subscribe(live, outlet, 1)
        world.subscribe(live, other, 1, on_lag="block")
        world.hub.unsubscribe(live.channel, other)
        world.subscribe(live, outlet, 1, on_lag="block")
        assert world.hub.statistics().subscribers == 1


@pytest.mark.parametrize("how", ["unsubscribe", "detach", "close", "replace"])
async def test_whoever_blocks_and_leaves_lets_the_producer_go_on(how: str) -> None:
    async with hub_running(block_timeout_s=3600.0) as world:
        live, outlet = await world.session(), world.outlet()
        world.subscribe(live, outlet, 1, on_lag="block")
        outlet.paused = True
        await live.publish(notice())
        emitted = await blocked(world, live)
        assert not emitted.is_set()
        if how == "unsubscribe":
            world.hub.unsubscribe(live.channel, outlet)
        elif how == "detach":
            world.hub.detach(outlet)
        elif how == "close":
            live.kept.owner.on_committed = lambda _committed: None
            world.hub.close(live.channel)
        else:
            world.subscribe(live, outlet, 1)
        with anyio.fail_after(WAIT_S):
            await emitted.wait()


# Limits ------------------------------------------------------------------------------------------------


async def test_a_session_has_so_many_subscribers_and_no_more() -> None:
    async with hub_running(subscribers_per_session_max=3) as world:
        live, other = await world.session("a"), await world.session("b")
        outlets = [world.outlet() for _ in range(4)]
        for outlet in outlets[:3]:
            world.subscribe(live, outlet, 0)
        with pytest.raises(Overloaded) as caught:
            world.hub.subscribe(live.channel, outlets[3], after=0, wanted=Filter(), on_lag="catch_up")
        assert (caught.value.data.limit, caught.value.data.limit_value) == ("subscribers_per_session_max", 3)
        world.subscribe(live, outlets[0], 1)
        world.subscribe(other, outlets[3], 0)
        world.hub.unsubscribe(live.channel, outlets[1])
        world.subscribe(live, outlets[3], 0)


async def test_the_daemon_has_so_many_subscribers_and_no_more() -> None:
    async with hub_running(subscribers_max=3) as world:
        lives, outlet = [await world.session(name) for name in "abcd"], world.outlet()
        for live in lives[:3]:
            world.subscribe(live, outlet, 0)
        with pytest.raises(Overloaded) as caught:
            world.hub.subscribe(lives[3].channel, outlet, after=0, wanted=Filter(), on_lag="catch_up")
        assert (caught.value.data.limit, caught.value.data.limit_value) == ("subscribers_max", 3)
        world.hub.close(lives[0].channel)
        world.subscribe(lives[3], outlet, 0)


async def test_rings_keep_to_their_limit_together_the_longest_silent_give_first() -> None:
    async with hub_running(ring_bytes_max=2000, rings_bytes_max=5000) as world:
        lives = [await world.session(name) for name in "abcd"]
        for live in lives:
            await publish_notices(live, 30)
            assert world.hub.statistics().ring_bytes <= 5000
        assert [live.channel.ring.bytes > 0 for live in lives] == [False, False, True, True]
        outlet = world.outlet()
        follower = world.subscribe(lives[0], outlet, 0)
        await outlet.until(lambda: follower.caught_up == [31])
        assert follower.seqs == list(range(1, 32))


async def test_batches_keep_to_their_limit() -> None:
    async with hub_running(batch_bytes_max=1000) as world:
        live, outlet = await world.session(), world.outlet()
        follower = world.subscribe(live, outlet, 1)
        await live.publish(*(notice_of(450) for _ in range(10)))
        assert follower.batches == 5
        assert follower.seqs == list(range(2, 12))
        large = world.subscribe(live, outlet, 11)
        await live.publish(notice_of(5000))
        assert (large.batches, large.seqs) == (1, [12])


# Lists, states, statistics -----------------------------------------------------------------------------


async def test_a_change_of_the_list_reaches_everybody_and_slow_ones_once() -> None:
    async with hub_running() as world:
        quick, slow = world.outlet(), world.outlet(framing=Framing.HEADERS)
        slow.paused = True
        for name in "abc":
            world.hub.broadcast_list_change(SessionsChangedParams(change="deleted", session_id=name))
        assert [told["sessionId"] for told in quick.of("sessions/changed")] == ["a", "b", "c"]
        assert slow.frames == []
        world.read(slow)
        world.read(slow)
        assert slow.of("sessions/changed") == [{"change": "many"}]
        world.hub.broadcast_list_change(SessionsChangedParams(change="deleted", session_id="d"))
        assert [told.get("sessionId") for told in slow.of("sessions/changed")] == [None, "d"]


async def test_a_rare_notification_reaches_everybody_even_who_reads_slowly() -> None:
    async with hub_running() as world:
        quick, slow = world.outlet(), world.outlet()
        slow.paused = True
        world.hub.broadcast("daemon/state", DaemonStateParams(state="draining"))
        assert quick.of("daemon/state") == slow.of("daemon/state") == [{"state": "draining"}]
        assert quick.frames[0] is slow.frames[0]


async def test_subscribers_are_told_that_a_session_was_halted() -> None:
    async with hub_running() as world:
        live, other = await world.session("a"), await world.session("b")
        outlet, elsewhere = world.outlet(), world.outlet()
        follower = world.subscribe(live, outlet, 0)
        world.subscribe(other, elsewhere, 0)
        world.hub.halted(live.channel, "full")
        assert follower.halted == ["full"]
        assert elsewhere.of("session/halted") == []


async def test_statistics_say_what_was_published_and_delivered() -> None:
    async with hub_running() as world:
        live, outlet = await world.session(), world.outlet()
        other = world.outlet()
        world.subscribe(live, outlet, 1)
        world.subscribe(live, other, 1, NO_DELTAS)
        await live.publish(notice(), delta("a"), notice())
        statistics = world.hub.statistics()
    assert (statistics.published, statistics.delivered, statistics.batches) == (3, 5, 2)
    assert statistics.by_type == {"notice": 2, "token_delta": 1}
    assert (statistics.subscribers, statistics.lagging, statistics.lagged) == (2, 0, 0)


async def test_a_client_that_never_reads_changes_nothing_for_the_others() -> None:
    async def tell(*, with_stalled: bool) -> list[bytes]:
        async with hub_running(ring_bytes_max=1000) as world:
            live, outlet = await world.session(), world.outlet()
            if with_stalled:
                for number in range(3):
                    stalled: FakeOutlet = world.outlet()
                    world.subscribe(live, stalled, 0, on_lag=("catch_up", "skip", "catch_up")[number])
                    stalled.paused = True
            world.subscribe(live, outlet, 1)
            await publish_notices(live, 40)
            return [frame.split(b'"events":')[-1].replace(b" ", b"") for frame in outlet.frames[1:]]

    def without_times(frames: list[bytes]) -> list[bytes]:
        return [b"".join(frame.split(b'"at":')[0::2]) for frame in frames]

    assert without_times(await tell(with_stalled=True)) == without_times(await tell(with_stalled=False))
