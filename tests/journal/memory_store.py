"""A log in memory: the store contract's second implementation, small enough to be seen to be right.

It proves that the contract says all a store has to do, and serves tests that need no disk.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

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
)

SCHEMA_VERSION = 1

UsageName = tuple[SessionKey, int, str, bool, str]

KeyName = tuple[SessionKey, str, str, str]


class Table(dict[str, dict[str, Any]]):
    """Rows by id, in the order of their insertion."""

    def upsert(self, row_id: str, values: Iterable[tuple[str, Any]]) -> None:
        self.setdefault(row_id, {}).update(values)


class Log:
    """One session's share of the medium."""

    def __init__(self, row: SessionRow) -> None:
        self.row = row
        self.events: list[EventRow] = []
        self.tables = {"runs": Table(), "messages": Table(), "requests": Table()}

    def clear_rows(self) -> None:
        for table in self.tables.values():
            table.clear()


class Medium:
    """What outlives a store that was closed or abandoned."""

    def __init__(self) -> None:
        self.version = SCHEMA_VERSION
        self.logs: dict[SessionKey, Log] = {}
        self.keys: dict[KeyName, tuple[InsertKey, SessionKey]] = {}
        self.rules: dict[str, RuleRow] = {}
        self.tokens: dict[str, TokenRow] = {}
        self.trust: dict[str, TrustRow] = {}
        self.usage: dict[UsageName, UsageRow] = {}


