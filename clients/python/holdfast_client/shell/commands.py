"""Which subcommands there are. A command's module is imported when it is called, not before.

Each module has `SPEC` (what it takes, and its help text) and `run(arguments) -> exit code`.
"""

from importlib import import_module
from types import ModuleType
from typing import Final

SUMMARIES: Final[dict[str, str]] = {
    "run": "run one prompt in a new or given session and stream what happens",
    "attach": "join a session: its history, then live; lines typed are prompts",
    "watch": "follow a session without touching it",
    "ps": "list sessions",
    "cancel": "cancel a session's current run",
    "status": "look at the daemon",
    "stop": "stop the daemon when its runs have ended",
    "version": "print versions of command, daemon and protocol",
    "help": "explain a command",
}


def load(name: str) -> ModuleType:
    """Import the module of a subcommand."""
    return import_module(f"holdfast_client.shell.{name}")


def overview() -> str:
    """Give the help text of the whole command."""
    rows = "\n".join(f"  {name:<9} {summary}" for name, summary in SUMMARIES.items())
    return f"""\
usage: holdfast COMMAND [ARGUMENTS]

{rows}

holdfast help COMMAND explains one. A session is named by its id, the beginning of it, or a part of its title.
The daemon is started by the first `run` or `attach` and stays when they end; `holdfast stop` ends it.
"""
