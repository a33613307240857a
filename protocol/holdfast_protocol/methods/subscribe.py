"""Events out of the log: live, and page by page."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from holdfast_protocol.events.base import Identifier, WireStruct
from holdfast_protocol.methods.table import Method
from holdfast_protocol.view import Snapshot

Deltas = Literal["all", "settled", "none"]
"""`settled`: no deltas of blocks that had ended when the subscription began; their end has the whole."""

OnLag = Literal["catch_up", "skip", "block"]

EventTypes = Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]

Seq = Annotated[int, Meta(ge=0)]

READ_EVENTS_MAX = 1000
"""Events in one answer of `session/read`; fewer if they are large."""


class SessionSubscribeParams(WireStruct, frozen=True, kw_only=True):
    """Follow a session from a cursor.

    Attributes:
        after: exclusive: the last seq the client has. `head` gives a snapshot and what comes after it;
            `start` is 0.
        epoch: the epoch the cursor belongs to; checked if given.
        types: only these events. What a filter leaves out still moves the range a batch covers.
        on_lag: what happens if this client reads too slowly: read the log at its own pace, skip to the
            head with `session/gap`, or hold the session (at most 5 s, one client per session).
    """

    session_id: Identifier
    after: Literal["head", "start"] | Seq = "head"
    epoch: str | None = None
    types: EventTypes | None = None
    deltas: Deltas = "all"
    on_lag: OnLag = "catch_up"


class SessionSubscribeResult(WireStruct, frozen=True, kw_only=True):
    """Batches follow, the first from `from`; `snapshot` only after `head`.

    Attributes:
        oldest: the oldest seq in the log.
    """

    epoch: str
    from_: int = msgspec.field(name="from")
    head: int
    oldest: int
    snapshot: Snapshot | None = None


class SessionUnsubscribeParams(WireStruct, frozen=True, kw_only=True):
    """Stop following; not an error if nothing was followed."""

    session_id: Identifier


class SessionUnsubscribeResult(WireStruct, frozen=True, kw_only=True):
    """The cursor when it stopped; None if there was no subscription."""

    cursor: int | None = None


class SessionReadParams(WireStruct, frozen=True, kw_only=True):
    """One page of the log: forwards after `after`, or backwards before `before`; oldest first in both."""

    session_id: Identifier
    after: Seq | None = None
    before: Annotated[int, Meta(ge=1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=READ_EVENTS_MAX)] = 200
    types: EventTypes | None = None
    run_id: Identifier | None = None


class SessionReadResult(WireStruct, frozen=True, kw_only=True):
    """The page covers `from`..`to`; `more` says whether the log goes on in that direction."""

    epoch: str
    from_: int = msgspec.field(name="from")
    to: int
    head: int
    events: tuple[msgspec.Raw, ...]
    more: bool


class SessionEventsParams(WireStruct, frozen=True, kw_only=True):
    """A batch. It covers `from`..`to`; `from` is the cursor + 1, else something was lost."""

    session_id: str
    epoch: str
    from_: int = msgspec.field(name="from")
    to: int
    events: tuple[msgspec.Raw, ...]


class SessionCaughtUpParams(WireStruct, frozen=True, kw_only=True):
    """Everything up to and with `head` was sent; from here on it is live."""

    session_id: str
    epoch: str
    head: int


class SessionLaggedParams(WireStruct, frozen=True, kw_only=True):
    """The client reads too slowly: it is being sent the log from `cursor` at its own pace."""

    session_id: str
    epoch: str
    cursor: int
    head: int


class SessionGapParams(WireStruct, frozen=True, kw_only=True):
    """Events `from`..`to` were not sent and will not be."""

    session_id: str
    epoch: str
    from_: int = msgspec.field(name="from")
    to: int
    reason: str


class SessionHaltedParams(WireStruct, frozen=True, kw_only=True):
    """The session's log cannot be written; its run was cancelled. Reading goes on."""

    session_id: str
    epoch: str
    kind: str


METHODS: tuple[Method, ...] = (
    Method(
        name="session/subscribe",
        direction="call",
        params=SessionSubscribeParams,
        result=SessionSubscribeResult,
        errors=("not_found", "conflict", "cursor_invalid", "storage_unavailable"),
        role="observer",
        summary="Follow a session from a cursor; replaces this connection's earlier subscription to it.",
    ),
    Method(
        name="session/unsubscribe",
        direction="call",
        params=SessionUnsubscribeParams,
        result=SessionUnsubscribeResult,
        role="observer",
        summary="Stop following a session.",
    ),
    Method(
        name="session/read",
        direction="call",
        params=SessionReadParams,
        result=SessionReadResult,
        errors=("not_found", "cursor_invalid", "storage_unavailable"),
        role="observer",
        summary="Read a page of a session's log.",
    ),
    Method(
        name="session/events",
        direction="server_notification",
        params=SessionEventsParams,
        role="observer",
        summary="A batch of events.",
    ),
    Method(
        name="session/caughtUp",
        direction="server_notification",
        params=SessionCaughtUpParams,
        role="observer",
        summary="The subscription is at the head.",
    ),
    Method(
        name="session/lagged",
        direction="server_notification",
        params=SessionLaggedParams,
        role="observer",
        summary="The subscription fell behind and reads the log.",
    ),
    Method(
        name="session/gap",
        direction="server_notification",
        params=SessionGapParams,
        role="observer",
        summary="Events were left out on the subscriber's own wish.",
    ),
    Method(
        name="session/halted",
        direction="server_notification",
        params=SessionHaltedParams,
        role="observer",
        summary="The session's log cannot be written.",
    ),
)
