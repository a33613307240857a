"""Slash commands for `command/list`: Markdown files of the user and the project, prompts of plugins.

    <config>/commands/NAME.md    <project>/.holdfast/commands/NAME.md (trusted)    prompts of plugins

Of a name the project's comes before a plugin's, a plugin's before the user's.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from holdfast_daemon.extensions.loader import Plugin, Unreadable, read_text
from holdfast_daemon.extensions.markdown_command import (
    ARGUMENTS,
    BODY_BYTES_MAX,
    MarkdownCommand,
    parse_markdown,
)
from holdfast_protocol.content import ContentBlock, TextBlock

COMMANDS_MAX: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Source = Literal["user", "project", "plugin"]


class CommandFailure(Exception):
    """A command cannot be made a prompt of; the message says why."""


class SessionCommand(Protocol):
    """A command a person can type in a session, wherever it comes from.

    Attributes:
        name: what is typed behind the slash.
        source: whose it is.
        origin: a file, a plugin, or a server.
        hint: what may stand behind the name.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above

    @property
    def description(self) -> str: ...  # noqa: D102 - see above

    @property
    def source(self) -> Literal["user", "project", "plugin", "mcp"]: ...  # noqa: D102 - see above

    @property
    def origin(self) -> str: ...  # noqa: D102 - see above

    @property
    def hint(self) -> str | None: ...  # noqa: D102 - see above

    async def content(self, words: str) -> tuple[ContentBlock, ...]:
        """Give the prompt it stands for.

        Args:
            words: what was typed behind the name.

        Raises:
            CommandFailure: there is none.
        """
        ...


class SlashCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is a text. `origin` says where it comes from: a file or a plugin.

    Implements `SessionCommand`.
    """

    command: MarkdownCommand
    source: Source
    origin: str

    @property
    def name(self) -> str:
        """What is typed behind the slash."""
        return self.command.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self.command.description

    @property
    def hint(self) -> str | None:
        """What may stand behind the name."""
        return "[words]" if ARGUMENTS in self.command.prompt else None

    async def content(self, words: str) -> tuple[ContentBlock, ...]:
        """See `SessionCommand.content`; never fails."""
        return (TextBlock(text=self.command.expand(words)),)


def commands_in(folder: Path, source: Source) -> tuple[SlashCommand, ...]:
    """Read the Markdown files of a folder, which need not exist; leave out what cannot be read. Blocks."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".md"))
    except OSError:
        return ()
    found: list[SlashCommand] = []
    for name in names[:COMMANDS_MAX]:
        if _NAME.fullmatch(name.removesuffix(".md")) and not (folder / name).is_symlink():
            try:
                command = parse_markdown(name.removesuffix(".md"), read_text(folder / name, BODY_BYTES_MAX))
            except Unreadable:
                continue
            found.append(SlashCommand(command=command, source=source, origin=str(folder / name)))
    return tuple(found)


def commands_of(plugins: Iterable[Plugin]) -> tuple[SlashCommand, ...]:
    """Give the prompts of plugins as commands."""
    return tuple(
        SlashCommand(command=command, source="plugin", origin=plugin.name)
        for plugin in plugins
        for command in plugin.prompts
    )


def all_commands(
    user: Iterable[SlashCommand], plugins: Iterable[SlashCommand], project: Iterable[SlashCommand]
) -> tuple[SlashCommand, ...]:
    """Give one command of each name, by name."""
    by_name = {command.name: command for commands in (user, plugins, project) for command in commands}
    return tuple(by_name[name] for name in sorted(by_name))
