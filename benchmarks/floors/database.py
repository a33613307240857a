"""A database opened as the daemon opens its log: the same pragmas, the WAL emptied at the same size."""

import apsw

PAGE_BYTES = 8192
CHECKPOINT_BYTES = 4 * 2**20


def open_database(path: str) -> apsw.Connection:
    """Open or make a database to write to."""
    connection = apsw.Connection(path)
    for pragma in (
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = 1",
        f"wal_autocheckpoint = {CHECKPOINT_BYTES // PAGE_BYTES}",
        "cache_size = -8192",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
