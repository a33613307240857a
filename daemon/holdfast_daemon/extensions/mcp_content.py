"""From the content of MCP results to ours. Pure; imports the SDK's types, so import it on first use."""

import mcp_types as types
import msgspec

from holdfast_daemon.extensions.mcp_values import CallOutcome
from holdfast_protocol.content import ContentBlock, ImageBlock, ResourceBlock, ResourceLinkBlock, TextBlock

_URI_MAX = 4096


def outcome_of(result: types.CallToolResult) -> CallOutcome:
    """Give what a tool answered; its structured content only where there is no other."""
    content = tuple(block_of(block) for block in result.content)
    if not content and result.structured_content is not None:
        text = msgspec.json.encode(result.structured_content, enc_hook=str).decode()
        content = (TextBlock(text=text),)
    return CallOutcome(content=content, is_error=result.is_error)


def block_of(block: types.ContentBlock) -> ContentBlock:
    """Give one block; a kind we have no word for becomes a note."""
    match block:
        case types.TextContent():
            return TextBlock(text=block.text)
        case types.ImageContent():
            return ImageBlock(mime_type=block.mime_type[:128], data=block.data)
        case types.AudioContent():
            return TextBlock(text=f"[audio {block.mime_type[:128]}, {len(block.data)} characters of base64]")
        case types.ResourceLink():
            if len(block.uri) > _URI_MAX:
                return TextBlock(text="[a link with an address that is too long]")
            return ResourceLinkBlock(uri=block.uri, name=block.name, mime_type=block.mime_type)
        case types.EmbeddedResource():
            return resource_of(block.resource)


def resource_of(resource: types.TextResourceContents | types.BlobResourceContents) -> ContentBlock:
    """Give the contents of a resource; of one that is no text, an image or a note."""
    mime_type = resource.mime_type
    match resource:
        case types.TextResourceContents():
            return ResourceBlock(uri=resource.uri[:_URI_MAX], text=resource.text, mime_type=mime_type)
        case types.BlobResourceContents() if (mime_type or "").startswith("image/"):
            return ImageBlock(mime_type=(mime_type or "")[:128], data=resource.blob)
        case types.BlobResourceContents():
            size = len(resource.blob)
            return TextBlock(
                text=f"[{mime_type or 'data'} at {resource.uri[:_URI_MAX]}, {size} characters of base64]"
            )
