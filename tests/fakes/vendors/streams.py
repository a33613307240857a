"""Answers in the vendors' wires: each gives its SSE events as `(name, data)`, with None for no name."""

import json
from collections.abc import Iterator
from typing import Any

from fakes.vendors.script import Call, Piece, Redacted, Reply, Say, Search, Think, Vendor

Event = tuple[str | None, str]


def events(vendor: Vendor, reply: Reply) -> Iterator[Event]:
    pieces = tuple(each for piece in reply.answer for each in _repeated(piece))
    return {"messages": messages, "responses": responses, "chat": chat}[vendor](reply, pieces)


def _repeated(piece: Piece) -> Iterator[Piece]:
    yield from ([piece] * piece.times if isinstance(piece, Call) else [piece])


def _called(pieces: tuple[Piece, ...]) -> bool:
    return any(isinstance(piece, Call) for piece in pieces)


# Messages ---------------------------------------------------------------------------------------------


def messages(reply: Reply, pieces: tuple[Piece, ...]) -> Iterator[Event]:
    usage = reply.usage or {}
    first = {
        "input_tokens": usage.get("input", 0),
        "cache_creation_input_tokens": usage.get("written", 0) + usage.get("written_1h", 0),
        "cache_read_input_tokens": usage.get("cached", 0),
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.get("written", 0),
            "ephemeral_1h_input_tokens": usage.get("written_1h", 0),
        },
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-test",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": first,
    }
    yield _typed({"type": "message_start", "message": message})
    yield _typed({"type": "ping"})
    for index, piece in enumerate(pieces):
        cut = reply.stop == "cut_call" and index == len(pieces) - 1
        yield from _messages_block(index, piece, cut=cut)
    stop = {
        "max_tokens": "max_tokens",
        "cut_call": "max_tokens",
        "refusal": "refusal",
        "content_filter": "refusal",
        "pause": "pause_turn",
    }
    details = {"type": "refusal", "category": "cyber", "explanation": "That could do harm."}
    delta = {
        "stop_reason": stop.get(reply.stop) or ("tool_use" if _called(pieces) else "end_turn"),
        "stop_sequence": None,
        "stop_details": details if reply.stop == "refusal" else None,
    }
    last = {
        "output_tokens": usage.get("output", 0),
        "input_tokens": usage.get("input", 0),
        "cache_creation_input_tokens": usage.get("written", 0) + usage.get("written_1h", 0),
        "cache_read_input_tokens": usage.get("cached", 0),
        "output_tokens_details": {"thinking_tokens": usage.get("reasoning", 0)},
    }
    yield _typed({"type": "message_delta", "delta": delta, "usage": last})
    yield _typed({"type": "message_stop"})


def _messages_block(index: int, piece: Piece, *, cut: bool) -> Iterator[Event]:
    deltas: list[dict[str, Any]]
    match piece:
        case Say():
            block: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": text} for text in piece.pieces]
        case Think():
            block = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": text} for text in piece.pieces]
            deltas.append({"type": "signature_delta", "signature": piece.signature})
        case Redacted():
            block = {"type": "redacted_thinking", "data": piece.data}
            deltas = []
        case Call():
            block = {"type": "tool_use", "id": f"toolu_{index:05}", "name": piece.tool, "input": {}}
            texts = piece.pieces[:-1] if cut else piece.pieces
            deltas = [{"type": "input_json_delta", "partial_json": text} for text in ("", *texts)]
        case Search():
            block = {"type": "server_tool_use", "id": f"srvtoolu_{index}", "name": "web_search", "input": {}}
            text = json.dumps({"query": piece.query})
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (text[:5], text[5:])]
    yield _typed({"type": "content_block_start", "index": index, "content_block": block})
    for delta in deltas:
        yield _typed({"type": "content_block_delta", "index": index, "delta": delta})
    yield _typed({"type": "content_block_stop", "index": index})


def _typed(data: dict[str, Any]) -> Event:
    return data["type"], json.dumps(data, ensure_ascii=False)


# Responses --------------------------------------------------------------------------------------------


def responses(reply: Reply, pieces: tuple[Piece, ...]) -> Iterator[Event]:
    numbers = iter(range(10**9))

    def event(kind: str, **members: Any) -> Event:
        return _typed({"type": kind, **members, "sequence_number": next(numbers)})

    base: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-test",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    yield event("response.created", response={**base, "status": "in_progress"})
    yield event("response.in_progress", response={**base, "status": "in_progress"})
    output: list[dict[str, Any]] = []
    shown = [piece for piece in pieces if not isinstance(piece, Redacted | Search)]
    for index, piece in enumerate(shown):
        cut = reply.stop == "cut_call" and index == len(shown) - 1
        opened, whole, deltas = _item(index, piece, refusal=reply.stop == "refusal", cut=cut)
        yield event("response.output_item.added", output_index=index, item=opened)
        if isinstance(piece, Say):
            part = whole["content"][0]
            begun = {**part, part["type"].removeprefix("output_"): ""}
            place = {"item_id": whole["id"], "output_index": index, "content_index": 0}
            yield event("response.content_part.added", **place, part=begun)
        for kind, members in deltas:
            yield event(kind, item_id=whole["id"], output_index=index, **members)
        output.append(whole)
        yield event("response.output_item.done", output_index=index, item=whole)
    ended: dict[str, Any] = {
        **base,
        "output": output,
        "status": "completed",
        "usage": _responses_usage(reply),
    }
    if reply.stop in {"max_tokens", "content_filter", "cut_call"}:
        reason = "content_filter" if reply.stop == "content_filter" else "max_output_tokens"
        ended |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
        yield event("response.incomplete", response=ended)
        return
    yield event("response.completed", response=ended)


