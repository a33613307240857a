"""The store on SQLite, through apsw; the only module that opens the database.

WAL, `synchronous=FULL`: a transaction that returned survives power loss. One connection writes and
checkpoints, one reads and never checkpoints; nothing else opens the file while the daemon lives, because
closing any descriptor of it would drop the locks.
"""

# apsw's stubs name a type (Buffer) that Python 3.11 lacks:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import contextlib
import errno
import os
from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import apsw
import msgspec

from holdfast_daemon.journal import projections
from holdfast_daemon.journal.spill import MARKER_BYTES, Spill
from holdfast_daemon.journal.store import (
    DAEMON_SCOPE,
    SCAN_MAX,
    AddUsage,
    Append,
    AppendBlock,
    Bodies,
    Change,
    EndMessages,
    EventRow,
    InsertKey,
    InsertRule,
    KeyRow,
    NewSession,
    Page,
    PromptStatus,
    RequestRow,
    RowValues,
    RuleRow,
    RunRow,
    SessionKey,
    SessionRow,
    StoreConflict,
    StoreError,
    TokenRow,
    TrustRow,
    Upsert,
    UsageRow,
    event_row,
)
from holdfast_protocol import events

SCHEMA_VERSION: Final = 4

_CHUNK_ROWS_MAX: Final = 64
"""Rows read at once; never more than the page has already, so that few are read in vain when it is full."""

_SCHEMA_1: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, user TEXT,
    cwd TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, title TEXT, summary TEXT,
    status TEXT NOT NULL, run TEXT, archived INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('active', 'copying', 'deleted')),
    env TEXT NOT NULL, forked TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    view BLOB, view_seq INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX sessions_by_use ON sessions (updated_at DESC, key DESC) WHERE state = 'active';
