"""Content blocks: what a prompt and a tool's result are made of (PROTOCOL.md, "Content")."""

from typing import Annotated

import msgspec
from msgspec import Meta


class _Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", tag_field="type"):
    pass


class TextBlock(_Block, frozen=True, kw_only=True, tag="text"):
    """Plain or Markdown text."""

    text: str


class ImageBlock(_Block, frozen=True, kw_only=True, tag="image"):
    """An image, base64 in `data`."""

    mime_type: Annotated[str, Meta(max_length=128)]
    data: str


class ResourceLinkBlock(_Block, frozen=True, kw_only=True, tag="resource_link"):
    """A file or page named by its URI; the agent may read it."""

    uri: Annotated[str, Meta(max_length=4096)]
    name: str | None = None
    mime_type: str | None = None


class ResourceBlock(_Block, frozen=True, kw_only=True, tag="resource"):
    """A file or page whose text the client encloses, for example an unsaved buffer."""

    uri: Annotated[str, Meta(max_length=4096)]
    text: str
    mime_type: str | None = None


ContentBlock = TextBlock | ImageBlock | ResourceLinkBlock | ResourceBlock


def plain_text(blocks: "list[ContentBlock] | tuple[ContentBlock, ...]") -> str:
    """Give the text of blocks for titles, logs and models that take text alone; links by their URI."""
    parts: list[str] = []
    for block in blocks:
        match block:
            case TextBlock():
                parts.append(block.text)
            case ImageBlock():
                parts.append(f"[image {block.mime_type}]")
            case ResourceLinkBlock():
                parts.append(block.uri)
            case ResourceBlock():
                parts.append(f"{block.uri}\n{block.text}")
    return "\n".join(parts)
