"""Conversations as the body of a Chat Completions request, as each server wants it. Pure, one pass.

Reasoning goes back to the provider it came from, where that provider demands it: with every assistant message
that called tools, also where there was none. Only ever appended to, so that automatic caches find the prefix.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelOptions,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.tool_call_ids import ToolCallIds
from holdfast_daemon.models.tool_input import input_object
from holdfast_daemon.models.wire import Provider, Target, kept
from holdfast_protocol.content import ContentBlock, ImageBlock, plain_text
from holdfast_protocol.events import Thinking

_EFFORTS: Final[tuple[Thinking, ...]] = ("low", "medium", "high")


def body(
    target: Target,
    messages: tuple[Message, ...],
    tools: tuple[ToolSpec, ...],
    system: str,
    options: ModelOptions,
) -> bytes:
    """Write the body of a streaming request."""
    provider = target.provider
    request: dict[str, Any] = {"model": target.id, "stream": True}
    if provider.usage_on_request:
        request["stream_options"] = {"include_usage": True}
    if provider.output_limit is not None:
        request[provider.output_limit] = target.output_tokens_max
    request |= _thinking(target, options.thinking)
    if tools:
        request["tools"] = [_tool(tool) for tool in tools]
        if options.tool_choice == "none" and provider.tool_choice:
            request["tool_choice"] = "none"
    request["messages"] = _messages(messages, system, provider)
    return msgspec.json.encode(request)


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _thinking(target: Target, wanted: Thinking) -> dict[str, Any]:
    provider = target.provider
    asked: dict[str, Any] = {}
    if provider.thinking_switch and target.thinking not in {"always", "none"}:
        asked["thinking"] = {"type": "disabled" if wanted == "off" else "enabled"}
    if target.efforts is not None and wanted != "off":
        asked["reasoning_effort"] = target.efforts[_EFFORTS.index(wanted)]
    return asked


def _messages(messages: Iterable[Message], system: str, provider: Provider) -> list[dict[str, Any]]:
    ids = ToolCallIds(provider.name)
    written: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for message in messages:
        match message:
            case UserMessage():
                written.append({"role": "user", "content": _content(message.content, provider)})
            case AssistantMessage():
                written += _assistant(message, ids, provider)
            case ToolResultsMessage():
                written += _results(message, ids, provider)
    return written


def _assistant(message: AssistantMessage, ids: ToolCallIds, provider: Provider) -> list[dict[str, Any]]:
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    calls = [_call(part, ids) for part in message.parts if isinstance(part, ToolCallPart)]
    if not text and not calls:
        return []
    written: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        written["tool_calls"] = calls
        if provider.reasoning_back == "tool_calls":
            written["reasoning_content"] = _reasoning(message, provider)
    return [written]


def _call(part: ToolCallPart, ids: ToolCallIds) -> dict[str, Any]:
    arguments = input_object(part.input_json).decode()
    return {
        "id": ids.of_call(part),
        "type": "function",
        "function": {"name": part.tool, "arguments": arguments},
    }


def _reasoning(message: AssistantMessage, provider: Provider) -> str:
    """Give the reasoning this provider wrote, verbatim; another's is not passed off as its own."""
    return "".join(
        str((kept(part, provider.name) or {}).get("reasoning_content") or "")
        for part in message.parts
        if isinstance(part, ThinkingPart)
    )


def _results(message: ToolResultsMessage, ids: ToolCallIds, provider: Provider) -> list[dict[str, Any]]:
    """Write the results, in the model's order. They are text; images follow in a user message."""
    written: list[dict[str, Any]] = []
    images: list[ContentBlock] = []
    for result in message.results:
        text = plain_text(result.content)
        content = f"Error: {text}" if result.is_error else text
        written.append(
            {"role": "tool", "tool_call_id": ids.of_result(result.tool_call_id), "content": content}
        )
        images += [block for block in result.content if isinstance(block, ImageBlock)]
    if images and provider.images:
        written.append({"role": "user", "content": _content(images, provider)})
    return written


def _content(blocks: Iterable[ContentBlock], provider: Provider) -> str | list[dict[str, Any]]:
    """Write a prompt: plain text where there is nothing else, which every server takes."""
    blocks = tuple(blocks)
    if not provider.images or not any(isinstance(block, ImageBlock) for block in blocks):
        return plain_text(blocks)
    return [_content_part(block) for block in blocks]


def _content_part(block: ContentBlock) -> dict[str, Any]:
    if isinstance(block, ImageBlock):
        url = f"data:{block.mime_type};base64,{block.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "text", "text": plain_text((block,))}
