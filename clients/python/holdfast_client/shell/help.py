"""`holdfast help [COMMAND]`."""

from typing import Final

from holdfast_client.shell import commands
from holdfast_client.shell.arguments import Arguments, Spec, meant
from holdfast_client.shell.exit_codes import OK, UsageError

SPEC: Final = Spec(
    usage="holdfast help [COMMAND]\n\nExplain a command, or list them all.\n",
    positionals=(0, 1),
    completes="command",
)


def run(arguments: Arguments) -> int:
    """Print a help text."""
    if not arguments.positionals:
        print(commands.overview(), end="")
        return OK
    name = arguments.positionals[0]
    if name not in commands.SUMMARIES:
        raise UsageError(f"there is no command {name!r}{meant(name, commands.SUMMARIES)}")
    print(f"usage: {commands.load(name).SPEC.usage}", end="")
    return OK
