"""`holdfast run PROMPT… [-]`: one prompt, from its admission to the end of its run."""

import math
import os
import sys
from pathlib import Path
from typing import Any, Final

from holdfast_client.shell import answers, daemon, prompt_input, report, sessions, streams, surroundings
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import INTERRUPTED, NO_SESSION, OK, CommandFailed, Detached, UsageError
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.keyboard import Keyboard
from holdfast_client.shell.link import Link
from holdfast_client.shell.prompt_run import PromptRun
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import COLOR_MODES, open_screen

SPEC: Final = Spec(
    usage="""\
holdfast run [OPTIONS] PROMPT… [-]

Run one prompt, in a new session or a given one, and stream what happens. Piped
input, or input asked for with `-`, is appended as a second block. The answer
goes to standard output, all else to standard error.

  -c, --continue      prompt the session last used in this directory
  -r, --resume ID     prompt this session
  --session ID        the same
  --name TITLE        name the new session
  --title TITLE       the same
  --model MODEL       the model to use
  --mode MODE         what the run may do without asking: ask, plan,
                      accept_edits or auto; ask
  --unattended WHAT   what becomes of a question that nobody is here to answer,
                      in a new session: wait, deny or fail; wait
  --max-steps N       pause after so many responses of the model
  --max-cost USD      pause when it has cost so much
  --timeout S         pause after so many seconds
  --format FORMAT     text, json (one document) or stream-json (one object per
                      line); text
  --json              the same as --format json
  -o, --output FILE   write the final text to a file
  --detach            print the session's id once the prompt is admitted, and
                      leave
  --color WHEN        auto, always or never

A limit is looked at when a step has ended. The run then asks whether to go on:
`holdfast approve` gives it as much again, `holdfast deny` ends it. After
--timeout this command does not wait for a step that goes on; one that never
ends goes on, and may cost, until `holdfast cancel`.

At a terminal, what the run asks is answered there by a letter and Return.
Ctrl-C cancels the run; once more leaves, and the run goes on.

The exit code is the outcome: 0 completed, 1 failed, 3 a limit was reached, 4
credentials, 5 an answer is needed and nobody is here to give it, 75 try again,
130 interrupted.
""",
    flags={"-c": "continue", "--continue": "continue", "--detach": "detach", "--json": "json"},
    options={
        "-r": "session",
        "--resume": "session",
        "--session": "session",
        "--name": "title",
        "--title": "title",
        "--model": "model",
        "--mode": "mode",
        "--unattended": "unattended",
        "--max-steps": "max-steps",
        "--max-cost": "max-cost",
        "--timeout": "timeout",
        "--format": "format",
        "-o": "output",
        "--output": "output",
        "--color": "color",
    },
    choices={
        "format": report.FORMATS,
        "color": COLOR_MODES,
        "mode": prompt_input.MODES,
        "unattended": ("wait", "deny", "fail"),
    },
    positionals=(0, None),
)


def run(arguments: Arguments) -> int:
    """Run one prompt and give the exit code of its run."""
    # The id that `--detach` prints is for a script, whatever a person prefers.
    preferred = "text" if "detach" in arguments.flags else arguments.preferences.get("format", "text")
    style = report.style_of(arguments, preferred)
    screen = open_screen(
        sys.stdout, sys.stderr, arguments.chosen("color", "auto"), os.environ, activity_is_data=False
    )
    renderer = Renderer(screen, show_prompts=False)
    renderer.shows_proposals = _keyboard(arguments) is None  # Else they are shown to whoever is asked.
    reported = report.make(style, screen, renderer)
    try:
        return _prompt(arguments, prompt_input.content(arguments.positionals), reported)
    except BrokenPipeError:
        streams.abandon(1, 2)
        return INTERRUPTED  # The run goes on, its end is not known.
    except (Detached, KeyboardInterrupt):
        reported.end({"status": "detached", "exitCode": INTERRUPTED})
        return INTERRUPTED
    except CommandFailed as failure:
        error = {"kind": failure.kind, "message": failure.message}
        reported.end({"status": "error", "exitCode": failure.exit_code, "error": error})
        raise


