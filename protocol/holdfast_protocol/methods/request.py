"""Requests to people, and the rules their answers may leave behind."""

from typing import Annotated, Literal

from msgspec import Meta

from holdfast_protocol.events.base import Identifier, Json, WireStruct
from holdfast_protocol.events.people import RequestOpened
from holdfast_protocol.methods.session import Key
from holdfast_protocol.methods.table import Method

Scope = Literal["once", "session", "always"]


class RequestListParams(WireStruct, frozen=True, kw_only=True):
    """Open requests of one session, or of all."""

    session_id: Identifier | None = None


class OpenRequest(WireStruct, frozen=True, kw_only=True):
    """A request that waits for an answer."""

    session_id: str
    request: RequestOpened


class RequestListResult(WireStruct, frozen=True, kw_only=True):
    """The open requests, oldest first within a session."""

    requests: tuple[OpenRequest, ...]


class RequestRespondParams(WireStruct, frozen=True, kw_only=True):
    """An answer.

    Attributes:
        outcome: `allow` or `deny` for a permission, or the id of one of the request's options.
        scope: how far it reaches: this call, this session, or always in this directory.
        message: for the model, or the answer to a question in words.
        values: of a form, by the names of its fields; at most 64 KiB of JSON.
    """

    session_id: Identifier
    request_id: Identifier
    outcome: Annotated[str, Meta(min_length=1, max_length=128)]
    scope: Scope = "once"
    message: Annotated[str, Meta(max_length=16384)] | None = None
    values: Annotated[dict[str, Json], Meta(max_length=256)] | None = None
    key: Key | None = None


class RequestRespondResult(WireStruct, frozen=True, kw_only=True):
    """Whether this answer is the one that counts; `outcome` and `by` are the one that does."""

    accepted: bool
    outcome: str
    by: str
    seq: int
    replayed: bool = False


class Rule(WireStruct, frozen=True, kw_only=True):
    """A standing answer.

    Attributes:
        tool: the tool it is about.
        hosted: the tool is one that a client runs; the daemon's own of that name is not meant.
        match: the exact command or input it covers; None: every call of the tool.
        session_id: the session it holds in; None: every session of the directory `cwd`.
    """

    rule_id: str
    decision: Literal["allow", "deny"]
    tool: str
    by: str
    hosted: bool = False
    created_at: int
    match: str | None = None
    session_id: str | None = None
    cwd: str | None = None


class RuleListParams(WireStruct, frozen=True, kw_only=True):
    """All rules, or those that hold in one session."""

    session_id: Identifier | None = None


class RuleListResult(WireStruct, frozen=True, kw_only=True):
    """The rules, oldest first."""

    rules: tuple[Rule, ...]


class RuleRemoveParams(WireStruct, frozen=True, kw_only=True):
    """Which rule."""

    rule_id: Identifier


class RuleRemoveResult(WireStruct, frozen=True, kw_only=True):
    """Whether there was one."""

    removed: bool


METHODS: tuple[Method, ...] = (
    Method(
        name="request/list",
        direction="call",
        params=RequestListParams,
        result=RequestListResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="List open requests to people.",
    ),
    Method(
        name="request/respond",
        direction="call",
        params=RequestRespondParams,
        result=RequestRespondResult,
        errors=("not_found", "idempotency_conflict", "storage_unavailable"),
        role="approver",
        summary="Answer a request; the first valid answer counts.",
    ),
    Method(
        name="rule/list",
        direction="call",
        params=RuleListParams,
        result=RuleListResult,
        errors=("not_found", "storage_unavailable"),
        role="observer",
        summary="List standing answers.",
    ),
    Method(
        name="rule/remove",
        direction="call",
        params=RuleRemoveParams,
        result=RuleRemoveResult,
        errors=("storage_unavailable",),
        summary="Remove a standing answer.",
    ),
)
