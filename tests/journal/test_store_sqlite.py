"""The store on SQLite keeps the store contract; what it adds: pragmas, spill files, checkpoints, errors."""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from spending import DEEDS, Delete, Fork, Say, Spending
from store_contract import SPILL_BYTES, StoreContract, create, everything, remember, row, rows

from holdfast_daemon.journal import sqlite
from holdfast_daemon.journal.sqlite import SCHEMA_VERSION, SQLiteStore
from holdfast_daemon.journal.store import DAEMON_SCOPE, Append, StoreError


def open_store(
    directory: Path, *, checkpoint_bytes: int = 4 << 20, truncate_bytes: int = 64 << 20
) -> SQLiteStore:
    return SQLiteStore(
        directory, spill_bytes=SPILL_BYTES, checkpoint_bytes=checkpoint_bytes, truncate_bytes=truncate_bytes
    )


class SQLiteBench:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.opened: list[SQLiteStore] = []

    def open(self) -> SQLiteStore:
        store = open_store(self._directory)
        self.opened.append(store)
        return store

    def make_newer(self) -> None:
        connection = apsw.Connection(str(self._directory / "journal.db"))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.close()


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[SQLiteBench]:
        bench = SQLiteBench(tmp_path)
        yield bench
        for store in bench.opened:
            store._writer.close()
            store._reader.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = open_store(tmp_path)
    yield store
    store.close()


_UNDONE = {
    2: "DROP TABLE rules; DROP TABLE tokens",
    3: "DROP TABLE usage",
    4: "DROP TABLE trust; ALTER TABLE sessions DROP COLUMN servers; ALTER TABLE sessions DROP COLUMN parent",
}
"""What takes back each version of the schema."""


def make_older(store: SQLiteStore, version: int) -> None:
    """Make a log one that a release wrote which knew this version of the schema; closes it."""
    for step in range(SCHEMA_VERSION, version, -1):
        store._writer.execute(_UNDONE[step])
    store._writer.execute(f"PRAGMA user_version = {version}")
    store.close()


def spilled(directory: Path) -> list[Path]:
    return [path for path in (directory / "spill").rglob("*") if path.is_file()]


def test_a_transaction_that_returned_survives_power_loss_by_its_pragmas(store: SQLiteStore) -> None:
    def pragma(name: str) -> object:
        return sqlite._one(store._writer, f"PRAGMA {name}")

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("fullfsync") == 1
    assert pragma("wal_autocheckpoint") == 0
    assert pragma("user_version") == SCHEMA_VERSION


def test_the_reader_cannot_write(store: SQLiteStore) -> None:
    with pytest.raises(apsw.ReadOnlyError):
        store._reader.execute("INSERT INTO meta VALUES ('x', 'y')")


def test_the_engine_names_its_version(store: SQLiteStore) -> None:
    assert store.library == f"SQLite {apsw.sqlite_lib_version()}"


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, but long enough to be looked at" * 200)
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert caught.value.kind == "corrupt"


def test_a_directory_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "absent")
    assert caught.value.kind == "io"


def test_a_body_at_the_limit_stays_in_the_database_and_one_byte_more_is_spilled(
    store: SQLiteStore, tmp_path: Path
) -> None:
    room = SPILL_BYTES - len(row(1).body)
    create(store, "a", first=[row(1, "x" * room)])
    assert spilled(tmp_path) == []
    create(store, "b", first=[row(1, "x" * (room + 1))])
    assert len(spilled(tmp_path)) == 1


def test_equal_bodies_share_a_file_that_goes_with_the_last_of_them(
    store: SQLiteStore, tmp_path: Path
) -> None:
    large, another = row(1, "x" * 2 * SPILL_BYTES), row(2, "y" * 2 * SPILL_BYTES)
    source = create(store, "a", first=[large, another])
    fork = create(store, "b", first=[large])
    assert len(spilled(tmp_path)) == 2
    store.mark_deleted(source, ())
    assert not store.purge(source, 100)
    assert len(spilled(tmp_path)) == 1
    assert everything(store, fork) == [large]
    store.mark_deleted(fork, ())
    assert not store.purge(fork, 100)
    assert spilled(tmp_path) == []


def test_a_body_spilled_twice_by_one_session_goes_when_the_session_goes(
    store: SQLiteStore, tmp_path: Path
) -> None:
    large = row(1, "x" * 2 * SPILL_BYTES)
    key = create(store, first=[large, large._replace(seq=2)])
    assert len(spilled(tmp_path)) == 1
    store.mark_deleted(key, ())
    assert not store.purge(key, 100)
    assert spilled(tmp_path) == []


