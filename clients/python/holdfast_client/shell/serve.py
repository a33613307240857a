"""`holdfast serve`: the daemon here, in the foreground, by executing it."""

import os
import sys
from typing import Final

from holdfast_client.shell import spawn
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import Unreachable

SPEC: Final = Spec(
    usage="""\
holdfast serve [OPTIONS OF holdfastd]

Run the daemon here, in the foreground, until Ctrl-C: for a supervisor, or to
look at it. All arguments go to `holdfastd`; `holdfastd --help` explains them.
""",
    positionals=(0, None),
    passes_on=True,
)


def run(arguments: Arguments) -> int:
    """Become the daemon.

    Raises:
        Unreachable: there is no `holdfastd`, or it cannot be executed.
    """
    program = spawn.find_daemon(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(program, [program, *arguments.positionals])  # noqa: S606 - the daemon's own program, no shell
    except OSError as error:
        raise Unreachable(f"cannot execute {program}: {error.strerror}", "start_failed") from None
