"""The store contract: what keeps the log, whichever database it is.

The journal hands over whole transactions of encoded events and row changes, and reads pages back. All
methods block and run on the journal's own threads: `append` and the other writes on the writer's, reads on
the reader's. A store never changes, renumbers or drops an event it has accepted.

`tests/journal/store_contract.py` is the suite every implementation passes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

from holdfast_protocol.capabilities import Role
from holdfast_protocol.view import RunStatus

SessionKey = int
"""A session's number inside the store; 0 is the daemon's own scope, in keys and in usage."""

DAEMON_SCOPE: SessionKey = 0

PromptStatus = Literal["queued", "removed"]

Value = str | int | float | bytes | None


class StoreError(Exception):
    """A transaction did not happen, or a read failed.

    Attributes:
        kind: `full`, `io`, `read_only`, `corrupt` or `conflict`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoreConflict(StoreError):
    """An event stands at head + 1 already: somebody else wrote this session."""

    def __init__(self, message: str) -> None:
        super().__init__("conflict", message)


class EventRow(NamedTuple):
    """One event as it is stored; `body` is what subscribers get, byte for byte."""

    seq: int
    type: str
    run: str | None
    at: int
    body: bytes


RowValues = tuple[int, str, str | None, int, bytes]

event_row: Final = cast("Callable[[RowValues], EventRow]", partial(cast("Any", tuple).__new__, EventRow))
"""Makes a row of its values without a step of Python: the log is made of nothing else."""


class Upsert(NamedTuple):
    """Insert a row of one of the session's tables, or change the named columns of the one there is."""

    table: Literal["sessions", "runs", "messages", "requests"]
    id: str
    values: tuple[tuple[str, Value], ...]


class AppendBlock(NamedTuple):
    """Add one block (JSON) to a message's blocks."""

    message: str
    block: bytes


class EndMessages(NamedTuple):
    """Set the status of a run's messages that have none."""

    run: str
    status: str
    at: int


class InsertKey(NamedTuple):
    """Remember a mutating call's result. `scope` None means the transaction's session."""

    scope: SessionKey | None
    client: str
    method: str
    key: str
    digest: bytes
    result: bytes
    at: int


class RuleRow(NamedTuple):
    """A standing answer. It holds in `session` (its id), or, if that is None, in every session of `cwd`.

    `hosted` says that it is about a tool a client ran: never about the daemon's own of that name.
    """

    rule: str
    decision: Literal["allow", "deny"]
    tool: str
    hosted: bool
    match: str | None
    session: str | None
    cwd: str
    by: str
    at: int


class RequestRow(NamedTuple):
    """A request: the event that opened it, without its place, and its answer if it has one."""

    body: bytes
    outcome: str | None
    by: str | None


class TokenRow(NamedTuple):
    """A token; only its digest is kept."""

    token: str
    name: str
    role: Role
    digest: bytes
    at: int


class TrustRow(NamedTuple):
    """A directory somebody trusted; `at` in Unix ms."""

    path: str
    at: int


class InsertRule(NamedTuple):
    """Remember a standing answer with the answer that made it."""

    row: RuleRow


class UsageRow(NamedTuple):
    """What was used of one model, from one source of figures, priced in one currency.

    `estimated`: the figures are ours. `currency` is empty where no price is known; `unpriced` counts the
    steps of which that is so, and `amount` is of the others. `reasoning` is a part of `output`.
    """

    model: str
    estimated: bool
    currency: str
    runs: int = 0
    steps: int = 0
    unpriced: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    amount: float = 0.0


class AddUsage(NamedTuple):
    """Add to what the session and the daemon used in the period that begins at `period` (Unix ms).

    Nothing is added while the session is being copied: what its events say was used by their source.
    """

    period: int
    row: UsageRow


Change = Upsert | AppendBlock | EndMessages | InsertKey | InsertRule | AddUsage


class Append(NamedTuple):
    """One session's part of a transaction; `rows` begin at head + 1 and may be empty."""

    session: SessionKey
    rows: Sequence[EventRow]
    changes: Sequence[Change]


class KeyRow(NamedTuple):
    """A remembered result."""

    digest: bytes
    result: bytes


class SessionRow(NamedTuple):
    """One row of `sessions`. `view` is the fold of the log up to and with `view_seq`, encoded.

    `servers` are the MCP servers its client asked for, as JSON; `parent` is the session it works for.
    """

    key: SessionKey
    session: str
    epoch: str
    cwd: str
    agent: str
    model: str
    title: str | None
    status: str
    run: str | None
    archived: bool
    state: Literal["active", "copying", "deleted"]
    env: str
    forked: str | None
    created_at: int
    updated_at: int
    view: bytes | None
    view_seq: int
    head: int
    servers: str = "[]"
    parent: str | None = None


class NewSession(NamedTuple):
    """What `create_session` inserts."""

    session: str
    epoch: str
    cwd: str
    agent: str
    model: str
    title: str | None
    env: str
    at: int
    forked: str | None = None
    servers: str = "[]"
    parent: str | None = None


class RunRow(NamedTuple):
    """One row of `runs`, as `session/wait` and `session/read` need it."""

    run: str
    prompt: str
    status: RunStatus
    seq_start: int
    seq_end: int | None


