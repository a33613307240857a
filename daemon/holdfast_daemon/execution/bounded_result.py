"""Cuts a tool's result down to what a model is shown. Knows nothing of tools' execution."""

from typing import Final

import msgspec

from holdfast_daemon.execution.excerpt import NOTE_BYTES_MAX, excerpt, sayable
from holdfast_daemon.tools.base import ToolResult
from holdfast_protocol.content import ContentBlock, ImageBlock, ResourceBlock, ResourceLinkBlock, TextBlock

DIFF_BYTES_MAX: Final = 512 * 1024
"""What one event can carry of diffs besides the result (`JournalLimits.event_bytes_max`)."""

_NOTES_BYTES_MAX: Final = 128
_LEFT_OUT: Final = "[{} more blocks of the result were left out: it is too large]"


def bound_result(result: ToolResult, bytes_max: int) -> ToolResult:
    """Give the result with at most `bytes_max` bytes of content, notes included.

    Blocks that fit stay; the first text that does not is cut to head and tail; what follows is counted.
    """
    content = tuple(_sayable(block) for block in result.content)
    bounded = _bounded(content, bytes_max)
    diff_fits = sum(_size(d.path, d.new_text, d.old_text) for d in result.diff) <= DIFF_BYTES_MAX
    return msgspec.structs.replace(
        result,
        content=bounded,
        diff=result.diff if diff_fits else (),
        truncated=result.truncated or bounded is not content or not diff_fits,
    )


def _bounded(content: tuple[ContentBlock, ...], bytes_max: int) -> tuple[ContentBlock, ...]:
    sizes = [_block_size(block) for block in content]
    if sum(sizes) <= bytes_max:
        return content
    room = bytes_max - _NOTES_BYTES_MAX
    kept: list[ContentBlock] = []
    for block, size in zip(content, sizes, strict=True):
        if size > room:
            if isinstance(block, TextBlock) and room >= 2 * NOTE_BYTES_MAX:
                kept.append(TextBlock(text=excerpt(block.text, room)))
            break
        kept.append(block)
        room -= size
    if len(kept) < len(content):
        kept.append(TextBlock(text=_LEFT_OUT.format(len(content) - len(kept))))
    return tuple(kept)


def _block_size(block: ContentBlock) -> int:
    match block:
        case TextBlock():
            return _size(block.text)
        case ImageBlock():
            return _size(block.mime_type, block.data)
        case ResourceLinkBlock():
            return _size(block.uri, block.name, block.mime_type)
        case ResourceBlock():
            return _size(block.uri, block.text, block.mime_type)


def _size(*texts: str | None) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts if text)


def _sayable(block: ContentBlock) -> ContentBlock:
    match block:
        case TextBlock() | ResourceBlock():
            text = sayable(block.text)
            return block if text is block.text else msgspec.structs.replace(block, text=text)
        case _:
            return block
