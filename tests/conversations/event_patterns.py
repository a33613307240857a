"""Compares the events a client gets with the items of an `events` step."""

from typing import Any, Final

from conversations.listener import Listener
from conversations.patterns import Mismatch, Variables, check, expand, short

Event = dict[str, Any]

_JOINED: Final = {"token_deltas": ("token_delta", "blockId"), "tool_outputs": ("tool_output", "toolCallId")}
"""Items that stand for one or more deltas: their type, and the member that names what they are pieces of."""


def event_types(items: list[Any]) -> set[str]:
    """Name the types an `events` step speaks of."""
    found: set[str] = set()
    for item in items:
        name = next(iter(item)) if isinstance(item, dict) else item
        if name == "any_order":
            found |= event_types(item[name])
        elif name != "gap":
            found.add(_JOINED.get(name, (name,))[0])
    return found


async def take_events(listener: Listener, session: str, items: list[Any], variables: Variables) -> None:
    """Take a session's next events and compare each with its item.

    Raises:
        Mismatch: an event is not what the item says.
    """
    gap = False
    for item in items:
        if item == "gap":
            gap = True
        elif isinstance(item, dict) and "any_order" in item:
            await _take_any_order(listener, session, item["any_order"], variables, gap=gap)
            gap = False
        elif isinstance(item, dict) and next(iter(item)) in _JOINED:
            await _take_joined(listener, session, item, variables, gap=gap)
            gap = False
        else:
            await _take_one(listener, session, item, variables, gap=gap)
            gap = False


async def _take_one(listener: Listener, session: str, item: Any, variables: Variables, *, gap: bool) -> None:
    event = await listener.next_event(session)
    while gap and not _fits(item, event, variables):
        event = await listener.next_event(session)
    _check_event(item, event, variables)


def _check_event(item: Any, event: Event, variables: Variables) -> None:
    name, pattern = next(iter(item.items())) if isinstance(item, dict) else (item, {})
    if event["type"] != name:
        raise Mismatch(f"expected {short(item)}, got {short(event)}")
    check(pattern, event, variables, f"{name} {event['seq']}")


async def _take_any_order(
    listener: Listener, session: str, items: list[Any], variables: Variables, *, gap: bool
) -> None:
    left = list(items)
    while left:
        event = await listener.next_event(session)
        fitting = next((item for item in left if _fits(item, event, variables)), None)
        if fitting is not None:
            left.remove(fitting)
            _check_event(fitting, event, variables)
        elif not gap or len(left) < len(items):
            raise Mismatch(f"expected one of {short(left)}, got {short(event)}")


def _fits(item: Any, event: Event, variables: Variables) -> bool:
    try:
        _check_event(item, event, dict(variables))
    except Mismatch:
        return False
    return True


async def _take_joined(
    listener: Listener, session: str, item: Any, variables: Variables, *, gap: bool
) -> None:
    """Take deltas until they are the whole text that is named; how many they came in is not promised."""
    ((name, pattern),) = item.items()
    kind, stream = _JOINED[name]
    wanted = expand(pattern["text"], variables)
    if gap:
        while (await listener.peek(session))["type"] != kind:
            await listener.next_event(session)
    text, named = "", None
    while len(text) < len(wanted):
        event = await listener.next_event(session)
        if event["type"] != kind or named not in (None, event[stream]):
            raise Mismatch(f"expected more of {short(wanted[len(text) :])}, got {short(event)}")
        check({**pattern, "text": "<string>"}, event, variables, f"{name} {event['seq']}")
        named = event[stream]
        text += event["text"]
    check(wanted, text, variables, name)
