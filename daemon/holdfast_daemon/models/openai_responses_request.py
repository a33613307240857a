"""Conversations as the body of a Responses request. Pure, one pass over the conversation.

Nothing is stored at the provider: the log has it. Reasoning items and the `phase` of messages go back as they
came, and only to the provider they are from.
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
from holdfast_protocol.content import ContentBlock, ImageBlock, plain_text
from holdfast_protocol.events import Thinking

_PDF: Final = "application/pdf"


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
        "stream": True,
        "store": False,
        "max_output_tokens": target.output_tokens_max,
        "stream_options": {"include_obfuscation": False},
    }
    if target.thinking != "none":
        request["include"] = ["reasoning.encrypted_content"]
        request |= _reasoning(options.thinking)
    if options.cache_key is not None:
        request["prompt_cache_key"] = options.cache_key
    if system:
        request["instructions"] = system
    if tools:
        request["tools"] = [_tool(tool) for tool in tools]
        if options.tool_choice == "none":
            request["tool_choice"] = "none"
    request["input"] = _items(messages, target.provider.name)
    return msgspec.json.encode(request)


def _reasoning(wanted: Thinking) -> Mapping[str, Any]:
    return {"reasoning": {"effort": "none"} if wanted == "off" else {"effort": wanted, "summary": "auto"}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": False,
    }


def _items(messages: Iterable[Message], provider: str) -> list[Any]:
    ids = ToolCallIds(provider)
    written: list[Any] = []
    for message in messages:
        match message:
            case UserMessage():
                written.append({"type": "message", "role": "user", "content": _content(message.content)})
            case AssistantMessage():
                written += [item for part in message.parts for item in _part(part, ids, provider)]
            case ToolResultsMessage():
                written += [_result(result, ids) for result in message.results]
    return written


def _part(part: TextPart | ThinkingPart | ToolCallPart, ids: ToolCallIds, provider: str) -> Iterable[Any]:
    match part:
        case ThinkingPart():
            item = kept(part, provider)
            return () if item is None else (item,)
        case TextPart():
            return (_said(part, provider),) if part.text else ()
        case ToolCallPart():
            call = {
                "type": "function_call",
                "call_id": ids.of_call(part),
                "name": part.tool,
                "arguments": input_object(part.input_json).decode(),
            }
            return (call,)


def _said(part: TextPart, provider: str) -> dict[str, Any]:
    written: dict[str, Any] = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": part.text, "annotations": []}],
    }
    phase = (kept(part, provider) or {}).get("phase")
    if phase is not None:
        written["phase"] = phase
    return written


def _result(result: ToolResultPart, ids: ToolCallIds) -> dict[str, Any]:
    images = any(isinstance(block, ImageBlock) for block in result.content)
    text = plain_text(result.content)
    output: Any = _content(result.content) if images else f"Error: {text}" if result.is_error else text
    return {
        "type": "function_call_output",
        "call_id": ids.of_result(result.tool_call_id),
        "output": output,
    }


def _content(blocks: Iterable[ContentBlock]) -> list[dict[str, Any]]:
    return [_content_part(block) for block in blocks]


def _content_part(block: ContentBlock) -> dict[str, Any]:
    if not isinstance(block, ImageBlock):
        return {"type": "input_text", "text": plain_text((block,))}
    url = f"data:{block.mime_type};base64,{block.data}"
    if block.mime_type == _PDF:
        return {"type": "input_file", "filename": "document.pdf", "file_data": url}
    return {"type": "input_image", "detail": "auto", "image_url": url}
