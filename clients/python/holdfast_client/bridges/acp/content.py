"""Content blocks, both ways: the mapping functions and nothing else."""

from collections.abc import Iterable
from typing import Final

from holdfast_client.bridges.acp.refusals import bad_params
from holdfast_protocol import content as ours
from holdfast_protocol.foreign.acp import content as theirs

_FENCE: Final = "```"


def blocks_of(prompt: Iterable[theirs.Block]) -> tuple[ours.ContentBlock, ...]:
    """Give a prompt's blocks as ours.

    Raises:
        Refusal: there are none, or one is of a kind that was not offered.
    """
    blocks = tuple(_block_of(block) for block in prompt)
    if not blocks:
        raise bad_params("A prompt has at least one block.")
    return blocks


def _block_of(block: theirs.Block) -> ours.ContentBlock:
    match block:
        case theirs.Text():
            return ours.TextBlock(text=block.text)
        case theirs.Image():
            return ours.ImageBlock(mime_type=block.mime_type, data=block.data)
        case theirs.ResourceLink():
            return ours.ResourceLinkBlock(uri=block.uri, name=block.name, mime_type=block.mime_type)
        case theirs.Resource():
            return _resource_of(block.resource)
        case theirs.Audio():
            raise bad_params("Audio is not among the prompt capabilities.")


def _resource_of(resource: theirs.ResourceContents) -> ours.ContentBlock:
    mime_type = resource.mime_type
    if resource.text is not None:
        return ours.ResourceBlock(uri=resource.uri, text=resource.text, mime_type=mime_type)
    if resource.blob is not None and (mime_type or "").startswith("image/"):
        return ours.ImageBlock(mime_type=mime_type or "", data=resource.blob)
    if resource.blob is not None:  # Bytes a model cannot be shown; where they are from it can be told.
        return ours.ResourceLinkBlock(uri=resource.uri, mime_type=mime_type)
    raise bad_params("A resource has either text or a blob.")


def shown(block: ours.ContentBlock) -> theirs.Block:
    """Give one of our blocks as an editor shows it."""
    match block:
        case ours.TextBlock():
            return theirs.Text(text=block.text)
        case ours.ImageBlock():
            return theirs.Image(data=block.data, mime_type=block.mime_type)
        case ours.ResourceLinkBlock():
            name = block.name or block.uri.rpartition("/")[2] or block.uri
            return theirs.ResourceLink(uri=block.uri, name=name, mime_type=block.mime_type)
        case ours.ResourceBlock():
            contents = theirs.ResourceContents(uri=block.uri, text=block.text, mime_type=block.mime_type)
            return theirs.Resource(resource=contents)


def text_shown(text: str) -> theirs.Shown:
    """Give a text that a tool call shows, as Markdown."""
    return theirs.Shown(content=theirs.Text(text=text))


def output_shown(text: str) -> theirs.Shown:
    """Give a program's output or a file's text: no Markdown, so that it is fenced."""
    fence = _FENCE
    while fence in text:
        fence += "`"
    return text_shown(f"{fence}\n{text.rstrip()}\n{fence}")