CREATE TABLE events (
    session INTEGER NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, run TEXT, at INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    session INTEGER NOT NULL, id TEXT NOT NULL, prompt TEXT, model TEXT, status TEXT,
    user_message TEXT, assistant_message TEXT, input_tokens INTEGER, output_tokens INTEGER, cost REAL,
    seq_start INTEGER, seq_end INTEGER, started_at INTEGER, ended_at INTEGER, PRIMARY KEY (session, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_prompt ON runs (session, prompt);
CREATE INDEX runs_unfinished ON runs (session) WHERE seq_end IS NULL;
CREATE TABLE messages (
    session INTEGER NOT NULL, id TEXT NOT NULL, run TEXT, role TEXT, blocks TEXT NOT NULL DEFAULT '[]',
    tool TEXT, tool_call TEXT, status TEXT, interrupted INTEGER NOT NULL DEFAULT 0, error TEXT,
    started_at INTEGER, completed_at INTEGER, PRIMARY KEY (session, id)
) STRICT;
CREATE INDEX messages_by_run ON messages (session, run);
CREATE INDEX messages_queued ON messages (session) WHERE role = 'user' AND run IS NULL AND status IS NULL;
CREATE TABLE requests (
    session INTEGER NOT NULL, id TEXT NOT NULL, run TEXT, kind TEXT, body BLOB,
    outcome TEXT, answered_by TEXT,
    opened_at INTEGER, resolved_at INTEGER, PRIMARY KEY (session, id)
) STRICT;
CREATE TABLE keys (
    scope INTEGER NOT NULL, client TEXT NOT NULL, method TEXT NOT NULL, key TEXT NOT NULL,
    digest BLOB NOT NULL, result BLOB NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (scope, client, method, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE spills (
    session INTEGER NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX spills_by_hash ON spills (hash);
"""

_STEPS: Final = {
    1: _SCHEMA_1,
    2: """
CREATE TABLE rules (
    id TEXT PRIMARY KEY, decision TEXT NOT NULL, tool TEXT NOT NULL, hosted INTEGER NOT NULL, match TEXT,
    session TEXT, cwd TEXT NOT NULL, by TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, digest BLOB NOT NULL, at INTEGER NOT NULL
) STRICT;
""",
    3: """
CREATE TABLE usage (
    session INTEGER NOT NULL, period INTEGER NOT NULL, model TEXT NOT NULL, estimated INTEGER NOT NULL,
    currency TEXT NOT NULL, runs INTEGER NOT NULL, steps INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    amount REAL NOT NULL,
    PRIMARY KEY (session, period, model, estimated, currency)
) STRICT, WITHOUT ROWID;
""",
    4: """
CREATE TABLE trust (path TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
ALTER TABLE sessions ADD COLUMN servers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sessions ADD COLUMN parent TEXT;
""",
}
"""What each version of the schema adds to the one before; a new log takes them all."""

_SESSION_COLUMNS: Final = (
    "key, session, epoch, cwd, agent, model, title, status, run, archived, state, env, forked, "
    "created_at, updated_at, {view}, view_seq, "
    "coalesce((SELECT max(seq) FROM events WHERE events.session = sessions.key), 0), servers, parent"
)

_HEAD: Final = "SELECT coalesce(max(seq), 0) FROM events WHERE session = ?"

_SESSION_TABLES: Final = ("runs", "messages", "requests", "spills", "usage")

_USAGE_SUMS: Final = UsageRow._fields[3:]

_ADD_USAGE: Final = (
    f"INSERT INTO usage (session, period, {', '.join(UsageRow._fields)})"  # noqa: S608 - names are our own
    f" VALUES ({', '.join('?' * (2 + len(UsageRow._fields)))})"
    " ON CONFLICT (session, period, model, estimated, currency) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _USAGE_SUMS)
)

_USAGE: Final = (
    f"SELECT model, estimated, currency, {', '.join(f'sum({name})' for name in _USAGE_SUMS)}"  # noqa: S608
    " FROM usage WHERE session = ? AND period >= ? GROUP BY model, estimated, currency"
)

_USAGE_SAID: Final = """
SELECT events.session, at, body FROM events JOIN sessions ON sessions.key = events.session
WHERE type IN ('run_started', 'usage_updated') AND state = 'active'
    AND seq > coalesce(json_extract(forked, '$.seq'), 0)
"""
"""Events that say what was used, without those a fork has from its source."""

_LEFTOVERS: Final = """
SELECT key FROM sessions WHERE state = 'copying' OR (state = 'deleted' AND (
    EXISTS (SELECT 1 FROM events WHERE session = sessions.key)
    OR EXISTS (SELECT 1 FROM runs WHERE session = sessions.key)
    OR EXISTS (SELECT 1 FROM messages WHERE session = sessions.key)
    OR EXISTS (SELECT 1 FROM requests WHERE session = sessions.key)
    OR EXISTS (SELECT 1 FROM spills WHERE session = sessions.key)
    OR EXISTS (SELECT 1 FROM usage WHERE session = sessions.key)))
"""

_KINDS: Final[tuple[tuple[type[apsw.Error], str], ...]] = (
    (apsw.FullError, "full"),
    (apsw.ReadOnlyError, "read_only"),
    (apsw.CorruptError, "corrupt"),
    (apsw.NotADBError, "corrupt"),
)


class SQLiteStore:
    """A store in one directory.

    Args:
        directory: exists, is locked by this process, is not on a network file system.
        spill_bytes: larger event bodies go to files.
        checkpoint_bytes: the WAL is checkpointed above this, by the writer, between transactions.
        truncate_bytes: above this it is also truncated.

    Raises:
        StoreError: the file cannot be opened, is corrupt, or was written by a newer holdfast.
    """

    def __init__(
        self, directory: Path, *, spill_bytes: int, checkpoint_bytes: int, truncate_bytes: int
    ) -> None:
        self._spill = Spill(directory / "spill")
        self._spill_bytes = spill_bytes
        self._checkpoint_bytes = checkpoint_bytes
        self._truncate_bytes = truncate_bytes
        self._statements: dict[tuple[str, tuple[str, ...]], str] = {}
        path = str(directory / "journal.db")
        with _errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._writer = _open_writer(path, self._spill)
            self._page_bytes = int(_one(self._writer, "PRAGMA page_size"))
            self._writer.set_wal_hook(self._wal_grew)
            self._transaction = _Transaction(self._writer)
            self._reader = _open_reader(path)
        self._wal_bytes = 0

    @property
    def library(self) -> str:
        """The engine and its version."""
        return f"SQLite {apsw.sqlite_lib_version()}"

    # Writing ------------------------------------------------------------------------------------------

    def append(self, appends: Sequence[Append]) -> None:
        """See `Store.append`."""
        with self._transaction:
            for append in appends:
                self._append(append.session, append.rows, append.changes)
        self._checkpoint_if_due()

    def create_session(self, new: NewSession, append: Append, *, copying: bool = False) -> SessionKey:
        """See `Store.create_session`."""
        with self._transaction:
            key = int(
                _one(
                    self._writer,
                    "INSERT INTO sessions (session, epoch, cwd, agent, model, title, env, forked, servers,"
                    " parent, status, state, created_at, updated_at)"
                    " VALUES (?,?,?,?,?,?,?,?,?,?,'idle',?,?,?) RETURNING key",
                    (
                        new.session,
                        new.epoch,
                        new.cwd,
                        new.agent,
                        new.model,
                        new.title,
                        new.env,
                        new.forked,
                        new.servers,
                        new.parent,
                        "copying" if copying else "active",
                        new.at,
                        new.at,
                    ),
                )
            )
            self._append(key, append.rows, append.changes)
        return key

    def mark_deleted(self, session: SessionKey, changes: Sequence[Change]) -> None:
        """See `Store.mark_deleted`."""
        with self._transaction:
            self._writer.execute(
                "UPDATE sessions SET state = 'deleted', run = NULL, title = NULL, env = '{}', view = NULL"
                " WHERE key = ?",
                (session,),
            )
            # Its id stays taken; asking for it again must not be answered with what is gone.
            self._writer.execute(
                "DELETE FROM keys WHERE scope = ? AND client = '' AND key ="
                " (SELECT session FROM sessions WHERE sessions.key = ?)",
                (DAEMON_SCOPE, session),
            )
            self._append(session, (), changes)

    def purge(self, session: SessionKey, rows_max: int) -> bool:
        """See `Store.purge`."""
        with self._transaction:
            self._writer.execute(
                "DELETE FROM events WHERE session = ?1 AND seq IN"
                " (SELECT seq FROM events WHERE session = ?1 ORDER BY seq LIMIT ?2)",
                (session, rows_max),
            )
            if self._writer.changes() >= rows_max:
                return True
            orphans = self._writer.execute(
                "SELECT DISTINCT hash FROM spills AS mine WHERE session = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM spills AS other WHERE other.hash = mine.hash AND other.session != ?1)",
                (session,),
            ).fetchall()
            for table in _SESSION_TABLES:
                self._writer.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608
            self._writer.execute("DELETE FROM keys WHERE scope = ?", (session,))
            # Nobody was ever told of a session whose copying was cut short: its id is free again.
            self._writer.execute("DELETE FROM sessions WHERE key = ? AND state = 'copying'", (session,))
        for (digest,) in orphans:
            self._spill.remove(str(digest))
        return False

    def forget_keys(self, before: int) -> None:
        """See `Store.forget_keys`."""
        with self._transaction:
            self._writer.execute("DELETE FROM keys WHERE scope = ? AND at < ?", (DAEMON_SCOPE, before))

    def remove_rule(self, rule: str) -> None:
        """See `Store.remove_rule`."""
        with self._transaction:
            self._writer.execute("DELETE FROM rules WHERE id = ?", (rule,))

    def insert_trust(self, row: TrustRow) -> None:
        """See `Store.insert_trust`."""
        with self._transaction:
            self._writer.execute("INSERT OR REPLACE INTO trust VALUES (?,?)", row)

    def remove_trust(self, path: str) -> bool:
        """See `Store.remove_trust`."""
        with self._transaction:
            self._writer.execute("DELETE FROM trust WHERE path = ?", (path,))
            return self._writer.changes() > 0

    def insert_token(self, row: TokenRow) -> None:
        """See `Store.insert_token`."""
        with self._transaction:
            self._writer.execute("INSERT INTO tokens VALUES (?,?,?,?,?)", row)

    def remove_token(self, token: str) -> None:
        """See `Store.remove_token`."""
        with self._transaction:
            self._writer.execute("DELETE FROM tokens WHERE id = ?", (token,))

    def probe(self) -> None:
        """See `Store.probe`."""
        with self._transaction:
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('probe', hex(randomblob(4096)))")

    def close(self) -> None:
        """See `Store.close`."""
        with _errors():
            self._reader.close()
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._writer.close()

    def _append(self, session: SessionKey, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        if rows:
            head = self._writer.execute(_HEAD, (session,)).get
            if rows[0].seq != head + 1:
                raise StoreConflict(f"The log ends at {head}, not before {rows[0].seq}.")
            if max([len(row.body) for row in rows]) > self._spill_bytes:
                rows = [row._replace(body=self._body(session, row)) for row in rows]
            self._writer.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", map((session,).__add__, rows))
        for change in changes:
            self._change(session, change)

    def _body(self, session: SessionKey, row: EventRow) -> bytes:
        if len(row.body) <= self._spill_bytes:
            return row.body
        digest, marker = self._spill.put(row.body)
        self._writer.execute("INSERT INTO spills VALUES (?,?,?)", (session, row.seq, digest))
        return marker

    def _change(self, session: SessionKey, change: Change) -> None:
        match change:
            case Upsert():
                names = tuple(name for name, _ in change.values)
                values = tuple(value for _, value in change.values)
                if change.table == "sessions":
                    self._writer.execute(self._update_statement(names), (*values, session))
                else:
                    self._writer.execute(
                        self._upsert_statement(change.table, names), (session, change.id, *values)
                    )
            case AppendBlock():
                self._writer.execute(
                    "UPDATE messages SET blocks = json_insert(blocks, '$[#]', json(?))"
                    " WHERE session = ? AND id = ?",
                    (change.block.decode(), session, change.message),
                )
            case EndMessages():
                self._writer.execute(
                    "UPDATE messages SET status = ?, interrupted = ?, completed_at = ?"
                    " WHERE session = ? AND run = ? AND status IS NULL",
                    (change.status, change.status != "completed", change.at, session, change.run),
                )
            case AddUsage():
                _add_usage(self._writer, session, change)
            case InsertRule():
                self._writer.execute("INSERT INTO rules VALUES (?,?,?,?,?,?,?,?,?)", change.row)
            case InsertKey():
                scope = session if change.scope is None else change.scope
                self._writer.execute(
                    "INSERT INTO keys VALUES (?,?,?,?,?,?,?)",
                    (
                        scope,
                        change.client,
                        change.method,
                        change.key,
                        change.digest,
                        change.result,
                        change.at,
                    ),
                )

    def _update_statement(self, names: tuple[str, ...]) -> str:
        cached = self._statements.get(("sessions", names))
        if cached is None:
            columns = ", ".join(f"{name} = ?" for name in names)
            cached = f"UPDATE sessions SET {columns} WHERE key = ?"  # noqa: S608 - names are our own
            self._statements["sessions", names] = cached
        return cached

    def _upsert_statement(self, table: str, names: tuple[str, ...]) -> str:
        cached = self._statements.get((table, names))
        if cached is None:
            columns, marks = ", ".join(names), ", ".join("?" * len(names))
            changes = ", ".join(f"{name} = excluded.{name}" for name in names)
            cached = (
                f"INSERT INTO {table} (session, id, {columns}) VALUES (?, ?, {marks})"  # noqa: S608 - as above
                f" ON CONFLICT (session, id) DO UPDATE SET {changes}"
            )
            self._statements[table, names] = cached
        return cached

    def _wal_grew(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_bytes = pages * self._page_bytes
        return apsw.SQLITE_OK

    def _checkpoint_if_due(self) -> None:
        """Move the WAL's content into the database; a failure leaves it where it is, which is safe."""
        if self._wal_bytes < self._checkpoint_bytes:
            return
        mode = "TRUNCATE" if self._wal_bytes >= self._truncate_bytes else "PASSIVE"
        with contextlib.suppress(apsw.Error):
            self._writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self._wal_bytes = 0

    # Reading ------------------------------------------------------------------------------------------

    def find_session(self, session: str) -> SessionRow | None:
        """See `Store.find_session`."""
        columns = _SESSION_COLUMNS.format(view="view")
        rows = self._select(f"SELECT {columns} FROM sessions WHERE session = ?", (session,))  # noqa: S608
        return _session_row(rows[0]) if rows else None

    def list_sessions(
        self,
        *,
        cwd: str | None,
        archived: bool,
        before: tuple[int, SessionKey] | None,
        limit: int,
        parent: str | None = None,
    ) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        columns = _SESSION_COLUMNS.format(view="NULL")
        used, key = before or (2**62, 2**62)
        rows = self._select(
            f"SELECT {columns} FROM sessions WHERE state = 'active' AND (?1 IS NULL OR cwd = ?1)"  # noqa: S608
            " AND (?2 OR NOT archived) AND (updated_at, key) < (?3, ?4)"
            " AND parent IS ?5 ORDER BY updated_at DESC, key DESC LIMIT ?6",
            (cwd, archived, used, key, parent, limit),
        )
        return [_session_row(row) for row in rows]

    def unfinished_sessions(self) -> list[str]:
        """See `Store.unfinished_sessions`."""
        rows = self._select(
            "SELECT session FROM sessions WHERE state = 'active' AND (key IN"
            " (SELECT session FROM runs WHERE seq_end IS NULL) OR key IN"
            " (SELECT session FROM messages WHERE role = 'user' AND run IS NULL AND status IS NULL))"
        )
        return [str(row[0]) for row in rows]

    def leftovers(self) -> list[SessionKey]:
        """See `Store.leftovers`."""
        rows = self._select(_LEFTOVERS)
        return [int(row[0]) for row in rows]

    def read(
        self,
        session: SessionKey,
        after: int,
        upto: int,
        *,
        limit: int,
        bytes_max: int,
        types: Sequence[str] | None = None,
        without: Sequence[str] = (),
    ) -> Page:
        """See `Store.read`."""
        if types is not None or without:
            upto = min(upto, after + SCAN_MAX)
        sql, bindings = _filtered(types, without)
        rows, complete = self._events(
            "SELECT seq, type, run, at, body FROM events"  # noqa: S608 - the filter has only marks
            " WHERE session = ? AND seq > ? AND seq <= ?"
            f"{sql} ORDER BY seq LIMIT ?",
            (session, after, upto, *bindings),
            limit,
            bytes_max,
        )
        last = upto if complete or not rows else rows[-1].seq
        return Page(after + 1, max(last, after), rows)

    def read_bodies(
        self, session: SessionKey, after: int, upto: int, *, limit: int, bytes_max: int
    ) -> Bodies:
        """See `Store.read_bodies`."""
        rows, complete = self._bounded(
            "SELECT seq, body FROM events WHERE session = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (session, after, upto),
            limit,
            bytes_max,
        )
        last = upto if complete or not rows else rows[-1][0]
        return Bodies(max(last, after), [row[1] for row in rows])

    def read_back(
        self,
        session: SessionKey,
        before: int,
        *,
        limit: int,
        bytes_max: int,
        types: Sequence[str] | None = None,
    ) -> Page:
        """See `Store.read_back`."""
        lowest = max(1, before - SCAN_MAX) if types is not None else 1
        sql, bindings = _filtered(types, ())
        rows, complete = self._events(
            "SELECT seq, type, run, at, body FROM events"  # noqa: S608 - as above
            " WHERE session = ? AND seq >= ? AND seq < ?"
            f"{sql} ORDER BY seq DESC LIMIT ?",
            (session, lowest, before, *bindings),
            limit,
            bytes_max,
        )
        first = lowest if complete or not rows else rows[-1].seq
        return Page(min(first, before), before - 1, rows[::-1])

    def find_run(
        self, session: SessionKey, *, run: str | None = None, prompt: str | None = None
    ) -> RunRow | None:
        """See `Store.find_run`."""
        rows = self._select(
            "SELECT id, prompt, status, seq_start, seq_end FROM runs WHERE session = ?1"
            " AND (id = ?2 OR prompt = ?3 OR id ="
            " (SELECT run FROM messages WHERE messages.session = ?1 AND messages.id = ?3))"
            " ORDER BY seq_start DESC LIMIT 1",
            (session, run, prompt),
        )
        return RunRow(*rows[0]) if rows else None

    def find_prompt_status(self, session: SessionKey, prompt: str) -> PromptStatus | None:
        """See `Store.find_prompt_status`."""
        rows = self._select(
            "SELECT coalesce(status, 'queued') FROM messages WHERE session = ? AND id = ? AND role = 'user'",
            (session, prompt),
        )
        if not rows:
            return None
        return "removed" if rows[0][0] == "removed" else "queued"

    def find_key(self, scope: SessionKey, client: str, method: str, key: str) -> KeyRow | None:
        """See `Store.find_key`."""
        rows = self._select(
            "SELECT digest, result FROM keys WHERE scope = ? AND client = ? AND method = ? AND key = ?",
            (scope, client, method, key),
        )
        return KeyRow(*rows[0]) if rows else None

    def find_request(self, session: SessionKey, request: str) -> RequestRow | None:
        """See `Store.find_request`."""
        rows = self._select(
            "SELECT body, outcome, answered_by FROM requests WHERE session = ? AND id = ?",
            (session, request),
        )
        return RequestRow(*rows[0]) if rows else None

    def usage(self, scope: SessionKey, since: int) -> list[UsageRow]:
        """See `Store.usage`."""
        rows = self._select(_USAGE, (scope, since))
        return [UsageRow(*row)._replace(estimated=bool(row[1])) for row in rows]

    def rules(self) -> list[RuleRow]:
        """See `Store.rules`."""
        rows = self._select("SELECT * FROM rules ORDER BY at, rowid")
        return [RuleRow(*row)._replace(hosted=bool(row[3])) for row in rows]

    def trusted(self) -> list[TrustRow]:
        """See `Store.trusted`."""
        return [TrustRow(*row) for row in self._select("SELECT path, at FROM trust ORDER BY path")]

    def tokens(self) -> list[TokenRow]:
        """See `Store.tokens`."""
        return [TokenRow(*row) for row in self._select("SELECT * FROM tokens ORDER BY at, rowid")]

    def _select(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with _errors():
            return self._reader.execute(sql, bindings).fetchall()

    def _events(
        self, sql: str, bindings: tuple[Any, ...], limit: int, bytes_max: int
    ) -> tuple[list[EventRow], bool]:
        """Read events; see `_bounded`."""
        rows, complete = self._bounded(sql, bindings, limit, bytes_max)
        return list(map(event_row, cast("list[RowValues]", rows))), complete

    def _bounded(
        self, sql: str, bindings: tuple[Any, ...], limit: int, bytes_max: int
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """Read rows while their bodies stay within `bytes_max` together, at least one; tell if that was all.

        The body is the last column. All that is replayed comes by here: rows that fit without question are
        taken together.
        """
        rows: list[tuple[Any, ...]] = []
        left = bytes_max
        with _errors():
            cursor = self._reader.execute(sql, (*bindings, limit))
            while chunk := list(islice(cursor, min(max(1, len(rows)), _CHUNK_ROWS_MAX))):
                sizes = [len(row[-1]) for row in chunk]
                if MARKER_BYTES not in sizes and sum(sizes) <= left:
                    rows += chunk
                    left -= sum(sizes)
                    continue
                for row in chunk:
                    whole = self._spill.resolve(row[-1])
                    left -= len(whole)
                    if rows and left < 0:
                        return rows, False
                    rows.append((*row[:-1], whole))
        return rows, len(rows) < limit


class _Transaction:
    """Entered, it begins; left, it commits, or rolls back what raised. Entered once at a time.

    A class and no generator, because each group commit goes through it.

    Raises:
        StoreError: on entering or leaving, for what the library or the system raised.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # A failed COMMIT may have rolled back by itself.
                self._execute("ROLLBACK")
        if isinstance(error, apsw.Error | OSError):
            raise _store_error(error) from error

    def _execute(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except apsw.Error as error:
            raise _store_error(error) from error


def _open_writer(path: str, spill: Spill) -> apsw.Connection:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA page_size = 8192")  # A quarter page bounds rows of WITHOUT ROWID tables.
    if str(_one(connection, "PRAGMA journal_mode = WAL")).lower() != "wal":
        raise StoreError("io", "The file system does not support SQLite's WAL mode.")
    for pragma in ("synchronous = FULL", "fullfsync = 1", "wal_autocheckpoint = 0", "cache_size = -8192"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    version = int(_one(connection, "PRAGMA user_version"))
    if version > SCHEMA_VERSION:
        raise StoreError("corrupt", f"The log has schema {version}; this holdfast knows {SCHEMA_VERSION}.")
    for step in range(version + 1, SCHEMA_VERSION + 1):
        with connection:
            connection.execute(_STEPS[step])
            if step == 3:  # It has a table of what older logs say already.
                _add_usage_of_old(connection, spill)
            connection.execute(f"PRAGMA user_version = {step}")
    return connection


def _add_usage(connection: apsw.Connection, session: SessionKey, change: AddUsage) -> None:
    """Add to the usage of the session and of all, unless the session is being copied."""
    state = _one(connection, "SELECT state FROM sessions WHERE key = ?", (session,))
    if state != "copying":
        connection.executemany(
            _ADD_USAGE, [(scope, change.period, *change.row) for scope in (session, DAEMON_SCOPE)]
        )


def _add_usage_of_old(connection: apsw.Connection, spill: Spill) -> None:
    """Add up what the log of an older release says; of a session that is gone it says nothing."""
    for session, at, body in connection.execute(_USAGE_SAID):
        with contextlib.suppress(msgspec.MsgspecError, OSError):  # What cannot be read is not known.
            event = events.decode(spill.resolve(body))
            if not isinstance(event, events.UnknownEvent):
                for change in projections.usage_of(event, at):
                    _add_usage(connection, session, change)


def _open_reader(path: str) -> apsw.Connection:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("PRAGMA query_only = 1").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    connection.execute("PRAGMA cache_size = -8192").fetchall()
    return connection


def _one(connection: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> Any:
    for row in connection.execute(sql, bindings).fetchall():
        return row[0]
    raise StoreError("corrupt", f"No row from: {sql}")


def _filtered(types: Sequence[str] | None, without: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    sql = ""
    if types is not None:
        sql += f" AND type IN ({','.join('?' * len(types))})"
    if without:
        sql += f" AND type NOT IN ({','.join('?' * len(without))})"
    return sql, (*(types or ()), *without)


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    return SessionRow(*row)._replace(archived=bool(row[9]))


@contextlib.contextmanager
def _errors() -> Generator[None]:
    """Turn the library's errors into the contract's."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise _store_error(error) from error


def _store_error(error: apsw.Error | OSError) -> StoreError:
    if isinstance(error, apsw.ConstraintError):
        return StoreConflict(str(error))
    if isinstance(error, OSError):
        return StoreError("full" if error.errno == errno.ENOSPC else "io", str(error))
    return StoreError(next((kind for known, kind in _KINDS if isinstance(error, known)), "io"), str(error))
