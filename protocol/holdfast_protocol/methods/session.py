"""Sessions: create, look at, change, unload, delete, fork, export."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from holdfast_protocol.events.base import Budget, Identifier, Json, Mode, Thinking, Unattended, WireStruct
from holdfast_protocol.events.session import Origin
from holdfast_protocol.methods.extension import McpServerSpec
from holdfast_protocol.methods.table import Method
from holdfast_protocol.view import SessionStatus, Snapshot

Path = Annotated[str, Meta(min_length=1, max_length=4096)]
Title = Annotated[str, Meta(max_length=512)]
Key = Annotated[str, Meta(min_length=1, max_length=256)]
"""An idempotency key: the same key and params give the same result, marked `replayed`."""

Name = Annotated[str, Meta(min_length=1, max_length=256)]


class SessionInfo(WireStruct, frozen=True, kw_only=True):
    """One row of the session list. Times are Unix ms."""

    session_id: str
    epoch: str
    cwd: str
    agent: str
    model: str
    status: SessionStatus
    head: int
    created_at: int
    updated_at: int
    archived: bool = False
    title: str | None = None
    run_id: str | None = None
    forked_from: Origin | None = None
    parent: str | None = None


class SessionCreateParams(WireStruct, frozen=True, kw_only=True):
    """A new session. A `session_id` chosen by the client is an idempotency key by itself.

    Attributes:
        cwd: an absolute directory that exists.
        roots: further absolute directories tools may use.
        mode: what tools may do without asking.
        unattended: what becomes of a request when nobody is here to answer it.
        budget: what each run may use before it pauses and asks.
        env: environment for tools; only allow-listed names are kept.
        mcp_servers: started for this session, beside those of the configuration and of plugins.
        meta: the client's own data, returned as it is; at most 16 KiB of JSON.
    """

    cwd: Path
    session_id: Identifier | None = None
    roots: Annotated[tuple[Path, ...], Meta(max_length=64)] = ()
    agent: Name | None = None
    model: Name | None = None
    thinking: Thinking = "off"
    mode: Mode = "ask"
    unattended: Unattended = "wait"
    budget: Budget | None = None
    title: Title | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    mcp_servers: Annotated[tuple[McpServerSpec, ...], Meta(max_length=32)] = ()
    meta: Json = None
    key: Key | None = None


class SessionCreateResult(WireStruct, frozen=True, kw_only=True):
    """The session; `seq` is durable."""

    session_id: str
    epoch: str
    seq: int
    replayed: bool = False


class SessionListParams(WireStruct, frozen=True, kw_only=True):
    """Which sessions, newest first. `cursor` is the `next` of the page before.

    Sessions of sub-agents are listed only with `parent`, the session they work for.
    """

    cwd: Path | None = None
    parent: Identifier | None = None
    archived: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=128)] | None = None


class SessionListResult(WireStruct, frozen=True, kw_only=True):
    """One page; no `next` on the last."""

    sessions: tuple[SessionInfo, ...]
    next: str | None = None


class SessionGetParams(WireStruct, frozen=True, kw_only=True):
    """Which session."""

    session_id: Identifier


class SessionGetResult(WireStruct, frozen=True, kw_only=True):
    """Its row and its snapshot, at one head."""

    session: SessionInfo
    snapshot: Snapshot


class SessionUpdateParams(WireStruct, frozen=True, kw_only=True):
    """New settings; absent members stay. `expect` refuses the change if the head has moved on."""

    session_id: Identifier
    title: Title | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    agent: Name | UnsetType = UNSET
    model: Name | UnsetType = UNSET
    thinking: Thinking | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    unattended: Unattended | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    meta: Json | UnsetType = UNSET
    expect: Annotated[int, Meta(ge=0)] | None = None
    key: Key | None = None


class MutationResult(WireStruct, frozen=True, kw_only=True):
    """What was done is durable up to and with `seq`."""

    seq: int
    replayed: bool = False


class SessionCloseParams(WireStruct, frozen=True, kw_only=True):
    """Unload the session from memory; a running run is cancelled first unless `ifIdle`."""

    session_id: Identifier
    if_idle: bool = False
    key: Key | None = None


class SessionDeleteParams(WireStruct, frozen=True, kw_only=True):
    """Delete the session and its log, finally. A running run is cancelled first."""

    session_id: Identifier
    key: Key | None = None


class SessionDeleteResult(WireStruct, frozen=True, kw_only=True):
    """It is gone."""

    replayed: bool = False


class SessionForkParams(WireStruct, frozen=True, kw_only=True):
    """A new session that begins with this one's events up to and with `at` (default: the head)."""

    session_id: Identifier
    at: Annotated[int, Meta(ge=1)] | None = None
    new_session_id: Identifier | None = None
    title: Title | None = None
    key: Key | None = None


