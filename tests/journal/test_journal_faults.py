"""A disk that refuses: one retry per session, then the session is halted; others go on; it comes back.

Where the fault is made up, it is a store that refuses; SQLITE_FULL is SQLite's own.
"""

from pathlib import Path
from typing import Any

import anyio
import pytest
from journal_world import (
    WAIT_S,
    Fault,
    Gate,
    Kept,
    TappedStore,
    World,
    check_log,
    delta,
    limits,
    notice,
    notice_of,
    open_sqlite,
    running,
)
from memory_store import MemoryStore

from holdfast_daemon.journal.ballast import Ballast
from holdfast_daemon.journal.sqlite import SQLiteStore
from holdfast_daemon.journal.store import Append, EventRow, InsertKey, StoreError
from holdfast_protocol.errors import StorageUnavailable

NEVER = limits(revive_interval_s=3600.0)


@pytest.fixture
def store() -> TappedStore:
    return TappedStore(MemoryStore())


async def halt(world: World, kept: Kept, store: TappedStore, kind: str = "io") -> Fault:
    """Have a session halted; the fault lasts until it is taken back."""
    fault = Fault(kind, session=kept.log.key)
    store.before = fault
    store.before_probe = lambda: fault([Append(kept.log.key, (), ())])
    with pytest.raises(StorageUnavailable):
        await world.journal.commit(kept.log, notice("lost"))
    return fault


async def revive(kept: Kept, fault: Fault) -> None:
    fault.left = 0
    await kept.owner.until(lambda: kept.log.halted is None and kept.owner.revivals == 1)


# One retry ---------------------------------------------------------------------------------------------


async def test_a_transaction_that_fails_once_is_stored_session_by_session(store: TappedStore) -> None:
    gate = Gate()
    async with running(store, NEVER) as world:
        first, second = await world.session("a"), await world.session("b")
        gate.close()
        store.before = gate
        await world.journal.emit(first.log, notice("held"))
        await gate.reached()
        fault = Fault(times=1)
        for kept in (first, second):
            await world.journal.emit(kept.log, notice("1"))
            await world.journal.emit(kept.log, notice("2"))
        store.before = fault
        gate.open()
        for kept in (first, second):
            await world.journal.flushed(kept.log)
            check_log(await world.stored(kept.log), kept.log.head)
        statistics = world.journal.statistics()
    assert fault.refused == 1
    assert (first.owner.texts, second.owner.texts) == (["held", "1", "2"], ["1", "2"])
    assert first.owner.halts == second.owner.halts == []
    assert (statistics.failures, statistics.transactions, statistics.halted) == (1, 3, 0)


async def test_a_session_is_tried_twice_and_not_more(store: TappedStore) -> None:
    async with running(store, NEVER) as world:
        kept = await world.session()
        fault = await halt(world, kept, store)
        assert fault.refused == 2
        assert world.journal.statistics().failures == 2


# Halted ------------------------------------------------------------------------------------------------


async def test_a_persistent_fault_halts_its_session_and_no_other(store: TappedStore) -> None:
    async with running(store, NEVER) as world:
        broken, sound = await world.session("a"), await world.session("b")
        await halt(world, broken, store, "full")
        assert broken.owner.halts == ["full"]
        assert broken.log.halted == "full"
        for number in range(3):
            await world.journal.commit(sound.log, notice(str(number)))
        assert sound.owner.texts == ["0", "1", "2"]
        assert sound.owner.halts == []
        assert world.journal.statistics().halted == 1


async def test_every_way_to_write_a_halted_log_is_refused(store: TappedStore) -> None:
    async with running(store, NEVER) as world:
        kept = await world.session()
        await halt(world, kept, store)
        with pytest.raises(StorageUnavailable) as caught:
            await world.journal.emit(kept.log, notice())
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice())
        with pytest.raises(StorageUnavailable):
            world.journal.emit_nowait(kept.log, notice())
        assert (caught.value.data.resource, caught.value.data.id) == ("session", "s")
        assert caught.value.data.retryable
        assert not kept.log.unsettled
        assert kept.log.uncommitted_bytes == 0


async def test_what_was_in_flight_or_waited_is_refused_and_its_numbers_taken_back(store: TappedStore) -> None:
    gate = Gate()
    gate.close()
    async with running(store, limits()) as world:
        kept = await world.session()
        refused: list[str] = []

        async def commit(text: str) -> None:
            try:
                await world.journal.commit(kept.log, notice(text))
            except StorageUnavailable:
                refused.append(text)

        store.before = gate
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit, "in flight")
            await gate.reached()
            tasks.start_soon(commit, "waiting")
            world.journal.emit_nowait(kept.log, delta("emitted"))
            await anyio.wait_all_tasks_blocked()
            fault = Fault(times=10)
            store.before = fault
            store.before_probe = lambda: fault([])

            def fail_once(_appends: Any) -> None:
                raise StoreError("io", "refused by the test")

            store.inner.append = fail_once  # The one that is held at the gate.
            gate.open()
        del store.inner.append
        assert sorted(refused) == ["in flight", "waiting"]
        assert kept.log.head == 1
        await revive(kept, fault)
        assert await world.journal.commit(kept.log, notice("next")) == 2
        check_log(await world.stored(kept.log), 2)
        assert kept.owner.texts == ["next"]


