"""Makes a conversation that is too long for a window fit it: cut short, and in parts. Pure.

A response stays with the results of its calls. Cut are first the results of tools, then all texts, and last
whole messages between the first and the newest. Thinking is left out: what a provider signed cannot be cut.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.models.sizes import characters_of
from holdfast_protocol.content import ContentBlock, TextBlock, plain_text

_LEAST: Final = 400
"""Characters a text is not cut below; whole messages go before that."""

_LEAST_OF_ONE: Final = 100
"""The same within one response and its results, of which nothing can go."""

_LEFT_OUT: Final = UserMessage(content=(TextBlock(text="[Messages are left out here.]"),))

Messages = tuple[Message, ...]


def first_part(messages: Messages, room: int, rooms: int) -> tuple[Messages, Messages]:
    """Give as many messages from the beginning as fit, and what is left.

    Args:
        messages: the conversation; begins with a prompt or a response.
        room: the characters a part may have.
        rooms: all parts together may have so many times as much; the conversation is cut to that.
    """
    if characters_of(messages) <= room:
        return messages, ()
    groups = _groups(_cut_to(messages, room * rooms))
    part: list[Message] = []
    while groups and (not part or characters_of(part) + characters_of(groups[0]) <= room):
        part += _cut_to(groups.pop(0), room, _LEAST_OF_ONE)
    return tuple(part), tuple(message for group in groups for message in group)


def _groups(messages: Messages) -> list[Messages]:
    groups: list[Messages] = []
    for message in messages:
        if isinstance(message, ToolResultsMessage) and groups:
            groups[-1] = (*groups[-1], message)
        else:
            groups.append((message,))
    return groups


def _cut_to(messages: Messages, room: int, least: int = _LEAST) -> Messages:
    """Cut messages to so many characters, as little as that takes."""
    cut = _each(messages, _without_thinking)
    for shortened in (_short_results, _short):
        longest = room
        while characters_of(cut) > room and longest > least:
            longest = max(least, longest // 2)
            cut = _each(cut, lambda message, to=longest, how=shortened: how(message, to))
    return _without_the_middle(cut, room)


def _each(messages: Messages, change: Callable[[Message], Message]) -> Messages:
    return tuple(change(message) for message in messages)


def _without_the_middle(messages: Messages, room: int) -> Messages:
    """Leave out whole messages behind the first, oldest first; the newest stays whatever it takes."""
    first, *groups = _groups(messages)
    left = len(groups)
    sizes = [characters_of(group) for group in groups]
    taken = characters_of(first) + characters_of((_LEFT_OUT,)) + sum(sizes)
    while left > 1 and taken > room:
        taken -= sizes[len(groups) - left]
        left -= 1
    if left == len(groups):
        return messages
    kept = (message for group in groups[len(groups) - left :] for message in group)
    return (*first, _LEFT_OUT, *kept)


def _without_thinking(message: Message) -> Message:
    if not isinstance(message, AssistantMessage):
        return message
    return AssistantMessage(parts=tuple(part for part in message.parts if not isinstance(part, ThinkingPart)))


def _short_results(message: Message, longest: int) -> Message:
    """Cut the results of tools."""
    if not isinstance(message, ToolResultsMessage):
        return message
    return ToolResultsMessage(
        results=tuple(
            msgspec.structs.replace(result, content=_content(result.content, longest))
            for result in message.results
        )
    )


def _short(message: Message, longest: int) -> Message:
    """Cut all there is to cut."""
    match message:
        case UserMessage():
            return UserMessage(content=_content(message.content, longest))
        case AssistantMessage():
            return AssistantMessage(parts=tuple(_part(part, longest) for part in message.parts))
        case ToolResultsMessage():
            return _short_results(message, longest)


def _part(
    part: TextPart | ThinkingPart | ToolCallPart, longest: int
) -> TextPart | ThinkingPart | ToolCallPart:
    if isinstance(part, ToolCallPart):
        if len(part.input_json) <= longest:
            return part
        begins = {"cut_short": part.input_json[: longest // 2]}  # Quotes are escaped: it may grow again.
        return msgspec.structs.replace(part, input_json=msgspec.json.encode(begins).decode())
    return msgspec.structs.replace(part, text=_text(part.text, longest))


def _content(blocks: Iterable[ContentBlock], longest: int) -> tuple[ContentBlock, ...]:
    """Give blocks as one text, with images named, if they are longer than that."""
    content = tuple(blocks)
    if characters_of((UserMessage(content=content),)) <= longest:
        return content
    return (TextBlock(text=_text(plain_text(content), longest)),)


def _text(text: str, longest: int) -> str:
    """Cut the middle out of a text."""
    if len(text) <= longest:
        return text
    note = f"\n[… {len(text) - longest} characters and more are left out …]\n"
    half = max(0, longest - len(note)) // 2
    return f"{text[:half]}{note}{text[len(text) - half :]}"
