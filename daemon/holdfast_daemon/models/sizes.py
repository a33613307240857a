"""About how much of a model's window messages take, where no provider has said it. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ToolCallPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_protocol.content import ContentBlock, ImageBlock, plain_text

CHARACTERS_A_TOKEN: Final = 4

_IMAGE_CHARACTERS: Final = 6_000  # What the tokens of one would be as text.


def tokens(characters: int) -> int:
    """Give how many tokens so many characters are, about."""
    return -(-characters // CHARACTERS_A_TOKEN)


def characters_of(messages: Iterable[Message]) -> int:
    """Give how long messages are; an image counts as the text it weighs as much as."""
    return sum(_message(message) for message in messages)


def prefix_characters(tools: Iterable[ToolSpec], system: str) -> int:
    """Give how long what stands before the messages is."""
    told = (len(tool.name) + len(tool.description) + _schema(tool) for tool in tools)
    return len(system) + sum(told)


def _schema(tool: ToolSpec) -> int:
    return len(msgspec.json.encode(tool.input_schema))


def _message(message: Message) -> int:
    match message:
        case UserMessage():
            return _content(message.content)
        case AssistantMessage():
            return sum(
                len(part.input_json) if isinstance(part, ToolCallPart) else len(part.text)
                for part in message.parts
            )
        case ToolResultsMessage():
            return sum(_content(result.content) for result in message.results)


def _content(blocks: Iterable[ContentBlock]) -> int:
    return sum(
        _IMAGE_CHARACTERS if isinstance(block, ImageBlock) else len(plain_text((block,))) for block in blocks
    )
