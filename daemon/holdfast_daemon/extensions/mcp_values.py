"""What an MCP server offers and asks, in values of ours. Knows nothing of the SDK or of processes."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

import msgspec

from holdfast_daemon.extensions.manifest import ServerEntry, StdioServer
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import Json


class McpFailure(Exception):
    """A server cannot be reached, broke off or refused; the message is a sentence.

    Args:
        message: why.
        lost: the connection is of no use any more.
        kind: a stable name, as `mcp_failed`, `mcp_lost`.
    """

    def __init__(self, message: str, *, lost: bool = False, kind: str = "mcp_failed") -> None:
        super().__init__(message)
        self.lost = lost
        self.kind = "mcp_lost" if lost else kind


SECRET_CHARACTERS_MIN: Final = 4
"""A shorter value is a switch or a number, and would be struck out of half of what is said."""


class Secrets:
    """Values a server was given to keep: struck out of all that is told when it fails.

    Args:
        values: those of fewer than `SECRET_CHARACTERS_MIN` characters are left out.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        kept = sorted({value for value in values if len(value) >= SECRET_CHARACTERS_MIN}, key=len)
        self.longest = len(kept[-1]) if kept else 0
        self._pattern = re.compile("|".join(map(re.escape, reversed(kept)))) if kept else None

    def struck(self, text: str) -> str:
        """Give the text with `***` for each value."""
        return text if self._pattern is None else self._pattern.sub("***", text)


def secrets_of(entry: ServerEntry) -> Secrets:
    """Give the values of a declaration's environment or headers; of `Bearer TOKEN` the token too."""
    if isinstance(entry, StdioServer):
        return Secrets(entry.env.values())
    return Secrets(part for value in entry.headers.values() for part in (value, value.rpartition(" ")[2]))


class RemoteTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its server describes it; the schema is not checked yet."""

    name: str
    description: str
    input_schema: dict[str, Json]


class RemoteResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource; `template`: the URI has places to fill in."""

    uri: str
    name: str
    description: str = ""
    mime_type: str | None = None
    template: bool = False


class RemotePrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt; `arguments` are names, `required` those that must be given."""

    name: str
    description: str = ""
    arguments: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """All a server offers at one moment."""

    tools: tuple[RemoteTool, ...] = ()
    resources: tuple[RemoteResource, ...] = ()
    prompts: tuple[RemotePrompt, ...] = ()


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answered."""

    content: tuple[ContentBlock, ...]
    is_error: bool


class Elicitation(msgspec.Struct, frozen=True, kw_only=True):
    """A server's question to a person.

    Attributes:
        server: its name.
        message: what it says; not to be trusted.
        schema: of the form, a flat object; None for a question about an address.
        url: the address the person is to open; None for a form.
    """

    server: str
    message: str
    schema: dict[str, Json] | None = None
    url: str | None = None


class ElicitationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the person said; `content` only where a form was accepted."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Json] | None = None


Elicit = Callable[[Elicitation], Awaitable[ElicitationAnswer]]
"""Asks a person. May wait for as long as it likes: the calls of that server do not age meanwhile. Must not
raise; cancelled when the server takes its question back or goes away."""
