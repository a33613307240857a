"""What the conversation files speak of: methods, events and kinds of errors. Pure.

A conversation that passes has compared every pattern with what came over the wire, so what the files name
has been seen.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import yaml
from msgspec import UNSET

from conversations.conversation import (
    NOT_YET,
    Call,
    Connect,
    Conversation,
    Create,
    Events,
    Notification,
    Notify,
    Pipeline,
    Prompt,
    Send,
)
from conversations.event_patterns import event_types


class Spoken(NamedTuple):
    """What was spoken of."""

    methods: set[str]
    events: set[str]
    errors: set[str]


class NotYet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file of exceptions.

    Attributes:
        events: types no source emits.
        errors: kinds no source raises.
        events_out_of_reach: types a source emits and no client can cause, each with the reason.
        errors_out_of_reach: the same of kinds.
    """

    events: list[str]
    errors: list[str]
    events_out_of_reach: dict[str, str]
    errors_out_of_reach: dict[str, str]


def not_yet() -> NotYet:
    """Read the file of exceptions."""
    return msgspec.convert(yaml.safe_load(NOT_YET.read_text(encoding="utf-8")), NotYet)


def spoken_of(conversations: Iterable[Conversation]) -> Spoken:
    """Give what files speak of, all together."""
    spoken = Spoken({"session/events"}, set(), set())  # Every `events` step hears it.
    for conversation in conversations:
        for step in conversation.steps:
            _add(spoken, step)
    return spoken


def _add(spoken: Spoken, step: Any) -> None:
    match step:
        case Pipeline():
            for part in step.pipeline:
                _add(spoken, part)
        case Events():
            spoken.events.update(event_types(step.events))
        case _:
            spoken.methods.update(_method_of(step))
    for name in ("error", "refused"):
        error = getattr(step, name, UNSET)
        if error is not UNSET and "kind" in error:
            spoken.errors.add(error["kind"])


def _method_of(step: Any) -> set[str]:
    """Give the method of a step that does not expect an error of it."""
    if getattr(step, "error", UNSET) is not UNSET:
        return set()
    match step:
        case Connect(initialize=True):
            return {"initialize"}
        case Create():
            return {"session/create"}
        case Prompt():
            return {"session/prompt"}
        case Call():
            return {step.call}
        case Send():
            return {step.send}
        case Notify():
            return {step.notify}
        case Notification():
            return {step.notification}
        case _:
            return set()
