"""`holdfast acp`: an agent to any editor that speaks the Agent Client Protocol.

Answers the editor's first message before anything else is imported: an editor freezes until it has that
answer.
"""

from importlib import import_module
from typing import Any, Final

from holdfast_client.shell.arguments import Arguments, Spec

SPEC: Final = Spec(
    usage="""\
holdfast acp

Speak the Agent Client Protocol (version 1) on standard input and output, as an
agent that an editor starts. The sessions are the daemon's: what an editor
begins can be watched, answered and taken up from a shell or another editor, and
goes on when the editor is closed. The daemon is started if none runs.

`docs/acp.md` says how to set up Zed, JetBrains IDEs, Neovim, Emacs and others.
""",
)

_GREETING: Final = "holdfast_client.bridges.acp.greeting"  # By name: it stands above the shell.
_PROGRAM: Final = "holdfast_client.bridges.acp.program"

_STDIN: Final = 0
_STDOUT: Final = 1


def run(arguments: Arguments) -> int:
    """Serve the editor until it ends its side."""
    del arguments
    greeting: Any = import_module(_GREETING)
    greeted = greeting.greet(_STDIN, _STDOUT)
    program: Any = import_module(_PROGRAM)
    return program.run(greeted)