async def test_an_emitter_that_waits_for_space_hears_of_the_fault(store: TappedStore) -> None:
    gate = Gate()
    gate.close()
    store.before = gate
    heard: list[str] = []
    async with running(store, NEVER) as world:
        kept = await world.session()

        async def emit() -> None:
            try:
                await world.journal.emit(kept.log, notice("no room"))
            except StorageUnavailable as error:
                heard.append(error.kind)

        async with anyio.create_task_group() as tasks:
            await world.journal.emit(kept.log, notice_of(900_000))
            await gate.reached()
            await world.journal.emit(kept.log, notice_of(900_000))
            tasks.start_soon(emit)
            await anyio.wait_all_tasks_blocked()
            assert heard == []
            store.inner.append = Fault()
            gate.open()
    assert heard == ["storage_unavailable"]


async def test_an_emitter_held_by_a_subscriber_hears_of_the_fault(store: TappedStore) -> None:
    async with running(store, NEVER) as world:
        kept = await world.session()
        kept.log.hold()

        async def emit() -> None:
            with pytest.raises(StorageUnavailable):
                await world.journal.emit(kept.log, notice())

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(emit)
                await anyio.wait_all_tasks_blocked()
                await halt(world, kept, store)


async def test_a_refused_commit_remembers_no_key(store: TappedStore) -> None:
    def rows(_seq: int) -> list[InsertKey]:
        return [InsertKey(None, "c", "m", "k", b"d", b"r", 1)]

    async with running(store, limits()) as world:
        kept = await world.session()
        store.before = fault = Fault(times=2)
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice(), rows=rows)
        await revive(kept, fault)
        assert await world.journal.query(store.find_key, kept.log.key, "c", "m", "k") is None
        await world.journal.commit(kept.log, notice(), rows=rows)
        assert await world.journal.query(store.find_key, kept.log.key, "c", "m", "k") is not None


async def test_a_log_somebody_else_wrote_is_halted_for_conflict(store: TappedStore) -> None:
    async with running(store, NEVER) as world:
        kept = await world.session()
        foreign = EventRow(2, "notice", None, 0, b'{"seq":2,"at":0,"type":"notice"}')
        store.inner.append([Append(kept.log.key, [foreign], ())])
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice("mine"))
        assert kept.owner.halts == ["conflict"]
        assert [row.body for row in await world.stored(kept.log)][1:] == [foreign.body]


@pytest.mark.parametrize("kind", ["io", "full"])
async def test_a_store_that_cannot_be_read_is_unavailable(store: TappedStore, kind: str) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise StoreError(kind, "refused by the test")

    async with running(store, NEVER) as world:
        kept = await world.session()
        store.inner.read = store.inner.read_back = store.inner.find_session = store.inner.forget_keys = fail
        with pytest.raises(StorageUnavailable, match=kind):
            await world.journal.read(kept.log, 0, limit=1, bytes_max=1)
        with pytest.raises(StorageUnavailable, match=kind):
            await world.journal.read_back(kept.log, 2, limit=1, bytes_max=1)
        with pytest.raises(StorageUnavailable, match=kind):
            await world.journal.query(store.find_session, "s")
        with pytest.raises(StorageUnavailable, match=kind):
            await world.journal.execute(store.forget_keys, 1)
        await world.journal.commit(kept.log, notice("writing goes on"))
        assert kept.owner.texts == ["writing goes on"]


# Back again --------------------------------------------------------------------------------------------


async def test_a_session_revives_once_writing_works_again(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        await world.journal.commit(kept.log, notice("before"))
        fault = await halt(world, kept, store)
        while fault.refused < 5:  # Two appends, then probes.
            await anyio.wait_all_tasks_blocked()
            await world.on_writer(lambda: None)
        assert kept.owner.revivals == 0
        await revive(kept, fault)
        await world.journal.commit(kept.log, notice("after"))
        check_log(await world.stored(kept.log), 3)
        assert kept.owner.texts == ["before", "after"]
        assert world.journal.statistics().halted == 0


async def test_a_session_can_be_halted_again_and_again(store: TappedStore) -> None:
    async with running(store) as world:
        kept = await world.session()
        for turn in range(1, 4):
            store.before = Fault(times=2)
            with pytest.raises(StorageUnavailable):
                await world.journal.commit(kept.log, notice("lost"))
            await kept.owner.until(lambda turn=turn: kept.owner.revivals == turn)
            await world.journal.commit(kept.log, notice(str(turn)))
        check_log(await world.stored(kept.log), 4)
        assert kept.owner.texts == ["1", "2", "3"]


async def test_a_session_forgotten_while_halted_is_not_revived(store: TappedStore) -> None:
    async with running(store) as world:
        gone, kept = await world.session("a"), await world.session("b")
        await halt(world, gone, store)
        world.journal.forget(gone.log)
        store.before = Fault(times=2)
        store.before_probe = lambda: None
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice())
        await kept.owner.until(lambda: kept.owner.revivals == 1)
        assert gone.owner.revivals == 0


