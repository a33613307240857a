"""`holdfast run PROMPT… [-]`: one prompt, from its admission to the end of its run."""

import os
import sys
from pathlib import Path
from typing import Any, Final

from holdfast_client.shell import daemon, prompt_input, report, sessions, streams, surroundings
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import INTERRUPTED, OK, CommandFailed, Detached, UsageError
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link
from holdfast_client.shell.prompt_run import PromptRun
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import COLOR_MODES, open_screen

SPEC: Final = Spec(
    usage="""\
holdfast run [OPTIONS] PROMPT… [-]

Run one prompt, in a new session or a given one, and stream what happens. Piped input, or input asked for with
`-`, is appended as a second block. The answer goes to standard output, all else to standard error.

  --session ID           prompt this session instead of a new one
  --model MODEL          the model to use
  --title TITLE          name the new session
  --format FORMAT        text, json (one document) or stream-json (one object per line); text
  -o, --output FILE      write the final text to a file
  --detach               print the session's id once the prompt is admitted, and leave
  --color WHEN           auto, always or never

Ctrl-C cancels the run; once more leaves, and the run goes on.
Exit codes: 0 completed, 1 failed, 2 usage, 3 limit reached, 4 credentials, 5 needs an answer,
6 no such session, 69 no daemon, 75 try again, 130 interrupted.
""",
    flags={"--detach": "detach"},
    options={
        "--session": "session",
        "--model": "model",
        "--title": "title",
        "--format": "format",
        "-o": "output",
        "--output": "output",
        "--color": "color",
    },
    choices={"format": report.FORMATS, "color": COLOR_MODES},
    positionals=(0, None),
)


def run(arguments: Arguments) -> int:
    """Run one prompt and give the exit code of its run."""
    screen = open_screen(
        sys.stdout, sys.stderr, arguments.options.get("color", "auto"), os.environ, activity_is_data=False
    )
    renderer = Renderer(screen, show_prompts=False)
    reported = report.make(arguments.options.get("format", "text"), screen, renderer)
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
    output = _open_output(arguments.options.get("output"))
    interrupts = Interrupts()
    link = daemon.open_link(interrupts, may_start=True)
    with interrupts:
        session_id, is_new = _session(link, arguments)
        params: dict[str, Any] = {"sessionId": session_id, "content": content, "promptId": daemon.new_id()}
        if not is_new and "model" in arguments.options:
            params["model"] = arguments.options["model"]
        if "detach" in arguments.flags:
            return _detach(link, params, reported)
        outcome = PromptRun(link, interrupts, reported, params).follow(from_start=is_new)
    if output is not None and outcome.status == "completed":
        output.write_text(outcome.final_text, encoding="utf-8")
    return outcome.exit_code


def _session(link: Link, arguments: Arguments) -> tuple[str, bool]:
    """Give the session to prompt, and whether it was created for this prompt."""
    given = arguments.options
    if "session" in given:
        return sessions.resolve(link, given["session"])["sessionId"], False
    params: dict[str, Any] = {
        "sessionId": daemon.new_id(),  # Ours, so that the call can be repeated after a lost connection.
        "cwd": surroundings.directory(),
        "env": surroundings.environment(os.environ),
    }
    params |= {name: prompt_input.sendable(given[name]) for name in ("model", "title") if name in given}
    return link.call("session/create", params)["sessionId"], True


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
