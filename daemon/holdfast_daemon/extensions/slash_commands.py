"""Slash commands for `command/list`: Markdown files of the user and the project, prompts of plugins.

    <config>/commands/NAME.md    <project>/.holdfast/commands/NAME.md (trusted)    prompts of plugins

Of a name the project's comes before a plugin's, a plugin's before the user's.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from holdfast_daemon.extensions.loader import Plugin, Unreadable, read_text
from holdfast_daemon.extensions.markdown_command import BODY_BYTES_MAX, MarkdownCommand, parse_markdown

COMMANDS_MAX: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Source = Literal["user", "project", "plugin"]


class SlashCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command a person can type. `origin` says where it comes from: a file or a plugin."""

    command: MarkdownCommand
    source: Source
    origin: str

    @property
    def name(self) -> str:
        """What is typed behind the slash."""
        return self.command.name


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
