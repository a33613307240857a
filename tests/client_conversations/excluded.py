"""Which conversations are not had with which libraries, and why.

Each entry names a trait of its file, so that an entry whose file has changed since is found.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from conversations.conversation import (
    Answered,
    Call,
    Connect,
    Conversation,
    Notify,
    Pipeline,
    Raw,
    Send,
)

LIBRARIES: Final = ("async", "blocking", "typescript")
_PYTHON: Final = ("async", "blocking")


class Trait(NamedTuple):
    """What no library says, or not every library.

    Attributes:
        why: a library does not do it.
        has: tells whether a step has it.
    """

    why: str
    has: Callable[[Any], bool]


class Excluded(NamedTuple):
    """A conversation that is not had.

    Attributes:
        trait: the first in the way.
        libraries: with which.
    """

    trait: str
    libraries: tuple[str, ...] = LIBRARIES


def _subscribes_with(member: str, *values: str) -> Callable[[Any], bool]:
    def has(step: Any) -> bool:
        return (
            isinstance(step, Call)
            and step.call == "session/subscribe"
            and isinstance(step.params, dict)
            and step.params.get(member) in values
        )

    return has


def _cancels(pipeline: Pipeline) -> bool:
    return any(isinstance(part, Send) and part.send == "session/cancel" for part in pipeline.pipeline)


TRAITS: Final = {
    "bytes": Trait(
        "What a library sends is always a message, with an id of its own.",
        lambda step: isinstance(step, Raw | Answered),
    ),
    "handshake": Trait(
        "A library makes the handshake itself, as part of connecting.",
        lambda step: isinstance(step, Connect) and not step.initialize,
    ),
    "slow": Trait(
        "A library reads what comes, and keeps it for a program that does not.",
        lambda step: isinstance(step, Connect) and step.slow,
    ),
    "parent": Trait(
        "Here libraries attach; that what one spawned ends with it is a test of each library.",
        lambda _step: False,  # It is no step's.
    ),
    "places": Trait(
        "A library has calls wait for a place, so that no daemon refuses one for want of it.",
        lambda step: isinstance(step, Send) and (step.times or 0) >= 64,
    ),
    "types": Trait(
        "The types of a library do not allow params that are no object.",
        lambda step: isinstance(step, Call) and isinstance(step.params, list),
    ),
    "on lag": Trait(
        "A stream has every event; what is to be done when a client lags is not asked.",
        _subscribes_with("onLag", "skip", "block"),
    ),
    "settled": Trait(
        "A stream of the Python library gives deltas or none, which it decides itself.",
        _subscribes_with("deltas", "settled"),
    ),
    "taken back": Trait(
        "A call is taken back by cancelling the task that makes it, where there is no answer any more.",
        lambda step: isinstance(step, Notify) and step.notify == "$/cancelRequest",
    ),
    "one write": Trait(
        "A library writes message by message; by the second the daemon may have done what the first says.",
        lambda step: isinstance(step, Pipeline) and _cancels(step),
    ),
    "one breath": Trait(
        "A program that blocks makes its calls one after the other, and from several threads in no order.",
        lambda step: isinstance(step, Pipeline),
    ),
}

EXCLUDED: Final = {
    "cancel_pipelined": Excluded("one write"),
    "cancel_request": Excluded("taken back", _PYTHON),
    "discipline_calls": Excluded("types"),
    "discipline_ids": Excluded("bytes"),
    "discipline_json": Excluded("bytes"),
    "discipline_requests": Excluded("bytes"),
    "handshake": Excluded("handshake"),
    "handshake_bad_params": Excluded("handshake"),
    "handshake_call_first": Excluded("handshake"),
    "handshake_garbage": Excluded("handshake"),
    "handshake_many_wrong_tokens": Excluded("handshake"),
    "handshake_no_common_version": Excluded("handshake"),
    "handshake_no_token": Excluded("handshake"),
    "handshake_notification_first": Excluded("handshake"),
    "handshake_too_large": Excluded("handshake"),
    "handshake_wrong_token": Excluded("handshake"),
    "lag": Excluded("slow"),
    "order_of_cancel": Excluded("one write"),
    "order_of_mutations": Excluded("one breath", ("blocking",)),
    "overloaded": Excluded("places"),
    "sidecar": Excluded("parent"),
    "subscribe_filters": Excluded("settled", _PYTHON),
    "subscribe_refused": Excluded("on lag"),
    "tokens": Excluded("handshake"),
    "too_large": Excluded("bytes"),
}
"""By the name of the file."""


def is_had(name: str, library: str) -> bool:
    """Tell whether a conversation is had with a library."""
    return name not in EXCLUDED or library not in EXCLUDED[name].libraries


def has_trait(conversation: Conversation, trait: str) -> bool:
    """Tell whether what excludes a conversation is still in it."""
    if trait == "parent":
        return conversation.transports == ["stdio"]
    return any(TRAITS[trait].has(step) for step in _steps(conversation))


def _steps(conversation: Conversation) -> Iterator[Any]:
    for step in conversation.steps:
        yield step
        if isinstance(step, Pipeline):
            yield from step.pipeline