def _prompt(arguments: Arguments, content: list[dict[str, Any]], reported: report.Report) -> int:
    params = {"content": content, "promptId": daemon.new_id(), **_budget(arguments)}
    output = _open_output(arguments.options.get("output"))
    interrupts = Interrupts()
    keyboard = _keyboard(arguments)
    kinds = answers.KINDS if keyboard is not None else ()
    link = daemon.open_link(interrupts, may_start=True, answers=kinds)
    with interrupts:
        session_id, is_new = _session(link, arguments)
        params["sessionId"] = session_id
        if not is_new:
            params |= _given(arguments, "model", "mode")
        if "detach" in arguments.flags:
            return _detach(link, params, reported)
        outcome = PromptRun(link, interrupts, reported, params, keyboard).follow(from_start=is_new)
    if output is not None and outcome.status == "completed":
        output.write_text(outcome.final_text, encoding="utf-8")
    return outcome.exit_code


def _keyboard(arguments: Arguments) -> Keyboard | None:
    """Give the keyboard of the person who can answer what the run asks; None if there is nobody."""
    if "-" in arguments.positionals or sys.stdin is None or not sys.stdin.isatty():
        return None
    return Keyboard(sys.stdin.fileno()) if sys.stderr.isatty() else None


def _session(link: Link, arguments: Arguments) -> tuple[str, bool]:
    """Give the session to prompt, and whether it was created for this prompt."""
    row = _given_session(link, arguments)
    if row is not None:
        if "unattended" in arguments.options or "title" in arguments.options:
            raise UsageError("--name and --unattended are for a new session")
        return row["sessionId"], False
    params = surroundings.new_session(os.environ, arguments.preferences)
    params |= _given(arguments, "model", "mode", "title", "unattended")
    return link.call("session/create", params)["sessionId"], True


def _given_session(link: Link, arguments: Arguments) -> sessions.Row | None:
    """Give the session that was asked for, None for a new one."""
    name = arguments.options.get("session")
    if "continue" in arguments.flags:
        if name is not None:
            raise UsageError("--continue and --resume exclude each other")
        directory = surroundings.directory()
        row = sessions.last_used(link, directory)
        if row is None:
            raise CommandFailed(f"there is no session in {directory}", NO_SESSION, "not_found")
        return row
    if "here" in arguments.flags:  # Set by bare `holdfast`.
        return sessions.last_used(link, surroundings.directory())
    return None if name is None else sessions.resolve(link, name)


def _given(arguments: Arguments, *names: str) -> dict[str, str]:
    """Give those of the options that were given, as params."""
    options = arguments.options
    return {name: prompt_input.sendable(options[name]) for name in names if name in options}


def _budget(arguments: Arguments) -> dict[str, Any]:
    """Give the limits of the run as params of `session/prompt`; nothing if there are none."""
    timeout_s = arguments.amount("timeout")
    budget = {
        "steps": arguments.integer("max-steps", 1),
        "cost": arguments.amount("max-cost"),
        "wallMs": None if timeout_s is None else math.ceil(timeout_s * 1000),
    }
    given = {name: limit for name, limit in budget.items() if limit is not None}
    return {"budget": given} if given else {}


def _detach(link: Link, params: dict[str, Any], reported: report.Report) -> int:
    admitted = link.call("session/prompt", params)
    if isinstance(reported, report.TextReport):
        print(params["sessionId"])
    else:
        reported.end({"exitCode": OK, "sessionId": params["sessionId"], **admitted})
    return OK


def _open_output(name: str | None) -> Path | None:
    """Give the file for the final text; it must be writable before anything is asked of a model."""
    if name is None:
        return None
    path = Path(name)
    try:
        path.open("a").close()
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}") from None
    return path
