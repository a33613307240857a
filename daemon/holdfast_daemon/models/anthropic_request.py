"""Conversations as the body of a Messages request. Pure, one pass over the conversation.

Thinking goes back as it came, in its place, and only to Anthropic. The prefix stays the same from request to
request, and is marked for the cache at its stable ends: the system prompt, and the last two user messages.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelOptions,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.tool_call_ids import ToolCallIds
from holdfast_daemon.models.tool_input import input_object
from holdfast_daemon.models.wire import Target, kept
from holdfast_protocol.content import (
    ContentBlock,
    ImageBlock,
    ResourceBlock,
    ResourceLinkBlock,
    TextBlock,
)
from holdfast_protocol.events import Thinking

_Block = dict[str, Any]

_CACHE: Final = {"type": "ephemeral"}
_MARKED_MESSAGES: Final = 2  # The last, and the one before: where the previous request's mark was.

_BUDGETS: Final[Mapping[Thinking, int]] = {"low": 4_096, "medium": 12_288, "high": 24_576}

_IMAGES: Final = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_PDF: Final = "application/pdf"
_NOTHING: Final = "(no content)"  # A message without a block is refused.


def body(
    target: Target,
    messages: tuple[Message, ...],
    tools: tuple[ToolSpec, ...],
    system: str,
    options: ModelOptions,
) -> bytes:
    """Write the body of a streaming request."""
    request: dict[str, Any] = {
        "model": target.id,
        "max_tokens": target.output_tokens_max,
        "stream": True,
        **_thinking(target, options.thinking),
    }
    told = tools or _called(messages)
    if told:
        request["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in told
        ]
        if options.tool_choice == "none" or not tools:
            request["tool_choice"] = {"type": "none"}
    if system:
        request["system"] = [{"type": "text", "text": system, "cache_control": _CACHE}]
    elif told:
        request["tools"][-1]["cache_control"] = _CACHE
    request["messages"] = _messages(messages, target.provider.name)
    return msgspec.json.encode(request)


def _called(messages: Iterable[Message]) -> tuple[ToolSpec, ...]:
    """Give the tools a conversation has calls of, by name alone: with calls and no tools it is refused."""
    parts = (part for message in messages if isinstance(message, AssistantMessage) for part in message.parts)
    names = dict.fromkeys(part.tool for part in parts if isinstance(part, ToolCallPart))
    return tuple(ToolSpec(name=name, description="", input_schema={"type": "object"}) for name in names)


class _Written(msgspec.Struct):
    """A message of a body."""

    role: str
    content: list[msgspec.Raw]


_BODY: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MESSAGES: Final = msgspec.json.Decoder(list[msgspec.Raw])
_WRITTEN: Final = msgspec.json.Decoder(_Written)


def continued(body: bytes, content: Iterable[_Block]) -> bytes:
    """Give the body that lets a response go on which paused: it goes back as it came, at the end.

    Args:
        body: of the request that was answered; perhaps one that let the response go on before.
        content: the blocks of the answer.
    """
    request = _BODY.decode(body)
    messages = _MESSAGES.decode(request["messages"])
    last = _WRITTEN.decode(messages[-1])
    answered: list[Any] = []
    if last.role == "assistant":
        messages.pop()
        answered += last.content
    answer = {"role": "assistant", "content": [*answered, *content]}
    return msgspec.json.encode({**request, "messages": [*messages, answer]})


def _thinking(target: Target, wanted: Thinking) -> dict[str, Any]:
    if target.thinking == "none":
        return {}
    if wanted == "off":
        return {} if target.thinking == "always" else {"thinking": {"type": "disabled"}}
    if target.thinking == "budget":
        budget = min(_BUDGETS[wanted], target.output_tokens_max - 1)
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    return {
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": wanted},
    }


def _messages(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """Write the messages; neighbours of one role become one, tool results before all else in it."""
    ids = ToolCallIds(provider)
    written: list[dict[str, Any]] = []
    for message in messages:
        role, blocks = _message(message, ids, provider)
        if written and written[-1]["role"] == role:
            written[-1]["content"] += blocks
        elif blocks:
            written.append({"role": role, "content": blocks})
    _mark(written)
    return written


def _message(message: Message, ids: ToolCallIds, provider: str) -> tuple[str, list[_Block]]:
    match message:
        case UserMessage():
            return "user", _content(message.content) or [{"type": "text", "text": _NOTHING}]
        case ToolResultsMessage():
            return "user", [_result(result, ids) for result in message.results]
        case AssistantMessage():
            blocks = [_part(part, ids, provider) for part in message.parts]
            return "assistant", [block for block in blocks if block is not None]


def _mark(written: list[dict[str, Any]]) -> None:
    marked = 0
    for message in reversed(written):
        if message["role"] == "user":
            message["content"][-1]["cache_control"] = _CACHE
            marked += 1
            if marked == _MARKED_MESSAGES:
                return


def _part(part: TextPart | ThinkingPart | ToolCallPart, ids: ToolCallIds, provider: str) -> _Block | None:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case ThinkingPart():
            return kept(part, provider)
        case ToolCallPart():
            return {
                "type": "tool_use",
                "id": ids.of_call(part),
                "name": part.tool,
                "input": msgspec.Raw(input_object(part.input_json)),
            }


def _result(result: ToolResultPart, ids: ToolCallIds) -> _Block:
    block: _Block = {"type": "tool_result", "tool_use_id": ids.of_result(result.tool_call_id)}
    content = _content(result.content)
    if content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return block


def _content(blocks: Iterable[ContentBlock]) -> list[_Block]:
    written = (_content_block(block) for block in blocks)
    return [block for block in written if block is not None]


def _content_block(block: ContentBlock) -> _Block | None:
    match block:
        case TextBlock():
            return {"type": "text", "text": block.text} if block.text.strip() else None
        case ImageBlock():
            return _image(block)
        case ResourceLinkBlock():
            return {"type": "text", "text": f"[{block.name or 'resource'}]({block.uri})"}
        case ResourceBlock():
            return _document(block)


def _image(block: ImageBlock) -> _Block:
    source = {"type": "base64", "media_type": block.mime_type, "data": block.data}
    if block.mime_type in _IMAGES:
        return {"type": "image", "source": source}
    if block.mime_type == _PDF:
        return {"type": "document", "source": source}
    return {"type": "text", "text": f"[image {block.mime_type}, which the model cannot see]"}


def _document(block: ResourceBlock) -> _Block:
    if not block.text.strip():
        return {"type": "text", "text": f"{block.uri} is empty."}
    source = {"type": "text", "media_type": "text/plain", "data": block.text}
    return {"type": "document", "source": source, "title": block.uri[:500]}
