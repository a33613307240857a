"""Which subcommands there are. A command's module is imported when it is called, not before.

Each module has `SPEC` (what it takes, and its help text) and `run(arguments) -> exit code`.
"""

from importlib import import_module
from types import ModuleType
from typing import Final

GROUPS: Final[dict[str, dict[str, str]]] = {
    "Work": {
        "run": "run one prompt in a new or given session, stream what happens",
        "attach": "join a session: its history, then live; lines typed are prompts",
        "watch": "follow a session without touching it",
        "logs": "print what happened in a session",
        "send": "give a session a prompt, and leave",
    },
    "Questions": {
        "approvals": "list what waits for an answer, in all sessions",
        "approve": "allow what a session asks for",
        "deny": "refuse what a session asks for",
    },
    "Sessions": {
        "ps": "list sessions",
        "cancel": "cancel a session's current run",
        "close": "unload a session from the daemon's memory",
        "rename": "give a session another title",
        "fork": "begin a new session with the events of another",
        "export": "write a session's log to a file",
        "rm": "delete a session for good",
    },
    "Daemon": {
        "status": "look at the daemon",
        "stop": "stop the daemon when its runs have ended",
        "serve": "run the daemon here, in the foreground",
        "socket": "print where the daemon listens",
        "acp": "be an agent to an editor that speaks ACP",
        "rpc": "speak the protocol on standard input and output",
        "config": "look at the settings, and change them",
        "doctor": "check what holdfast needs, say what to do",
    },
    "Reference": {
        "demo": "show what holdfast does, in some seconds, and check it",
        "version": "print versions of command, daemon and protocol",
        "schema": "print schemas of the protocol and of JSON output",
        "completion": "print a completion script for bash, zsh or fish",
        "help": "explain a command",
    },
}
"""One line about each command, in the groups and the order of the overview."""

SUMMARIES: Final[dict[str, str]] = {
    name: summary for group in GROUPS.values() for name, summary in group.items()
}

USAGE: Final = """\
usage: holdfast [OPTIONS] [PROMPT]
       holdfast COMMAND [ARGUMENTS]
"""

CLOSING: Final = """\
Without a command: go on with this directory's session, or begin one. A prompt
is one argument with a space in it. `holdfast help COMMAND` explains a command.

A session is named by its id, the beginning of it, or a part of its title.
The daemon starts by itself when it is needed; `holdfast stop` ends it.
"""


def load(name: str) -> ModuleType:
    """Import the module of a subcommand."""
    return import_module(f"holdfast_client.shell.{name}")


def overview() -> str:
    """Give the help text of the whole command."""
    parts = [USAGE]
    for group, summaries in GROUPS.items():
        rows = "".join(f"  {name:<11} {summary}\n" for name, summary in summaries.items())
        parts.append(f"{group}:\n{rows}")
    return "\n".join([*parts, CLOSING])