def _item(
    index: int, piece: Piece, *, refusal: bool, cut: bool
) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Give an item as it begins, as it ends, and its deltas."""
    match piece:
        case Say():
            opened: dict[str, Any] = {
                "id": f"msg_{index}",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
                "phase": "commentary",
            }
            text = "".join(piece.pieces)
            part: dict[str, Any] = (
                {"type": "refusal", "refusal": text}
                if refusal
                else {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            )
            kind = "response.refusal.delta" if refusal else "response.output_text.delta"
            extra = {} if refusal else {"logprobs": []}
            deltas = [(kind, {"delta": text, "content_index": 0, **extra}) for text in piece.pieces]
            return opened, {**opened, "status": "completed", "content": [part]}, deltas
        case Think():
            opened = {"id": f"rs_{index}", "type": "reasoning", "summary": [], "encrypted_content": None}
            begun = {"type": "summary_text", "text": ""}
            deltas = [("response.reasoning_summary_part.added", {"summary_index": 0, "part": begun})]
            kind = "response.reasoning_summary_text.delta"
            deltas += [(kind, {"delta": text, "summary_index": 0}) for text in piece.pieces]
            summary = [{"type": "summary_text", "text": "".join(piece.pieces)}]
            return opened, {**opened, "summary": summary, "encrypted_content": piece.signature}, deltas
        case Call():
            opened = {
                "id": f"fc_{index}",
                "type": "function_call",
                "call_id": f"call_{index:05}",
                "name": piece.tool,
                "arguments": "",
                "status": "in_progress",
            }
            texts = piece.pieces[:-1] if cut else piece.pieces
            kind = "response.function_call_arguments.delta"
            status = "incomplete" if cut else "completed"
            whole = {**opened, "arguments": "".join(texts), "status": status}
            return opened, whole, [(kind, {"delta": text}) for text in texts]
        case Redacted() | Search():
            raise AssertionError


def _responses_usage(reply: Reply) -> dict[str, Any] | None:
    if reply.usage is None:
        return None
    usage = reply.usage
    total = usage.get("input", 0) + usage.get("cached", 0) + usage.get("written", 0)
    return {
        "input_tokens": total,
        "input_tokens_details": {
            "cached_tokens": usage.get("cached", 0),
            "cache_write_tokens": usage.get("written", 0),
        },
        "output_tokens": usage.get("output", 0),
        "output_tokens_details": {"reasoning_tokens": usage.get("reasoning", 0)},
        "total_tokens": total + usage.get("output", 0),
    }


# Chat Completions -------------------------------------------------------------------------------------


def chat(reply: Reply, pieces: tuple[Piece, ...]) -> Iterator[Event]:
    def chunk(choices: list[dict[str, Any]], **members: Any) -> Event:
        data = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "chat-test",
            "choices": choices,
            **members,
        }
        return None, json.dumps(data, ensure_ascii=False)

    def delta(members: dict[str, Any], finish_reason: str | None = None) -> Event:
        return chunk([{"index": 0, "delta": members, "finish_reason": finish_reason}])

    yield delta({"role": "assistant", "content": ""})
    calls = 0
    for index, piece in enumerate(pieces):
        cut = reply.stop == "cut_call" and index == len(pieces) - 1
        match piece:
            case Say():
                member = "refusal" if reply.stop == "refusal" else "content"
                yield from (delta({member: text}) for text in piece.pieces)
            case Think():
                yield from (delta({"reasoning_content": text, "content": None}) for text in piece.pieces)
            case Call():
                call = {"index": calls, "id": f"call_{calls:05}", "type": "function"}
                yield delta({"tool_calls": [{**call, "function": {"name": piece.tool, "arguments": ""}}]})
                for text in piece.pieces[:-1] if cut else piece.pieces:
                    yield delta({"tool_calls": [{"index": calls, "function": {"arguments": text}}]})
                calls += 1
            case Redacted() | Search():
                pass
    stop = {"max_tokens": "length", "cut_call": "length", "content_filter": "content_filter"}
    yield delta({}, stop.get(reply.stop) or ("tool_calls" if calls else "stop"))
    if reply.usage is not None:
        yield chunk([], usage=_chat_usage(reply.usage))
    yield None, "[DONE]"


def _chat_usage(usage: dict[str, int]) -> dict[str, Any]:
    prompt = usage.get("input", 0) + usage.get("cached", 0) + usage.get("written", 0)
    output = usage.get("output", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": usage.get("cached", 0),
            "cache_write_tokens": usage.get("written", 0),
        },
        "completion_tokens_details": {"reasoning_tokens": usage.get("reasoning", 0)},
    }
