"""`holdfast completion SHELL`: a completion script, made of the commands' own tables."""

import sys
from typing import Final

from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK

SHELLS: Final = ("bash", "zsh", "fish")

SPEC: Final = Spec(
    usage="""\
holdfast completion SHELL

Print a completion script for bash, zsh or fish. It completes commands,
options, their values, and the ids of sessions and requests.

  bash   eval "$(holdfast completion bash)"             in ~/.bashrc
  zsh    eval "$(holdfast completion zsh)"              in ~/.zshrc,
         after compinit
  fish   holdfast completion fish | source              in config.fish
""",
    choices={"shell": SHELLS},
    positionals=(1, 1),
    completes="shell",
)


def run(arguments: Arguments) -> int:
    """Print the script."""
    from holdfast_client.shell import completion_scripts  # noqa: PLC0415 - it imports every command

    shell = arguments.choice(0, SHELLS)
    sys.stdout.write(completion_scripts.MAKERS[shell](completion_scripts.words()))
    return OK
