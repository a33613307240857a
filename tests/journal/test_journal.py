"""The journal: emit and commit, group commit, limits, sessions in turn, memory it holds."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from journal_world import (
    WAIT_S,
    Gate,
    TappedStore,
    World,
    check_log,
    delta,
    limits,
    notice,
    notice_of,
    open_sqlite,
    output,
    running,
)
from memory_store import MemoryStore

from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.pending import Group
from holdfast_daemon.journal.store import InsertKey
from holdfast_protocol import events
from holdfast_protocol.errors import CursorInvalid, StorageUnavailable, TooLarge

KIB = 1024


@pytest.fixture
def store() -> TappedStore:
    return TappedStore(MemoryStore())


def gated(store: TappedStore) -> Gate:
    """Give a gate, closed, that holds each transaction before it is stored."""
    gate = Gate()
    gate.close()
    store.before = gate
    return gate


async def is_waiting(work: Callable[[], Any], tasks: anyio.abc.TaskGroup) -> anyio.Event:
    """Start something that has to wait; give the event that says it is done."""
    done = anyio.Event()

    async def run() -> None:
        await work()
        done.set()

    tasks.start_soon(run)
    await anyio.wait_all_tasks_blocked()
    assert not done.is_set()
    return done


# Emit and commit ---------------------------------------------------------------------------------------


async def test_emit_returns_before_the_disk_and_commit_after_it(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world, anyio.create_task_group() as tasks:
        kept = await world.session()
        with anyio.fail_after(WAIT_S):
            await world.journal.emit(kept.log, notice("emitted"))
        committed = await is_waiting(lambda: world.journal.commit(kept.log, notice("committed")), tasks)
        assert kept.log.head == 1
        gate.open()
        with anyio.fail_after(WAIT_S):
            await committed.wait()
        assert kept.owner.texts == ["emitted", "committed"]


async def test_commit_gives_the_place_of_its_last_event(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        assert await world.journal.commit(kept.log, notice("a"), notice("b")) == 3
        assert await world.journal.commit(kept.log, notice("c")) == 4
        assert [row.seq for row in await world.stored(kept.log)] == [1, 2, 3, 4]


async def test_a_commit_of_rows_alone_gives_the_head(store: TappedStore) -> None:
    def rows(seq: int) -> list[InsertKey]:
        return [InsertKey(None, "c", "m", f"k{seq}", b"d", b"r", 1)]

    async with running(store) as world:
        kept = await world.session()
        assert await world.journal.commit(kept.log, rows=rows) == 1
        assert kept.owner.batches == []
        found = await world.journal.query(store.find_key, kept.log.key, "c", "m", "k1")
    assert found is not None


async def test_an_event_is_stored_when_its_owner_hears_of_it(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        durable: list[int] = []

        def look(committed: list[Any]) -> None:
            rows = store.inner.read(kept.log.key, 0, 99, limit=99, bytes_max=9**9).rows
            durable.append(rows[-1].seq)
            assert committed.rows == rows[-len(committed.rows) :]
            assert kept.log.head == rows[-1].seq

        kept.owner.on_committed = look
        for number in range(5):
            await world.journal.commit(kept.log, notice(str(number)))
        assert durable == [2, 3, 4, 5, 6]


async def test_what_is_emitted_without_waiting_keeps_its_order(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        await world.journal.emit(kept.log, notice("1"))
        world.journal.emit_nowait(kept.log, notice("2"), notice("3"))
        await world.journal.commit(kept.log, notice("4"))
        assert kept.owner.texts == ["1", "2", "3", "4"]


async def test_a_commit_whose_caller_gave_up_is_stored_all_the_same(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world:
        kept = await world.session()
        async with anyio.create_task_group() as tasks:
            await is_waiting(lambda: world.journal.commit(kept.log, notice("kept")), tasks)
            tasks.cancel_scope.cancel()
        gate.open()
        await kept.owner.until(lambda: kept.owner.texts == ["kept"])
        check_log(await world.stored(kept.log), 2)


async def test_the_store_is_used_on_the_journals_own_threads_only(store: TappedStore) -> None:
    threads: set[str] = set()
    store.before = lambda _appends: threads.add(threading.current_thread().name)
    async with running(store) as world:
        kept = await world.session()
        await world.journal.commit(kept.log, notice())
        readers = {await world.journal.query(lambda: threading.current_thread().name) for _ in range(3)}
    assert threads == {"journal-writer"}
    assert readers == {"journal-reader"}


async def test_the_clock_labels_events_and_orders_nothing(store: TappedStore) -> None:
    times = iter([50.0, 10.0, 2e9, 0.0])
    journal = Journal(store, limits(key_lifetime_s=0), clock=lambda: next(times, 7.0))
    async with journal.running():
        kept = await World(journal).session()
        for number in range(4):
            await journal.commit(kept.log, notice(str(number)))
        rows = await World(journal).stored(kept.log)
    check_log(rows, 5)
    assert kept.owner.texts == ["0", "1", "2", "3"]
    assert len({row.at for row in rows}) > 2


# Group commit and its limits ---------------------------------------------------------------------------


async def test_what_waits_during_a_transaction_goes_together_into_the_next(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world:
        first, second = await world.session("a"), await world.session("b")
        await world.journal.emit(first.log, notice("alone"))
        await gate.reached()
        for number in range(20):
            await world.journal.emit(first.log, notice(str(number)))
            await world.journal.emit(second.log, notice(str(number)))
        gate.open()
        await world.journal.commit(second.log, notice("last"))
        await world.journal.flushed(first.log)
    assert first.owner.batches == [1, 20]
    assert second.owner.batches in ([21], [20, 1])
    assert len(store.appended) <= 3


async def test_deltas_that_wait_during_a_transaction_are_joined(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world:
        kept = await world.session()
        await world.journal.emit(kept.log, delta("a"))
        await gate.reached()
        for offset, letter in enumerate("bcd", 1):
            await world.journal.emit(kept.log, delta(letter, offset=offset))
        await world.journal.emit(kept.log, output("x"))
        await world.journal.emit(kept.log, delta("e", offset=4))
        gate.open()
        await world.journal.flushed(kept.log)
        assert kept.owner.texts == ["a", "bcd", "x", "e"]
        assert world.journal.statistics().merged == 2


@pytest.mark.parametrize(("count", "batches"), [(1024, [1, 1024]), (1025, [1, 1024, 1])])
async def test_a_transaction_holds_so_many_events_and_no_more(
    store: TappedStore, count: int, batches: list[int]
) -> None:
    gate = gated(store)
    async with running(store) as world:
        kept = await world.session()
        await world.journal.emit(kept.log, notice())
        await gate.reached()
        for _ in range(count):
            world.journal.emit_nowait(kept.log, notice())
        gate.open()
        await world.journal.flushed(kept.log)
    assert kept.owner.batches == batches


@pytest.mark.parametrize(("over", "batches"), [(0, [1, 4]), (1, [1, 3, 1])])
async def test_a_transaction_holds_so_many_bytes_and_no_more(
    store: TappedStore, over: int, batches: list[int]
) -> None:
    gate = gated(store)
    event = notice_of(1000)
    room = 4 * Group((event,)).bytes - over
    async with running(store, limits(transaction_bytes_max=room)) as world:
        kept = await world.session()
        await world.journal.emit(kept.log, notice())
        await gate.reached()
        for _ in range(4):
            world.journal.emit_nowait(kept.log, event)
        gate.open()
        await world.journal.flushed(kept.log)
    assert kept.owner.batches == batches


async def test_large_events_of_several_sessions_do_not_fill_a_transaction_beyond_its_limit(
    store: TappedStore,
) -> None:
    gate = gated(store)
    async with running(store) as world:
        sessions = [await world.session(str(number)) for number in range(5)]
        await world.journal.emit(sessions[0].log, notice())
        await gate.reached()
        for kept in sessions:
            await world.journal.emit(kept.log, notice_of(600 * KIB))
            await world.journal.emit(kept.log, notice_of(10))
        gate.open()
        for kept in sessions:
            await world.journal.flushed(kept.log)
            assert len(kept.owner.texts) >= 1
            check_log(await world.stored(kept.log), kept.log.head)
    sizes = [sum(len(row.body) for append in one for row in append.rows) for one in store.appended]
    assert max(sizes) <= limits().transaction_bytes_max
    assert sum(sizes) > 5 * 600 * KIB


async def test_a_group_is_one_transaction_even_over_the_limit(store: TappedStore) -> None:
    async with running(store, limits(transaction_events_max=2, transaction_bytes_max=100)) as world:
        kept = await world.session()
        await world.journal.commit(kept.log, *(notice(str(number)) for number in range(5)))
        assert kept.owner.batches == [5]


async def test_a_flooding_session_does_not_starve_another(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world:
        flood, quiet = await world.session("flood"), await world.session("quiet")
        await world.journal.emit(flood.log, notice())
        await gate.reached()
        for _ in range(6000):
            world.journal.emit_nowait(flood.log, notice())
        await world.journal.emit(quiet.log, notice("heard"))
        heads: list[int] = []
        quiet.owner.on_committed = lambda _committed: heads.append(flood.log.head)
        gate.open()
        await quiet.owner.until(lambda: quiet.owner.texts == ["heard"])
        await world.journal.flushed(flood.log)
    assert heads[0] <= 2 + 1024
    assert flood.log.head == 6002


async def test_sessions_that_found_no_room_come_first_the_next_time(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store, limits(transaction_events_max=3)) as world:
        sessions = [await world.session(str(number)) for number in range(7)]
        await world.journal.emit(sessions[0].log, notice())
        await gate.reached()
        for kept in sessions:
            for _ in range(4):
                world.journal.emit_nowait(kept.log, notice())
        gate.open()
        for kept in sessions:
            await world.journal.flushed(kept.log)
    order = [append.session for one in store.appended[1:] for append in one]
    keys = [kept.log.key for kept in sessions]
    assert sorted(order[:7]) == sorted(keys)
    assert sorted(order[7:14]) == sorted(keys)


# Memory ------------------------------------------------------------------------------------------------


async def test_emit_waits_for_the_disk_once_so_much_is_uncommitted(store: TappedStore) -> None:
    gate = gated(store)
    room = limits().uncommitted_bytes_max
    async with running(store) as world, anyio.create_task_group() as tasks:
        kept, other = await world.session("a"), await world.session("b")
        largest = notice_of(500 * KIB)
        await world.journal.emit(kept.log, largest)
        await gate.reached()
        with anyio.fail_after(WAIT_S):
            await world.journal.emit(kept.log, largest)
            missing = room - kept.log.uncommitted_bytes - Group((notice_of(100),)).bytes + 100
            await world.journal.emit(kept.log, notice_of(missing - 1))
            assert kept.log.uncommitted_bytes == room - 1
            await world.journal.emit(kept.log, notice("one more"))
        assert kept.log.uncommitted_bytes >= room
        emitted = await is_waiting(lambda: world.journal.emit(kept.log, notice("waited")), tasks)
        with anyio.fail_after(WAIT_S):
            await world.journal.emit(other.log, notice("not held up"))
        gate.open()
        with anyio.fail_after(WAIT_S):
            await emitted.wait()
        await world.journal.flushed(kept.log)
        assert kept.owner.texts[-2:] == ["one more", "waited"]


async def test_exactly_so_much_uncommitted_is_enough_to_wait(store: TappedStore) -> None:
    gate = gated(store)
    event = notice_of(952)
    async with running(store, limits(uncommitted_bytes_max=2 * Group((event,)).bytes)) as world:
        async with anyio.create_task_group() as tasks:
            kept = await world.session()
            with anyio.fail_after(WAIT_S):
                await world.journal.emit(kept.log, event)
                await world.journal.emit(kept.log, event)
            await is_waiting(lambda: world.journal.emit(kept.log, event), tasks)
            gate.open()
        assert kept.log.head >= 3


async def test_a_session_is_held_and_released_by_a_blocking_subscriber(store: TappedStore) -> None:
    async with running(store) as world, anyio.create_task_group() as tasks:
        kept = await world.session()
        kept.log.hold()
        emitted = await is_waiting(lambda: world.journal.emit(kept.log, notice("held")), tasks)
        with anyio.fail_after(WAIT_S):
            await world.journal.commit(kept.log, notice("a commit is not held"))
        kept.log.release()
        with anyio.fail_after(WAIT_S):
            await emitted.wait()


async def test_releasing_what_is_not_held_is_no_error(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        kept.log.release()
        kept.log.hold()
        kept.log.hold()
        kept.log.release()
        with anyio.fail_after(WAIT_S):
            await world.journal.emit(kept.log, notice())


@pytest.mark.parametrize("how", ["emit", "emit_nowait", "commit"])
async def test_an_event_at_the_limit_is_stored_and_one_over_it_refused(store: TappedStore, how: str) -> None:
    limit = limits().event_bytes_max
    place = Group((notice(),)).bytes - len(Group((notice(),)).bodies[0])

    async def put(world: World, log: Any, event: events.Event) -> None:
        result = getattr(world.journal, how)(log, event)
        if result is not None:
            await result

    async with running(store) as world:
        kept = await world.session()
        await put(world, kept.log, notice_of(limit - place))
        with pytest.raises(TooLarge) as caught:
            await put(world, kept.log, notice_of(limit - place + 1))
        await world.journal.commit(kept.log, notice("goes on"))
        rows = await world.stored(kept.log)
    assert (caught.value.data.limit, caught.value.data.limit_value) == ("event_bytes_max", limit)
    assert [len(row.body) <= limit for row in rows] == [True] * 3
    assert len(rows[1].body) > limit - 60


@pytest.mark.parametrize("text", ["x" * (960 * KIB), "\x00" * (170 * KIB), "é" * (490 * KIB)])
async def test_a_delta_over_the_limit_is_refused_like_any_event(store: TappedStore, text: str) -> None:
    async with running(store) as world:
        kept = await world.session()
        for event in (delta(text), output(text)):
            with pytest.raises(TooLarge):
                await world.journal.emit(kept.log, event)
        await world.journal.emit(kept.log, delta(text[: len(text) // 2]))
        await world.journal.commit(kept.log, notice())
        assert kept.log.head == 3


# Reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [2, 3, 4, 99])
async def test_a_page_never_goes_beyond_the_head_whatever_is_stored(store: TappedStore, bound: int) -> None:
    gate = Gate()
    async with running(store) as world:
        kept = await world.session()
        await world.journal.commit(kept.log, notice("published"))
        gate.close()
        store.after = gate
        world.journal.emit_nowait(kept.log, notice("stored"), notice("stored"))
        await gate.reached()
        assert len(await world.stored(kept.log)) == 4
        forward = await world.journal.read(kept.log, 0, upto=bound, limit=9, bytes_max=9999)
        assert (forward.last, [row.seq for row in forward.rows]) == (2, [1, 2])
        backward = await world.journal.read_back(kept.log, bound + 1, limit=9, bytes_max=9999)
        assert (backward.last, [row.seq for row in backward.rows]) == (2, [1, 2])
        gate.open()
        await world.journal.flushed(kept.log)
        assert (await world.journal.read(kept.log, 0, limit=9, bytes_max=9999)).last == 4


async def test_a_cursor_is_checked_against_head_and_epoch(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        await world.journal.commit(kept.log, notice())
        for cursor in (0, 1, 2):
            kept.log.check_cursor(cursor, kept.log.epoch)
        for cursor, epoch in ((3, None), (0, "another"), (2, "another")):
            with pytest.raises(CursorInvalid) as caught:
                kept.log.check_cursor(cursor, epoch)
            data = caught.value.data
            assert (data.head, data.oldest, data.epoch) == (2, 1, kept.log.epoch)


# Statistics, beginning and end -------------------------------------------------------------------------


async def test_statistics_count_what_was_done_and_what_waits(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world:
        kept = await world.session()
        await world.journal.emit(kept.log, delta("a"))
        await gate.reached()
        await world.journal.emit(kept.log, delta("b", offset=1))
        await world.journal.emit(kept.log, delta("c", offset=2))
        waiting = world.journal.statistics()
        assert (waiting.committed, waiting.transactions, waiting.pending) == (0, 0, 2)
        gate.open()
        await world.journal.flushed(kept.log)
        done = world.journal.statistics()
    assert (done.committed, done.transactions, done.merged, done.pending) == (2, 2, 1, 0)
    assert done.bytes == sum(len(body) for body in kept.owner.bodies[1:])
    assert (done.failures, done.halted, done.sqlite) == (0, 0, "memory")


async def test_leaving_commits_what_is_pending_then_closes_the_store(tmp_path: Path) -> None:
    async with running(open_sqlite(tmp_path)) as world:
        kept = await world.session()
        for number in range(100):
            world.journal.emit_nowait(kept.log, notice(str(number)))
    assert kept.owner.texts == [str(number) for number in range(100)]
    assert not (tmp_path / "journal.db-wal").exists()
    async with running(open_sqlite(tmp_path)) as world:
        check_log(await world.stored(kept.log), 101)


async def test_leaving_because_of_a_cancellation_commits_what_comes_until_the_end(store: TappedStore) -> None:
    """Runs write their end while everything around them is being cancelled."""
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks, running(store) as world:
            kept = await world.session()
            tasks.cancel_scope.cancel()
            try:
                await checkpoint()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()
                    await world.journal.commit(kept.log, notice("committed"))
                world.journal.emit_nowait(kept.log, notice("pending"))
    assert kept.owner.texts == ["committed", "pending"]


async def test_a_bug_in_an_owner_ends_the_journal_and_does_not_hang_it(store: TappedStore) -> None:
    def fail(_committed: list[Any]) -> None:
        raise AssertionError("cannot happen")

    async def emit_and_wait() -> None:
        async with running(store) as world:
            kept = await world.session()
            kept.owner.on_committed = fail
            world.journal.emit_nowait(kept.log, notice())
            await anyio.sleep_forever()

    with anyio.fail_after(WAIT_S), pytest.raises(ExceptionGroup) as caught:
        await emit_and_wait()
    assert caught.group_contains(AssertionError, match="cannot happen")


async def test_nobody_waits_for_a_journal_that_has_ended(store: TappedStore) -> None:
    def fail(_committed: list[Any]) -> None:
        raise AssertionError("cannot happen")

    gate = gated(store)
    refused: list[str] = []

    async def commit_to_the_end(world: World, log: Any) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await world.journal.commit(log, notice())
            except StorageUnavailable as error:
                refused.append(error.message)

    async def emit_and_wait() -> None:
        async with running(store) as world, anyio.create_task_group() as tasks:
            first, second = await world.session("a"), await world.session("b")
            first.owner.on_committed = fail
            world.journal.emit_nowait(first.log, notice())
            world.journal.emit_nowait(second.log, notice())
            await gate.reached()
            tasks.start_soon(commit_to_the_end, world, second.log)
            await anyio.wait_all_tasks_blocked()
            gate.open()
            try:
                await anyio.sleep_forever()
            finally:
                await commit_to_the_end(world, first.log)

    with anyio.fail_after(WAIT_S), pytest.raises(ExceptionGroup):
        await emit_and_wait()
    assert refused == ["The journal has ended."] * 2


async def test_a_log_is_flushed_when_nothing_of_it_is_pending_or_under_way(store: TappedStore) -> None:
    gate = gated(store)
    async with running(store) as world, anyio.create_task_group() as tasks:
        kept = await world.session()
        await world.journal.flushed(kept.log)
        world.journal.emit_nowait(kept.log, rows=lambda _seq: [])
        flushed = await is_waiting(lambda: world.journal.flushed(kept.log), tasks)
        gate.open()
        with anyio.fail_after(WAIT_S):
            await flushed.wait()
        assert len(store.appended) == 1


async def test_keys_older_than_their_lifetime_are_forgotten_at_the_start() -> None:
    store = MemoryStore()
    async with running(store) as world:
        kept = await world.session()
        old = InsertKey(0, "c", "m", "old", b"", b"", 1)
        new = InsertKey(0, "c", "m", "new", b"", b"", world.journal.now())
        await world.journal.commit(kept.log, rows=lambda _seq: [old, new])
    async with running(store) as world:
        await world.on_writer(lambda: None)  # While this is waited for, the start asks for it …
        await world.on_writer(lambda: None)  # … and this comes after.
        assert await world.journal.query(store.find_key, 0, "c", "m", "old") is None
        assert await world.journal.query(store.find_key, 0, "c", "m", "new") is not None
