"""Keeps a snapshot under its limit: the longest part is shortened until the whole fits.

Pure, and knows nothing of how a snapshot comes about. What was shortened says so: texts that stream by their
`length`, items by `truncated`, every part by its name in `Snapshot.truncated`.

A part is given room, in characters, which is halved while the part is the longest. The room is shared like
water: short items stay whole, the long ones are cut at one level. Of too many items the first stay; without
room a part is empty. Never cut are ids, names and `cwd`: they are bounded where they are admitted.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from holdfast_protocol.content import ContentBlock, ImageBlock, ResourceBlock, ResourceLinkBlock, TextBlock
from holdfast_protocol.events.output import PlanEntry
from holdfast_protocol.events.people import RequestOpened
from holdfast_protocol.snapshot import (
    Child,
    CurrentRun,
    OpenBlock,
    OpenToolCall,
    QueuedPrompt,
    Settings,
    Snapshot,
    SnapshotPart,
)

ITEM_CHARACTERS: Final = 64
"""The least room an item needs; with less for each, the last ones are left out."""

BLOCK_CHARACTERS: Final = 32
"""What a content block takes apart from its text."""

_MEMBER_BYTES: Final = 16
"""A part's name, its quotes, colon and comma."""

_encoder = msgspec.json.Encoder()


def shrink(snapshot: Snapshot, bytes_max: int) -> Snapshot:
    """Give the snapshot as it is if its encoding fits into `bytes_max`, else a shorter one that says so."""
    parts: dict[SnapshotPart, Any] = {name: getattr(snapshot, name) for name in _CUTS}
    sizes: dict[SnapshotPart, int] = {name: _bytes_of(part, bytes_max) for name, part in parts.items()}
    if sum(sizes.values()) <= bytes_max and len(_encoder.encode(snapshot)) <= bytes_max:
        return snapshot
    bytes_max -= _rest_bytes(snapshot)
    rooms: dict[SnapshotPart, int] = dict.fromkeys(parts, bytes_max)
    while sum(sizes.values()) > bytes_max and any(rooms.values()):
        longest = max(parts, key=lambda name: sizes[name] if rooms[name] else 0)
        rooms[longest] //= 2
        parts[longest] = _CUTS[longest](parts[longest], rooms[longest])
        sizes[longest] = _bytes_of(parts[longest], bytes_max)
    return msgspec.structs.replace(snapshot, truncated=_truncated(snapshot, parts), **parts)


def _rest_bytes(snapshot: Snapshot) -> int:
    """Give what the snapshot takes without its parts, with all of them marked as truncated."""
    bare = msgspec.structs.replace(
        snapshot,
        settings=None,
        run=None,
        queue=(),
        requests=(),
        plan=(),
        children=(),
        truncated=tuple(_CUTS),
    )
    return len(_encoder.encode(bare)) + _MEMBER_BYTES * len(_CUTS)


def _truncated(snapshot: Snapshot, parts: dict[SnapshotPart, Any]) -> tuple[SnapshotPart, ...]:
    return tuple(
        name for name in _CUTS if name in snapshot.truncated or parts[name] != getattr(snapshot, name)
    )


def _bytes_of(part: Any, bytes_max: int) -> int:
    """Give a part's encoded size; of one that is too long by its characters alone, only these."""
    match part:
        case CurrentRun():
            characters = sum(len(item.text) for item in (*part.blocks, *part.tool_calls))
        case (QueuedPrompt(), *_):
            characters = sum(_content_characters(prompt) for prompt in part)
        case _:
            characters = 0
    return characters if characters > bytes_max else len(_encoder.encode(part))


def _level(lengths: Sequence[int], room: int) -> int:
    """Give the length to cut at, so that all lengths together fit into the room: short ones stay whole."""
    ordered = sorted(lengths)
    for place, length in enumerate(ordered):
        share = room // (len(ordered) - place)
        if length > share:
            return share
        room -= length
    return max(lengths, default=0)


def _json_bytes(value: Any) -> int:
    return 0 if value is None else len(_encoder.encode(value))


# One function per part: the part, its room in characters, and what is left of it ----------------------


def _cut_settings(settings: Settings | None, room: int) -> Settings | None:
    if settings is None:
        return None
    title, detail = settings.title or "", settings.sandbox.detail or ""
    lengths = (len(title), len(detail), _json_bytes(settings.meta), _json_bytes(settings.roots))
    level = _level(lengths, room)
    return msgspec.structs.replace(
        settings,
        title=None if settings.title is None else title[:level],
        sandbox=msgspec.structs.replace(settings.sandbox, detail=detail[:level] or None),
        meta=settings.meta if lengths[2] <= level else None,
        roots=settings.roots if lengths[3] <= level else (),
    )


