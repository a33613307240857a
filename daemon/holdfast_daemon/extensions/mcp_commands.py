"""Prompts of MCP servers as slash commands, `SERVER:PROMPT`.

    /files:explain path=README.md short        words with `NAME=` go where they say, the others in order

The last argument takes all words that are left.
"""

import re
import shlex
from collections.abc import Iterable
from typing import Final

import anyio
import msgspec

from holdfast_daemon.extensions.markdown_command import DESCRIPTION_CHARACTERS_MAX
from holdfast_daemon.extensions.mcp_server import McpServer
from holdfast_daemon.extensions.mcp_values import McpFailure, RemotePrompt
from holdfast_daemon.extensions.slash_commands import COMMANDS_MAX, CommandFailure
from holdfast_protocol.content import ContentBlock, TextBlock

EXPANSION_TIMEOUT_S: Final = 10.0
"""A person waits for what they typed, and what they type next waits for it too."""

EXPANSION_BYTES_MAX: Final = 256 * 1024
"""Of all blocks together, as JSON."""

_NAME_MAX: Final = 128
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]")


def commands_of_servers(servers: Iterable[McpServer]) -> tuple["McpCommand", ...]:
    """Give the prompts the servers offer now, `COMMANDS_MAX` at the most; of a name the first counts."""
    found: dict[str, McpCommand] = {}
    for server in servers:
        for prompt in server.offer.prompts:
            command = McpCommand(server, prompt)
            found.setdefault(command.name, command)
    return tuple(found[name] for name in sorted(found)[:COMMANDS_MAX])


class McpCommand:
    """A prompt of a server. Implements `SessionCommand`.

    Args:
        server: whose.
        prompt: as the server describes it.
    """

    def __init__(self, server: McpServer, prompt: RemotePrompt) -> None:
        self.name = f"{server.name}:{_NOT_IN_NAMES.sub('_', prompt.name)[:_NAME_MAX]}"
        self.description = " ".join(prompt.description.split())[:DESCRIPTION_CHARACTERS_MAX]
        self.source: Final = "mcp"
        self.origin = f"MCP server {server.name}"
        self.hint = _hint(prompt)
        self._server = server
        self._prompt = prompt

    async def content(self, words: str) -> tuple[ContentBlock, ...]:
        """Ask the server for the prompt.

        Raises:
            CommandFailure: an argument is missing or too many, or the server gives none in time.
        """
        arguments = self._arguments(words)
        try:
            with anyio.fail_after(EXPANSION_TIMEOUT_S):
                blocks = await self._server.prompt(self._prompt.name, arguments)
        except TimeoutError as error:
            message = f"/{self.name}: the server did not answer within {EXPANSION_TIMEOUT_S:g} s"
            raise CommandFailure(message) from error
        except McpFailure as failure:
            raise CommandFailure(f"/{self.name}: {failure}") from failure
        size = len(msgspec.json.encode(blocks))
        if size > EXPANSION_BYTES_MAX:
            raise CommandFailure(f"/{self.name}: {size} bytes; the limit is {EXPANSION_BYTES_MAX}")
        return blocks or (TextBlock(text=f"/{self.name} {words}".strip()),)

    def _arguments(self, words: str) -> dict[str, str]:
        given = self._assigned(_split(words))
        missing = [name for name in self._prompt.required if name not in given]
        if missing:
            raise CommandFailure(f"/{self.name} needs {' and '.join(missing)}: /{self.name} {self.hint}")
        return given

    def _assigned(self, words: list[str]) -> dict[str, str]:
        names = self._prompt.arguments
        given: dict[str, str] = {}
        others: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if equals and name in names and name not in given:
                given[name] = value
            else:
                others.append(word)
        places = [name for name in names if name not in given]
        if others and not places:
            raise CommandFailure(f"/{self.name} takes nothing like {others[0][:64]!r}")
        if others and len(others) > len(places):
            others[len(places) - 1 :] = [" ".join(others[len(places) - 1 :])]
        return {**given, **dict(zip(places, others, strict=False))}


def _split(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError:  # A quotation mark that stands alone is a letter like any other.
        return words.split()


def _hint(prompt: RemotePrompt) -> str | None:
    shown = [name if name in prompt.required else f"[{name}]" for name in prompt.arguments]
    return " ".join(shown)[:DESCRIPTION_CHARACTERS_MAX] or None
