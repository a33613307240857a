"""Bare `holdfast`: go on with this directory's session, or begin one. Not a subcommand."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from holdfast_client.shell import commands, daemon, prompt_input, reach, sessions, surroundings
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import USAGE, UsageError
from holdfast_client.shell.screen import COLOR_MODES

SPEC: Final = Spec(
    usage="""\
holdfast [--new] [--color WHEN] [PROMPT]

Go on with this directory's session: the one last used here, or a new one. At a
terminal this is `holdfast attach`; elsewhere PROMPT is run to its end, as by
`holdfast run`. A prompt is one argument with a space in it.

  --new          begin a new session
  --color WHEN   auto, always or never
""",
    flags={"--new": "new"},
    options={"--color": "color"},
    choices={"color": COLOR_MODES},
    positionals=(0, None),
)


def run(arguments: Arguments) -> int:
    """Attach at a terminal; elsewhere run the prompt, and without one say how this is called."""
    _check(arguments.positionals)
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        return _attach(arguments)
    if not arguments.positionals and not prompt_input.is_piped():
        print(commands.overview(), end="", file=sys.stderr)
        return USAGE
    from holdfast_client.shell import run as one_run  # noqa: PLC0415 - not where a terminal is attached

    wanted = "new" if "new" in arguments.flags else "here"
    return one_run.run(Arguments(arguments.positionals, {wanted}, arguments.options, arguments.preferences))


def _check(words: list[str]) -> None:
    """Refuse what is no prompt: a command behind an option would be sent to a model.

    Raises:
        UsageError: a single word without a space, or the name of a command.
    """
    if words and words[0] in commands.SUMMARIES:
        raise UsageError(f"options stand behind the command: holdfast {words[0]} …")
    if len(words) == 1 and words[0] != "-" and not any(character.isspace() for character in words[0]):
        raise UsageError(f"there is no command {words[0]!r}; a prompt is one argument with a space in it")


def _attach(arguments: Arguments) -> int:
    from holdfast_client.shell import attach, interactive  # noqa: PLC0415 - not where a prompt is run

    wire = reach.started().wire
    session_id = _session(wire, arguments.preferences, new="new" in arguments.flags)
    prompt = prompt_input.sendable(" ".join(arguments.positionals))
    terminal = interactive.find(os.environ)
    if terminal is None and prompt:
        content = [{"type": "text", "text": prompt}]
        wire.call(
            "session/prompt", {"sessionId": session_id, "promptId": daemon.new_id(), "content": content}
        )
    wire.close()
    if terminal is None:
        return attach.run(Arguments([session_id], {"plain"}, arguments.options, arguments.preferences))
    return terminal.run(session_id, prompt=prompt or None, color=arguments.chosen("color", "auto"))


def _session(wire: sessions.Caller, preferences: Mapping[str, str], *, new: bool) -> str:
    directory = surroundings.directory()
    row = None if new else sessions.last_used(wire, directory)
    if row is not None:
        return row["sessionId"]
    params = surroundings.new_session(os.environ, preferences)
    return wire.call("session/create", params)["sessionId"]