def _cut_run(run: CurrentRun | None, room: int) -> CurrentRun | None:
    if run is None:
        return None
    blocks = run.blocks[: room // ITEM_CHARACTERS]
    calls = run.tool_calls[: room // ITEM_CHARACTERS]
    lengths = [len(block.text) for block in blocks]
    lengths += [len(call.text) + len(call.title) + _json_bytes(call.input) for call in calls]
    level = _level(lengths, room)
    return msgspec.structs.replace(
        run,
        blocks=tuple(_cut_block(block, level) for block in blocks),
        tool_calls=tuple(_cut_tool_call(call, level) for call in calls),
    )


def _cut_block(block: OpenBlock, level: int) -> OpenBlock:
    return msgspec.structs.replace(block, text=_last(block.text, level))


def _cut_tool_call(call: OpenToolCall, level: int) -> OpenToolCall:
    """Keep the end of the output; the input whole or not at all."""
    whole = len(call.title) + _json_bytes(call.input)
    if whole > level:
        call = msgspec.structs.replace(call, title=call.title[:level], input=None, truncated=True)
        whole = len(call.title)
    return msgspec.structs.replace(call, text=_last(call.text, level - whole))


def _last(text: str, length: int) -> str:
    return text[max(0, len(text) - length) :]


def _cut_queue(queue: tuple[QueuedPrompt, ...], room: int) -> tuple[QueuedPrompt, ...]:
    queue = queue[: room // ITEM_CHARACTERS]
    lengths = [_content_characters(prompt) for prompt in queue]
    level = _level(lengths, room)
    return tuple(
        prompt if length <= level else _cut_prompt(prompt, level)
        for prompt, length in zip(queue, lengths, strict=True)
    )


def _cut_prompt(prompt: QueuedPrompt, level: int) -> QueuedPrompt:
    """Keep the first words, nothing else."""
    texts: list[ContentBlock] = []
    for block in prompt.content:
        if isinstance(block, TextBlock) and level > BLOCK_CHARACTERS:
            text = block.text[: level - BLOCK_CHARACTERS]
            texts.append(TextBlock(text=text))
            level -= BLOCK_CHARACTERS + len(text)
    return msgspec.structs.replace(prompt, content=tuple(texts), truncated=True)


def _content_characters(prompt: QueuedPrompt) -> int:
    return sum(BLOCK_CHARACTERS + _block_characters(block) for block in prompt.content)


def _block_characters(block: ContentBlock) -> int:
    match block:
        case TextBlock():
            return len(block.text)
        case ImageBlock():
            return len(block.data) + len(block.mime_type)
        case ResourceLinkBlock():
            return len(block.uri) + len(block.name or "") + len(block.mime_type or "")
        case ResourceBlock():
            return len(block.uri) + len(block.text) + len(block.mime_type or "")


def _cut_requests(requests: tuple[RequestOpened, ...], room: int) -> tuple[RequestOpened, ...]:
    requests = requests[: room // ITEM_CHARACTERS]
    lengths = [_json_bytes(request) for request in requests]
    level = _level(lengths, room)
    return tuple(
        request if length <= level else _cut_request(request, level)
        for request, length in zip(requests, lengths, strict=True)
    )


def _cut_request(request: RequestOpened, level: int) -> RequestOpened:
    return msgspec.structs.replace(
        request,
        title=request.title[:level],
        detail=None,
        options=request.options if _json_bytes(request.options) <= level else (),
        truncated=True,
    )


def _cut_plan(plan: tuple[PlanEntry, ...], room: int) -> tuple[PlanEntry, ...]:
    plan = plan[: room // ITEM_CHARACTERS]
    level = _level([len(entry.content) for entry in plan], room)
    return tuple(msgspec.structs.replace(entry, content=entry.content[:level]) for entry in plan)


def _cut_children(children: tuple[Child, ...], room: int) -> tuple[Child, ...]:
    return children[: room // ITEM_CHARACTERS]


_CUTS: Final[dict[SnapshotPart, Callable[[Any, int], Any]]] = {
    "settings": _cut_settings,
    "run": _cut_run,
    "queue": _cut_queue,
    "requests": _cut_requests,
    "plan": _cut_plan,
    "children": _cut_children,
}