class MemoryStore:
    """A store on a medium. Implements `Store`."""

    def __init__(self, medium: Medium | None = None) -> None:
        self._medium = medium or Medium()
        if self._medium.version > SCHEMA_VERSION:
            raise StoreError("corrupt", f"The log has schema {self._medium.version}.")

    @property
    def library(self) -> str:
        return "memory"

    # Writing: everything is checked before anything changes ---------------------------------------------

    def append(self, appends: Sequence[Append]) -> None:
        heads: dict[SessionKey, int] = {}
        names: set[KeyName] = set()
        for append in appends:
            head = heads.get(append.session, self._head(append.session))
            if append.rows and append.rows[0].seq != head + 1:
                raise StoreConflict(f"The log ends at {head}.")
            heads[append.session] = head + len(append.rows)
            self._check_keys(append.session, append.changes, names)
        for append in appends:
            self._apply(append.session, append.rows, append.changes)

    def create_session(self, new: NewSession, append: Append, *, copying: bool = False) -> SessionKey:
        if any(log.row.session == new.session for log in self._medium.logs.values()):
            raise StoreConflict("The id is taken.")
        key = max(self._medium.logs, default=0) + 1
        self._check_keys(key, append.changes, set())
        self._medium.logs[key] = Log(
            SessionRow(
                key=key,
                session=new.session,
                epoch=new.epoch,
                cwd=new.cwd,
                agent=new.agent,
                model=new.model,
                title=new.title,
                status="idle",
                run=None,
                archived=False,
                state="copying" if copying else "active",
                env=new.env,
                forked=new.forked,
                created_at=new.at,
                updated_at=new.at,
                view=None,
                view_seq=0,
                head=0,
                servers=new.servers,
                parent=new.parent,
            )
        )
        self._apply(key, append.rows, append.changes)
        return key

    def mark_deleted(self, session: SessionKey, changes: Sequence[Change]) -> None:
        self._check_keys(session, changes, set())
        log = self._medium.logs[session]
        log.row = log.row._replace(state="deleted", run=None, title=None, env="{}", view=None)
        for name in [name for name in self._medium.keys if not name[1] and name[3] == log.row.session]:
            del self._medium.keys[name]
        self._apply(session, (), changes)

    def purge(self, session: SessionKey, rows_max: int) -> bool:
        log = self._medium.logs[session]
        more = len(log.events) >= rows_max
        del log.events[:rows_max]
        if not more:
            log.clear_rows()
            for name in [name for name in self._medium.keys if name[0] == session]:
                del self._medium.keys[name]
            for name in self._usage_names(session):
                del self._medium.usage[name]
            if log.row.state == "copying":
                del self._medium.logs[session]
        return more

    def forget_keys(self, before: int) -> None:
        for name, (change, _) in list(self._medium.keys.items()):
            if name[0] == DAEMON_SCOPE and change.at < before:
                del self._medium.keys[name]

    def probe(self) -> None:
        """Nothing can be in the way of memory."""

    def close(self) -> None:
        """The medium keeps everything."""

    def _check_keys(self, session: SessionKey, changes: Sequence[Change], names: set[KeyName]) -> None:
        for change in changes:
            if isinstance(change, InsertKey):
                name = _name(session, change)
                if name in self._medium.keys or name in names:
                    raise StoreConflict("The key is taken.")
                names.add(name)

    def _apply(self, session: SessionKey, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:  # noqa: C901 - a case per kind of change
        log = self._medium.logs[session]
        log.events.extend(rows)
        for change in changes:
            match change:
                case Upsert(table="sessions"):
                    values = dict(change.values)
                    if "archived" in values:
                        values["archived"] = bool(values["archived"])
                    log.row = log.row._replace(**values)
                case Upsert():
                    log.tables[change.table].upsert(change.id, change.values)
                case AppendBlock():
                    message = log.tables["messages"][change.message]
                    message.setdefault("blocks", []).append(msgspec.json.decode(change.block))
                case EndMessages():
                    for message in log.tables["messages"].values():
                        if message.get("run") == change.run and message.get("status") is None:
                            message.update(status=change.status, completed_at=change.at)
                case AddUsage():
                    if log.row.state != "copying":
                        self._add_usage(session, change)
                        self._add_usage(DAEMON_SCOPE, change)
                case InsertRule():
                    self._medium.rules[change.row.rule] = change.row
                case InsertKey():
                    self._medium.keys[_name(session, change)] = (change, session)

    def _add_usage(self, scope: SessionKey, change: AddUsage) -> None:
        name = (scope, change.period, *change.row[:3])
        known = self._medium.usage.get(name)
        self._medium.usage[name] = _added(known, change.row) if known else change.row

    def _usage_names(self, scope: SessionKey) -> list[UsageName]:
        return [name for name in self._medium.usage if name[0] == scope]

    # Reading --------------------------------------------------------------------------------------------

    def find_session(self, session: str) -> SessionRow | None:
        for key, log in self._medium.logs.items():
            if log.row.session == session:
                return log.row._replace(head=self._head(key))
        return None

    def list_sessions(
        self,
        *,
        cwd: str | None,
        archived: bool,
        before: tuple[int, SessionKey] | None,
        limit: int,
        parent: str | None = None,
    ) -> list[SessionRow]:
        rows = [
            log.row._replace(view=None, head=self._head(key))
            for key, log in self._medium.logs.items()
            if log.row.state == "active"
            and cwd in (None, log.row.cwd)
            and parent == log.row.parent
            and (archived or not log.row.archived)
            and (before is None or (log.row.updated_at, key) < before)
        ]
        return sorted(rows, key=lambda row: (row.updated_at, row.key), reverse=True)[:limit]

    def unfinished_sessions(self) -> list[str]:
        return [
            log.row.session
            for log in self._medium.logs.values()
            if log.row.state == "active"
            and (
                any(run.get("seq_end") is None for run in log.tables["runs"].values())
                or any(_waits(message) for message in log.tables["messages"].values())
            )
        ]

    def leftovers(self) -> list[SessionKey]:
        return [
            key
            for key, log in self._medium.logs.items()
            if log.row.state == "copying"
            or (
                log.row.state == "deleted"
                and (log.events or any(log.tables.values()) or self._usage_names(key))
            )
        ]

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
        if types is not None or without:
            upto = min(upto, after + SCAN_MAX)
        found = [
            row
            for row in self._between(session, after + 1, upto)
            if _wanted(row, types) and row.type not in without
        ]
        rows, complete = _bounded(found, limit, bytes_max)
        last = upto if complete or not rows else rows[-1].seq
        return Page(after + 1, max(last, after), rows)

    def read_bodies(
        self, session: SessionKey, after: int, upto: int, *, limit: int, bytes_max: int
    ) -> Bodies:
        page = self.read(session, after, upto, limit=limit, bytes_max=bytes_max)
        return Bodies(page.last, [row.body for row in page.rows])

    def read_back(
        self,
        session: SessionKey,
        before: int,
        *,
        limit: int,
        bytes_max: int,
        types: Sequence[str] | None = None,
    ) -> Page:
        lowest = max(1, before - SCAN_MAX) if types is not None else 1
        found = [row for row in self._between(session, lowest, before - 1) if _wanted(row, types)]
        rows, complete = _bounded(found[::-1], limit, bytes_max)
        first = lowest if complete or not rows else rows[-1].seq
        return Page(min(first, before), before - 1, rows[::-1])

    def find_run(
        self, session: SessionKey, *, run: str | None = None, prompt: str | None = None
    ) -> RunRow | None:
        runs = self._medium.logs[session].tables["runs"]
        found = [
            RunRow(name, row["prompt"], row["status"], row["seq_start"], row.get("seq_end"))
            for name, row in runs.items()
            if (name == run if run is not None else row["prompt"] == prompt)
        ]
        return max(found, key=lambda row: row.seq_start, default=None)

    def find_prompt_status(self, session: SessionKey, prompt: str) -> PromptStatus | None:
        message = self._medium.logs[session].tables["messages"].get(prompt)
        if message is None or message.get("role") != "user":
            return None
        return "removed" if message.get("status") == "removed" else "queued"

    def find_request(self, session: SessionKey, request: str) -> RequestRow | None:
        row = self._medium.logs[session].tables["requests"].get(request)
        if row is None:
            return None
        return RequestRow(row["body"], row.get("outcome"), row.get("answered_by"))

    def usage(self, scope: SessionKey, since: int) -> list[UsageRow]:
        found: dict[tuple[Any, ...], UsageRow] = {}
        for name in self._usage_names(scope):
            if name[1] >= since:
                row, known = self._medium.usage[name], found.get(name[2:])
                found[name[2:]] = _added(known, row) if known else row
        return list(found.values())

    def rules(self) -> list[RuleRow]:
        return sorted(self._medium.rules.values(), key=lambda row: row.at)

    def remove_rule(self, rule: str) -> None:
        self._medium.rules.pop(rule, None)

    def trusted(self) -> list[TrustRow]:
        return sorted(self._medium.trust.values())

    def insert_trust(self, row: TrustRow) -> None:
        self._medium.trust[row.path] = row

    def remove_trust(self, path: str) -> bool:
        return self._medium.trust.pop(path, None) is not None

    def tokens(self) -> list[TokenRow]:
        return sorted(self._medium.tokens.values(), key=lambda row: row.at)

    def insert_token(self, row: TokenRow) -> None:
        self._medium.tokens[row.token] = row

    def remove_token(self, token: str) -> None:
        self._medium.tokens.pop(token, None)

    def find_key(self, scope: SessionKey, client: str, method: str, key: str) -> KeyRow | None:
        found = self._medium.keys.get((scope, client, method, key))
        return KeyRow(found[0].digest, found[0].result) if found else None

    def _head(self, session: SessionKey) -> int:
        events = self._medium.logs[session].events
        return events[-1].seq if events else 0

    def _between(self, session: SessionKey, first: int, last: int) -> list[EventRow]:
        events = self._medium.logs[session].events
        purged = events[0].seq - 1 if events else 0
        return events[max(0, first - 1 - purged) : max(0, last - purged)]


def _added(one: UsageRow, other: UsageRow) -> UsageRow:
    return UsageRow(*one[:3], *(left + right for left, right in zip(one[3:], other[3:], strict=True)))


def _name(session: SessionKey, change: InsertKey) -> KeyName:
    return (session if change.scope is None else change.scope, change.client, change.method, change.key)


def _waits(message: dict[str, Any]) -> bool:
    return message.get("role") == "user" and message.get("run") is None and message.get("status") is None


def _wanted(row: EventRow, types: Sequence[str] | None) -> bool:
    return types is None or row.type in types


def _bounded(rows: list[EventRow], limit: int, bytes_max: int) -> tuple[list[EventRow], bool]:
    """Give the first rows within the limits, at least one, and whether these are all."""
    taken, total = 0, 0
    while taken < len(rows) and taken < limit:
        total += len(rows[taken].body)
        if taken and total > bytes_max:
            break
        taken += 1
    return rows[:taken], taken == len(rows)