class Page(NamedTuple):
    """Events in order; they are all there are in `first`..`last` that the filter lets through."""

    first: int
    last: int
    rows: list[EventRow]


class Bodies(NamedTuple):
    """The bodies of events in order, and the last seq they cover; what is replayed needs nothing else."""

    last: int
    bodies: list[bytes]


class Store(Protocol):
    """A log of many sessions. One daemon at a time has it open."""

    @property
    def library(self) -> str:
        """The engine and its version, for `daemon/status`."""
        ...

    def append(self, appends: Sequence[Append]) -> None:
        """Store all or nothing, synced when it returns.

        Raises:
            StoreConflict: an event is not at its session's head + 1.
            StoreError: nothing was stored.
        """
        ...

    def create_session(self, new: NewSession, append: Append, *, copying: bool = False) -> SessionKey:
        """Insert a session with its first events (their `session` is ignored), in one transaction."""
        ...

    def mark_deleted(self, session: SessionKey, changes: Sequence[Change]) -> None:
        """Make a session unfindable; its id stays taken, and keys that are its id are forgotten.

        Such a key is of a call that made the session; asked again it must not be answered with what is gone.
        """
        ...

    def purge(self, session: SessionKey, rows_max: int) -> bool:
        """Remove up to `rows_max` rows of a session that is no more; True while there are more.

        A deleted session's id stays taken; that of one whose copying was cut short is free again.
        """
        ...

    def find_session(self, session: str) -> SessionRow | None:
        """Give a session's row, deleted ones too."""
        ...

    def list_sessions(
        self,
        *,
        cwd: str | None,
        archived: bool,
        before: tuple[int, SessionKey] | None,
        limit: int,
        parent: str | None = None,
    ) -> list[SessionRow]:
        """Give active sessions, last used first; archived ones only if asked for. `view` is left out.

        Those that work for another session are given for `parent` alone.
        """
        ...

    def unfinished_sessions(self) -> list[str]:
        """Give ids of active sessions with a run without a terminal event, or with waiting prompts."""
        ...

    def leftovers(self) -> list[SessionKey]:
        """Give keys of sessions whose copying or purging was cut short."""
        ...

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
        """Read forwards from `after` (exclusive) to `upto` (inclusive).

        Stops at `limit` rows or `bytes_max` bytes of bodies, but gives at least one row if there is one;
        a filter makes it cover at most `SCAN_MAX` seqs.
        """
        ...

    def read_bodies(
        self, session: SessionKey, after: int, upto: int, *, limit: int, bytes_max: int
    ) -> Bodies:
        """Read as `read` does, without a filter, the bodies alone."""
        ...

    def read_back(
        self,
        session: SessionKey,
        before: int,
        *,
        limit: int,
        bytes_max: int,
        types: Sequence[str] | None = None,
    ) -> Page:
        """Read the last rows before `before` (exclusive), oldest first, with the same limits."""
        ...

    def find_run(
        self, session: SessionKey, *, run: str | None = None, prompt: str | None = None
    ) -> RunRow | None:
        """Give a run by its id, or the last one that carried a prompt: a continued run carries it too."""
        ...

    def find_prompt_status(self, session: SessionKey, prompt: str) -> PromptStatus | None:
        """Give the status of a prompt no run has carried: `queued` or `removed`; None if unknown."""
        ...

    def find_key(self, scope: SessionKey, client: str, method: str, key: str) -> KeyRow | None:
        """Give a remembered result."""
        ...

    def find_request(self, session: SessionKey, request: str) -> RequestRow | None:
        """Give a request."""
        ...

    def usage(self, scope: SessionKey, since: int) -> list[UsageRow]:
        """Add up what was used in the periods that begin at `since` or later, in no order.

        Args:
            scope: a session, whose usage goes with its rows; `DAEMON_SCOPE`: all sessions there ever were.
            since: Unix ms.

        Returns:
            A row for each model, source of figures and currency.
        """
        ...

    def rules(self) -> list[RuleRow]:
        """Give all standing answers, oldest first."""
        ...

    def remove_rule(self, rule: str) -> None:
        """Drop a standing answer."""
        ...

    def trusted(self) -> list[TrustRow]:
        """Give the trusted directories, by path."""
        ...

    def insert_trust(self, row: TrustRow) -> None:
        """Keep a trusted directory; replaces one of the same path.

        Raises:
            StoreError: nothing was stored.
        """
        ...

    def remove_trust(self, path: str) -> bool:
        """Forget a directory; False if it was not there.

        Raises:
            StoreError: nothing was changed.
        """
        ...

    def tokens(self) -> list[TokenRow]:
        """Give all tokens, oldest first."""
        ...

    def insert_token(self, row: TokenRow) -> None:
        """Remember a token."""
        ...

    def remove_token(self, token: str) -> None:
        """Drop a token."""
        ...

    def forget_keys(self, before: int) -> None:
        """Drop results of the daemon's scope remembered before `before` (Unix ms)."""
        ...

    def probe(self) -> None:
        """Write something and sync it.

        Raises:
            StoreError: writing does not work.
        """
        ...

    def close(self) -> None:
        """Checkpoint and close. The store is not used after."""
        ...


SCAN_MAX = 20_000
"""Seqs one filtered page may cover: bounds the work of a read that finds little."""