class SessionExportParams(WireStruct, frozen=True, kw_only=True):
    """One page of the log as JSON lines; `after` is the `next` of the page before."""

    session_id: Identifier
    after: Annotated[int, Meta(ge=0)] = 0


class SessionExportResult(WireStruct, frozen=True, kw_only=True):
    """Lines of an export file, each one JSON object without its newline.

    The first page begins with a header line `{"format": "holdfast-export", "version": 1, …}`; each further
    line is one event. No `next` on the last page.
    """

    lines: tuple[str, ...]
    head: int
    next: int | None = None


class SessionsChangedParams(WireStruct, frozen=True, kw_only=True):
    """A row of the session list appeared, changed or went.

    `many` names none: this client read too slowly to be told of each, and should list again.
    """

    change: Literal["created", "updated", "deleted", "many"]
    session_id: str | None = None
    session: SessionInfo | None = None


METHODS: tuple[Method, ...] = (
    Method(
        name="session/create",
        direction="call",
        params=SessionCreateParams,
        result=SessionCreateResult,
        errors=("not_found", "conflict", "idempotency_conflict", "draining", "storage_unavailable"),
        summary="Create a session.",
    ),
    Method(
        name="session/list",
        direction="call",
        params=SessionListParams,
        result=SessionListResult,
        role="observer",
        summary="List sessions, most recently used first.",
    ),
    Method(
        name="session/get",
        direction="call",
        params=SessionGetParams,
        result=SessionGetResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="Give one session's row and snapshot.",
    ),
    Method(
        name="session/update",
        direction="call",
        params=SessionUpdateParams,
        result=MutationResult,
        errors=("not_found", "conflict", "idempotency_conflict", "storage_unavailable"),
        summary="Change a session's settings.",
    ),
    Method(
        name="session/close",
        direction="call",
        params=SessionCloseParams,
        result=MutationResult,
        errors=("not_found", "busy", "idempotency_conflict", "storage_unavailable"),
        summary="Unload a session; subscribe, get or prompt loads it again.",
    ),
    Method(
        name="session/delete",
        direction="call",
        params=SessionDeleteParams,
        result=SessionDeleteResult,
        errors=("not_found", "idempotency_conflict", "storage_unavailable"),
        summary="Delete a session for good.",
    ),
    Method(
        name="session/fork",
        direction="call",
        params=SessionForkParams,
        result=SessionCreateResult,
        errors=(
            "not_found",
            "conflict",
            "cursor_invalid",
            "idempotency_conflict",
            "draining",
            "storage_unavailable",
        ),
        summary="Start a new session from a prefix of this one.",
    ),
    Method(
        name="session/export",
        direction="call",
        params=SessionExportParams,
        result=SessionExportResult,
        errors=("not_found", "cursor_invalid", "storage_unavailable"),
        role="observer",
        summary="Read a session's log as lines of an export file.",
    ),
    Method(
        name="sessions/changed",
        direction="server_notification",
        params=SessionsChangedParams,
        role="observer",
        summary="The session list changed.",
    ),
)
