"""Completes slash commands and their first argument, and paths after an `@`."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from holdfast_client.shell.plain import plain
from holdfast_client.terminal.commands import COMMANDS, NAMES

PATHS_MAX: Final = 50
_ENTRIES_LOOKED_AT_MAX: Final = 5000
_MENTION: Final = re.compile(r"(?:^|\s)@(\S*)$")

Arguments = Callable[[str], Sequence[str]]
"""Gives the values known for a kind of argument (`Command.completes`). Must not raise and not wait."""


class TerminalCompleter(Completer):
    """What may follow what was typed.

    Args:
        cwd: gives the directory paths are relative to.
        arguments: see `Arguments`.
    """

    def __init__(self, cwd: Callable[[], str], arguments: Arguments) -> None:
        self._cwd = cwd
        self._arguments = arguments

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See `Completer`."""
        del complete_event
        before = document.text_before_cursor
        mention = _MENTION.search(before)
        if mention is not None:
            for path in paths(self._cwd(), mention[1]):
                yield Completion(path, start_position=-len(mention[1]))
        elif before.startswith("/") and "\n" not in before:
            yield from self._commands(before)

    def _commands(self, before: str) -> Iterable[Completion]:
        name, blank, argument = before[1:].partition(" ")
        if not blank:
            for command in sorted(COMMANDS, key=lambda command: command.name != name):
                if command.name.startswith(name):
                    yield Completion(
                        f"/{command.name}", start_position=-len(before), display_meta=command.help
                    )
        elif name in NAMES and NAMES[name].completes:
            for value in self._arguments(NAMES[name].completes):
                if value.startswith(argument):
                    yield Completion(value, start_position=-len(argument))


def paths(cwd: str, beginning: str) -> list[str]:
    """Give the paths below a directory that begin so: a level at a time, directories with a slash.

    Hidden ones are given only to who begins with a dot. Names that a terminal cannot show are left out.
    """
    folder, _, name = beginning.rpartition("/")
    prefix = f"{folder}/" if "/" in beginning else ""
    found: list[str] = []
    try:
        with os.scandir(Path(cwd, prefix or ".")) as entries:
            for number, entry in enumerate(entries):
                if number >= _ENTRIES_LOOKED_AT_MAX:
                    break
                if _fits(entry.name, name):
                    found.append(f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}")
    except OSError:
        return []
    return sorted(found)[:PATHS_MAX]


def _fits(entry: str, name: str) -> bool:
    if not entry.startswith(name) or (entry.startswith(".") and not name.startswith(".")):
        return False
    return plain(entry) == entry and not any(character.isspace() for character in entry)


def without_marks(text: str, cwd: str) -> str:
    """Give a prompt in which paths that exist stand without their `@`, as tools take them."""

    def bare(found: "re.Match[str]") -> str:
        path = found[2].rstrip(".,;:!?)")
        return found[1] + found[2] if path and _exists(Path(cwd, path)) else found[0]

    return re.sub(r"(^|\s)@(\S+)", bare, text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