async def test_a_fault_at_any_append_of_a_run_leaves_no_hole(store: TappedStore) -> None:
    for at in range(20):
        fault = Fault(times=2)
        left = at

        def count(appends: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                fault(appends)  # noqa: B023 - used within its turn

        async with running(store) as world:
            kept = await world.session(f"s{at}")
            store.before = count
            sent: list[str] = []
            for number in range(20):
                try:
                    await world.journal.commit(kept.log, notice(f"{number}a"), notice(f"{number}b"))
                except StorageUnavailable:
                    await kept.owner.until(lambda kept=kept: kept.log.halted is None)
                else:
                    sent += [f"{number}a", f"{number}b"]
            check_log(await world.stored(kept.log), kept.log.head)
            assert kept.owner.texts == sent
            assert len(sent) == 38
        store.before = lambda _appends: None


# SQLite's own ------------------------------------------------------------------------------------------


async def fill(world: World, store: SQLiteStore) -> None:
    """Leave the database no page to grow by."""

    def limit_pages() -> None:
        (pages,) = store._writer.execute("PRAGMA page_count").fetchall()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    await world.on_writer(limit_pages)


async def make_room(world: World, store: SQLiteStore) -> None:
    await world.on_writer(lambda: store._writer.execute("PRAGMA max_page_count = 1000000").fetchall())


async def test_a_full_disk_halts_a_session_at_its_first_failed_event_and_no_later_one_fits(
    tmp_path: Path,
) -> None:
    """A smaller event would still find room: stored, it would leave a hole."""
    store = open_sqlite(tmp_path)
    async with running(store, limits()) as world:
        kept, reader = await world.session("a"), await world.session("b")
        await world.journal.commit(reader.log, notice("to be read"))
        await fill(world, store)

        async def commit_until_full() -> None:
            while True:
                await world.journal.commit(kept.log, notice_of(5000), notice("small"))

        with anyio.fail_after(WAIT_S), pytest.raises(StorageUnavailable, match="full"):
            await commit_until_full()
        head = kept.log.head
        assert kept.owner.halts == ["full"]
        assert (await world.journal.read(reader.log, 0, limit=9, bytes_max=9999)).rows[-1].seq == 2
        check_log(await world.stored(kept.log), head)
        await make_room(world, store)
        await kept.owner.until(lambda: kept.log.halted is None)
        assert await world.journal.commit(kept.log, notice("room again")) == head + 1
        check_log(await world.stored(kept.log), head + 1)


async def test_sessions_that_fit_go_on_while_one_that_does_not_is_halted(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    async with running(store, NEVER) as world:
        large, small = await world.session("large"), await world.session("small")
        await fill(world, store)
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(large.log, notice_of(200_000))
        for number in range(5):
            await world.journal.commit(small.log, notice(str(number)))
        assert small.owner.texts == ["0", "1", "2", "3", "4"]
        assert large.owner.halts == ["full"]
        await make_room(world, store)


# Ballast -----------------------------------------------------------------------------------------------


async def test_the_ballast_is_freed_before_writing_is_tried_and_made_again_after(
    store: TappedStore, tmp_path: Path
) -> None:
    ballast = Ballast(tmp_path / "ballast", 100_000)
    ballast.restore()
    there: list[bool] = []
    async with running(store, ballast=ballast) as world:
        kept = await world.session()
        assert (tmp_path / "ballast").stat().st_size == 100_000
        store.before = Fault(times=2)
        store.before_probe = lambda: there.append((tmp_path / "ballast").exists())
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice())
        await kept.owner.until(lambda: kept.owner.revivals == 1)
        await world.on_writer(lambda: None)  # After the ballast was made again.
        await anyio.wait_all_tasks_blocked()
        await world.on_writer(lambda: None)
    assert there == [False]
    assert (tmp_path / "ballast").stat().st_size == 100_000


async def test_a_ballast_that_cannot_be_freed_is_no_reason_to_stop(
    store: TappedStore, tmp_path: Path
) -> None:
    (tmp_path / "ballast" / "in the way").mkdir(parents=True)
    async with running(store, ballast=Ballast(tmp_path / "ballast", 1000)) as world:
        kept = await world.session()
        store.before = Fault(times=2)
        with pytest.raises(StorageUnavailable):
            await world.journal.commit(kept.log, notice())
        await kept.owner.until(lambda: kept.owner.revivals == 1)
        await world.journal.commit(kept.log, notice("goes on"))
        assert kept.owner.texts == ["goes on"]
