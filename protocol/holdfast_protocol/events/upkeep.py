"""Events of upkeep."""

from typing import Literal

from holdfast_protocol.events.base import Cost, EventBase, Usage


class UsageUpdated(EventBase, frozen=True, kw_only=True, tag="usage_updated"):
    """What one step used; add these up for a run or a session."""

    model: str
    step: int
    usage: Usage
    cost: Cost | None = None


class Compacted(EventBase, frozen=True, kw_only=True, tag="compacted"):
    """The model's view of events up to and with `upto` was replaced by a summary; the log keeps them."""

    upto: int
    summary: str


class Notice(EventBase, frozen=True, kw_only=True, tag="notice"):
    """Something a person should know; `kind` is stable, `message` is a sentence."""

    kind: str
    message: str
    level: Literal["info", "warning"] = "info"


class OwnerChanged(EventBase, frozen=True, kw_only=True, tag="owner_changed"):
    """Another daemon took the session over."""

    instance_id: str
