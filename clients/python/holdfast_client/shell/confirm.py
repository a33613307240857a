"""A question of the command itself: asked at a terminal, and never elsewhere."""

import sys

from holdfast_client.shell.exit_codes import PERMISSION, CommandFailed


def confirm(question: str, flag: str) -> None:
    """Go on only if the person says yes.

    Args:
        question: one sentence, with its question mark.
        flag: the option that would have answered.

    Raises:
        CommandFailed: no, or there is nobody to ask; the message names the flag.
    """
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed(f"{question} There is nobody to ask; {flag} says yes", PERMISSION, "needs_answer")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed(f"nothing was changed ({flag} says yes)", PERMISSION, "refused")
