"""What a client has seen survives power loss: the disk is recorded, then cut at random points.

`HOLDFAST_POWER_CUTS` sets how many cuts there are, `HOLDFAST_SEED` where they fall.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from journal_world import TappedStore, World, check_log, limits, notice_of, open_sqlite, running
from power_cut import RecordedDisk, recording

from fakes.home import Home
from holdfast_daemon.journal.store import Append, EventRow

CUTS = int(os.environ.get("HOLDFAST_POWER_CUTS", "200"))
SEED = os.environ.get("HOLDFAST_SEED", "7")

SETTINGS = limits(checkpoint_bytes=60_000, truncate_bytes=250_000)
"""Small, so that the recording has many checkpoints of both kinds."""


class Recording:
    """A disk's operations, and what was acknowledged after how many of them."""

    def __init__(self, disk: RecordedDisk) -> None:
        self.disk = disk
        self.attempted: dict[int, list[EventRow]] = defaultdict(list)
        self.acknowledged: list[tuple[int, int, int]] = []  # (operations, session, head)

    def attempt(self, appends: Sequence[Append]) -> None:
        for append in appends:
            self.attempted[append.session] += append.rows

    def acknowledge(self, appends: Sequence[Append]) -> None:
        for append in appends:
            if append.rows:
                self.acknowledged.append((len(self.disk.operations), append.session, append.rows[-1].seq))

    def heads_after(self, operations: int) -> dict[int, int]:
        """Give each session's head as it was acknowledged by then."""
        return {session: head for at, session, head in self.acknowledged if at <= operations}


async def work(world: World, recorded: Recording, chance: Random) -> None:
    """Write for a while: several sessions, transactions of all sizes, many checkpoints."""
    sessions = [await world.session(name) for name in "abc"]
    for kept in sessions:
        recorded.attempted[kept.log.key] += [item.row for item in kept.owner.committed_events]
        recorded.acknowledged.append((len(recorded.disk.operations), kept.log.key, 1))
    for _ in range(60):
        for kept in chance.sample(sessions, chance.randint(1, 3)):
            for _ in range(chance.choice([1, 1, 2, 10])):
                world.journal.emit_nowait(kept.log, notice_of(chance.choice([60, 300, 9000])))
        await world.journal.commit(sessions[0].log, notice_of(100))
    for kept in sessions:
        await world.journal.flushed(kept.log)


async def record(directory: Path, *, synchronous: str = "FULL", settings: Any = SETTINGS) -> Recording:
    with recording() as disk:
        store = open_sqlite(directory, settings)
        store._writer.execute(f"PRAGMA synchronous = {synchronous}")
        recorded = Recording(disk)
        tapped = TappedStore(store)
        tapped.before, tapped.after = recorded.attempt, recorded.acknowledge
        async with running(tapped, settings) as world:
            await work(world, recorded, Random(SEED))
    return recorded


def restore(directory: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)


def lost(recorded: Recording, at: int, chance: Random, directory: Path) -> list[str]:
    """Cut the power, start again, and name every acknowledged event that is gone."""
    restore(directory, recorded.disk.files_after_cut(at, chance))
    store = open_sqlite(directory, SETTINGS)
    try:
        missing = []
        for session, head in recorded.heads_after(at).items():
            rows = store.read(session, 0, 2**31, limit=2**31, bytes_max=2**31).rows
            check_log(rows, len(rows))
            assert rows == recorded.attempted[session][: len(rows)]
            missing += [f"{session}.{seq}" for seq in range(len(rows) + 1, head + 1)]
        assert store._writer.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for name in "abc":  # And writing goes on where the log ends.
            found = store.find_session(name)
            if found is not None:
                row = EventRow(found.head + 1, "notice", None, 0, b"{}")
                store.append([Append(found.key, [row], ())])
    finally:
        store.close()
    return missing


@pytest.fixture
def chance() -> Random:
    return Random(f"cuts of {SEED}")


async def test_no_power_cut_loses_an_acknowledged_event(home: Home, chance: Random) -> None:
    (home.path / "recorded").mkdir()
    recorded = await record(home.path / "recorded")
    count = len(recorded.disk.operations)
    kinds = {operation.kind for operation in recorded.disk.operations}
    assert {"write", "sync", "truncate"} <= kinds
    points = [0, count, *(chance.randint(0, count) for _ in range(CUTS))]
    for at in points:
        assert lost(recorded, at, chance, home.path / "cut") == [], f"cut after {at} of {count} operations"


async def test_the_recorded_disk_would_show_a_log_that_is_not_synced(home: Home, chance: Random) -> None:
    """The test above can fail: without the sync of each commit, cuts lose acknowledged events."""
    (home.path / "recorded").mkdir()
    recorded = await record(home.path / "recorded", synchronous="NORMAL", settings=limits())
    count = len(recorded.disk.operations)
    points = [chance.randint(count // 4, 3 * count // 4) for _ in range(40)]
    assert any(lost(recorded, at, chance, home.path / "cut") for at in points)


async def test_recording_ends_with_its_context(home: Home) -> None:
    names: list[Any] = apsw.vfs_names()
    with recording() as disk:
        open_sqlite(home.path).close()
    recorded = len(disk.operations)
    assert recorded > 0
    assert apsw.vfs_names() == names
    open_sqlite(home.path).close()
    assert len(disk.operations) == recorded