def test_spilled_bodies_are_private(store: SQLiteStore, tmp_path: Path) -> None:
    create(store, first=[row(1, "x" * 2 * SPILL_BYTES)])
    (file,) = spilled(tmp_path)
    assert stat.S_IMODE((tmp_path / "spill").stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_a_lost_spill_file_is_a_read_that_fails_and_nothing_else(store: SQLiteStore, tmp_path: Path) -> None:
    key = create(store, first=[row(1), row(2, "x" * 2 * SPILL_BYTES), row(3)])
    (file,) = spilled(tmp_path)
    file.unlink()
    with pytest.raises(StoreError) as caught:
        everything(store, key)
    assert caught.value.kind == "io"
    assert store.read(key, 2, 3, limit=9, bytes_max=9999).rows == [row(3)]
    store.append([Append(key, [row(4)], [])])


def test_a_body_that_looks_like_a_marker_is_a_body(store: SQLiteStore) -> None:
    key = create(store, first=[row(1, '{"spilled":"0000"}')])
    assert everything(store, key) == [row(1, '{"spilled":"0000"}')]


def test_a_spilled_body_amid_a_long_page_is_whole_and_counts_with_its_whole_size(store: SQLiteStore) -> None:
    log = [row(seq, "x" * (SPILL_BYTES + 1) if seq == 100 else f"{seq}") for seq in range(1, 301)]
    key = create(store, first=log)
    assert everything(store, key) == log
    upto_it = sum(len(item.body) for item in log[:100])
    assert store.read(key, 0, 300, limit=300, bytes_max=upto_it).rows == log[:100]
    assert store.read(key, 0, 300, limit=300, bytes_max=upto_it - 1).rows == log[:99]


def test_the_wal_is_checkpointed_above_its_limit_and_truncated_above_the_next(tmp_path: Path) -> None:
    wal = tmp_path / "journal.db-wal"
    store = open_store(tmp_path, checkpoint_bytes=200_000, truncate_bytes=1_000_000)
    key = create(store)
    sizes = []
    for seq in range(1, 60):
        store.append([Append(key, [row(seq, "x" * 50_000)], [])])
        sizes.append(wal.stat().st_size)
    store.close()
    assert max(sizes) < 1_300_000
    assert (tmp_path / "journal.db").stat().st_size > 2_000_000
    assert not wal.exists()


def test_a_page_held_open_by_no_reader_never_stops_the_checkpoint(tmp_path: Path) -> None:
    store = open_store(tmp_path, checkpoint_bytes=100_000, truncate_bytes=10**9)
    key = create(store, first=rows(1, 50))
    for seq in range(51, 90):
        store.read(key, 0, 50, limit=10, bytes_max=1)
        store.append([Append(key, [row(seq, "x" * 20_000)], [])])
    assert (tmp_path / "journal.db-wal").stat().st_size < 400_000
    store.close()


def test_a_full_disk_stores_nothing_of_the_transaction_and_reading_goes_on(store: SQLiteStore) -> None:
    key = create(store, first=rows(1, 3))
    pages = sqlite._one(store._writer, "PRAGMA page_count")
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught:
        store.append([Append(key, [row(seq, "x" * 9000) for seq in range(4, 30)], [remember()])])
    assert caught.value.kind == "full"
    assert everything(store, key) == rows(1, 3)
    store._writer.execute("PRAGMA max_page_count = 100000")
    store.append([Append(key, rows(4, 5), [remember()])])
    assert everything(store, key) == rows(1, 5)


def test_a_read_only_database_says_so(store: SQLiteStore) -> None:
    store._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError) as caught:
        store.probe()
    assert caught.value.kind == "read_only"


def test_a_log_of_an_older_release_is_brought_up_to_date_and_kept(tmp_path: Path) -> None:
    """Schema 1 had no rules, no tokens and no usage."""
    old = open_store(tmp_path)
    key = create(old, first=rows(1, 3))
    make_older(old, 1)
    store = open_store(tmp_path)
    assert sqlite._one(store._writer, "PRAGMA user_version") == SCHEMA_VERSION
    assert everything(store, key) == rows(1, 3)
    assert (store.rules(), store.tokens()) == ([], [])
    store.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.differing_executors])
@given(deeds=DEEDS)
def test_usage_is_added_up_from_the_log_of_an_older_release(deeds: list[Say | Fork | Delete]) -> None:
    """Schema 2 had no usage. What sessions used that are deleted, nobody knows any more."""
    with tempfile.TemporaryDirectory() as directory:
        old = open_store(Path(directory))
        spending = Spending(old, "mine")
        for deed in deeds:
            spending.do(deed)
        make_older(old, 2)
        spending.store = store = open_store(Path(directory))
        spending.gone.clear()
        assert spending.stored(None) == spending.of_all()
        for life in spending.alive:
            assert spending.stored(life) == spending.of_session(life)
        store.close()


def test_an_old_event_that_cannot_be_read_leaves_the_others_usage_as_it_is(tmp_path: Path) -> None:
    old = open_store(tmp_path)
    said = b'{"type":"usage_updated","model":"m","step":1,"usage":{"input":7},"cost":{"amount":0.5}%s'
    first = [row(seq, kind="usage_updated") for seq in range(1, 5)]
    bodies = [said % b"}", said % b"", b"{}", said % b',"later":"%s"}' % (b"x" * SPILL_BYTES)]
    key = create(old, first=[item._replace(body=body) for item, body in zip(first, bodies, strict=True)])
    make_older(old, 2)
    store = open_store(tmp_path)
    for scope in (key, DAEMON_SCOPE):
        (found,) = store.usage(scope, 0)
        assert (found.steps, found.input, found.amount) == (2, 14, 1.0)
    store.close()
