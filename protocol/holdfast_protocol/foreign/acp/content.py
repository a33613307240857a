"""Content blocks, and what a tool call shows."""

from typing import Annotated, Any, Literal

from holdfast_protocol.foreign.acp.base import OPTIONAL, SKIPPING, Foreign


class Annotations(Foreign, frozen=True, kw_only=True):
    """Hints about a block."""

    audience: Annotated[tuple[Literal["assistant", "user"], ...] | None, SKIPPING] = None
    last_modified: Annotated[str | None, OPTIONAL] = None
    priority: Annotated[float | None, OPTIONAL] = None


class _Block(Foreign, frozen=True, kw_only=True, tag_field="type"):
    annotations: Annotated[Annotations | None, OPTIONAL] = None


class Text(_Block, frozen=True, kw_only=True, tag="text"):
    """Plain or Markdown text."""

    text: str


class Image(_Block, frozen=True, kw_only=True, tag="image"):
    """An image, base64."""

    data: str
    mime_type: str
    uri: Annotated[str | None, OPTIONAL] = None


class Audio(_Block, frozen=True, kw_only=True, tag="audio"):
    """Sound, base64."""

    data: str
    mime_type: str


class ResourceLink(_Block, frozen=True, kw_only=True, tag="resource_link"):
    """A file or page by its URI."""

    name: str
    uri: str
    description: Annotated[str | None, OPTIONAL] = None
    mime_type: Annotated[str | None, OPTIONAL] = None
    size: Annotated[int | None, OPTIONAL] = None
    title: Annotated[str | None, OPTIONAL] = None


class ResourceContents(Foreign, frozen=True, kw_only=True):
    """What an embedded resource holds: either `text`, or bytes as base64 in `blob`."""

    uri: str
    text: str | None = None
    blob: str | None = None
    mime_type: Annotated[str | None, OPTIONAL] = None


class Resource(_Block, frozen=True, kw_only=True, tag="resource"):
    """A file or page with its content."""

    resource: ResourceContents


Block = Text | Image | Audio | ResourceLink | Resource


class Shown(Foreign, frozen=True, kw_only=True, tag_field="type", tag="content"):
    """A block that a tool call shows."""

    content: Block


class Diff(Foreign, frozen=True, kw_only=True, tag_field="type", tag="diff"):
    """A change to one file; without `old_text` the file is new."""

    path: str
    new_text: str
    old_text: str | None = None


class TerminalShown(Foreign, frozen=True, kw_only=True, tag_field="type", tag="terminal"):
    """A terminal of the client's that a tool call shows live."""

    terminal_id: str


ToolContent = Shown | Diff | TerminalShown


class Place(Foreign, frozen=True, kw_only=True):
    """A place in a file, absolute; lines count from 1."""

    path: str
    line: int | None = None


Kind = Literal[
    "read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"
]
Status = Literal["pending", "in_progress", "completed", "failed"]

Raw = Any
"""A tool's input or output as it is."""
