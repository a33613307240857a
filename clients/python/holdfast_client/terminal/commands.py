"""Slash commands: their table, and what a line means. Pure; `actions` carries them out."""

import difflib
import re
from typing import Final, Literal, NamedTuple

_COMMAND: Final = re.compile(r"/([a-z]+)(?:\s+(.*))?", re.DOTALL)


class Command(NamedTuple):
    """A command.

    Attributes:
        arguments: as help shows them.
        help: one line.
        completes: what its first argument is completed with.
    """

    name: str
    arguments: str
    help: str
    completes: Literal["", "models", "modes", "sessions"] = ""


COMMANDS: Final = (
    Command("help", "", "what keys and commands there are"),
    Command("model", "[NAME]", "show the models, or use another one", "models"),
    Command("mode", "[MODE]", "show the mode, or set what tools may do", "modes"),
    Command("usage", "", "what this session has used"),
    Command("queue", "[remove N | clear]", "show what waits, or take some out"),
    Command("steer", "TEXT", "tell the run that goes on, before its next step"),
    Command("interrupt", "TEXT", "cancel the run, do this instead"),
    Command("continue", "", "take up a failed or interrupted run"),
    Command("cancel", "", "cancel the run"),
    Command("thinking", "", "show or fold what the model thinks"),
    Command("sessions", "[ID]", "list sessions here, or go to another", "sessions"),
    Command("detach", "", "leave; the session goes on"),
)

NAMES: Final = {command.name: command for command in COMMANDS}

KEYS: Final = (
    ("Enter", "send; while a run goes on the prompt waits in the queue"),
    ("Ctrl-S", "send as steering: the run sees it before its next step"),
    ("Alt-Enter, Ctrl-J", "a new line"),
    ("Tab", "complete a command, or a path after @"),
    ("Up, Down", "earlier prompts"),
    ("Shift-Tab", "the next mode: ask, plan, accept_edits, auto"),
    ("Ctrl-T", "show or fold thinking"),
    ("Ctrl-O", "show all of what a question is about"),
    ("Ctrl-C", "cancel the run; once more leaves"),
    ("Ctrl-], Ctrl-D", "leave; the session goes on"),
)


class Line(NamedTuple):
    """A line that is a command: its name, known or not, and the rest."""

    name: str
    argument: str


def parse(text: str) -> Line | None:
    """Give the command a text is; None if it is a prompt. A path such as `/etc/hosts` is no command."""
    found = _COMMAND.fullmatch(text.strip())
    return None if found is None else Line(found[1], (found[2] or "").strip())


def unknown(name: str) -> str:
    """Say that there is no such command, and which was meant."""
    near = difflib.get_close_matches(name, NAMES, n=1)
    return f"there is no /{name}" + (f"; did you mean /{near[0]}?" if near else "; /help lists the commands")


def help_lines() -> list[str]:
    """Give what `/help` shows, in at most 80 columns."""
    width = max(len(f"/{command.name} {command.arguments}") for command in COMMANDS)
    lines = [f"{f'/{command.name} {command.arguments}':{width}}  {command.help}" for command in COMMANDS]
    width = max(len(keys) for keys, _ in KEYS)
    return [*lines, "", *(f"{keys:{width}}  {help_text}" for keys, help_text in KEYS)]
