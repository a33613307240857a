"""Events of requests to people: one opening, then exactly one resolution."""

from typing import Literal

from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.events.base import EventBase, Json, WireStruct


class RequestOption(WireStruct, frozen=True, kw_only=True):
    """One answer that is offered. Decide by `kind`; `id` is what is sent back."""

    id: str
    label: str
    kind: Literal["allow_once", "allow_session", "allow_always", "deny", "choice"]


class RequestOpened(EventBase, frozen=True, kw_only=True, tag="request_opened"):
    """A question to people. It waits, also across a restart, until somebody answers or it expires.

    Attributes:
        truncated: in snapshots only: `detail`, `title` or `options` are not whole here, to keep the snapshot
            small; read the event at `seq` before answering.
    """

    request_id: str
    kind: RequestKind
    title: str
    detail: Json
    options: tuple[RequestOption, ...]
    tool_call_id: str | None = None
    expires_at: int | None = None
    truncated: bool = False


class RequestResolved(EventBase, frozen=True, kw_only=True, tag="request_resolved"):
    """The one answer that counts; `values` are what a form was filled in with."""

    request_id: str
    outcome: str
    by: str
    scope: Literal["once", "session", "always"] | None = None
    message: str | None = None
    values: dict[str, Json] | None = None
