"""`holdfast logs ID`: what happened in a session, as text or as events."""

import json
import os
import sys
from typing import Any, Final

from holdfast_client.shell import daemon, report, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import INTERRUPTED, OK, CommandFailed, Detached, UsageError
from holdfast_client.shell.follower import Deltas, Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import COLOR_MODES, open_screen

SPEC: Final = Spec(
    usage="""\
holdfast logs ID [-f] [--since SEQ] [--format FORMAT] [--color WHEN]

Print what happened in a session, up to now.

  -f, --follow      then go on with what happens, until Ctrl-C
  --since SEQ       only events after this one; the last line of stream-json
                    names the place to go on from
  --format FORMAT   text, json (one document) or stream-json (one object per
                    line); text
  --json            the same as --format json
  --color WHEN      auto, always or never
""",
    flags={"-f": "follow", "--follow": "follow", "--json": "json"},
    options={"--since": "since", "--format": "format", "--color": "color"},
    choices={"format": report.FORMATS, "color": COLOR_MODES},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Print, and follow if that is wanted."""
    since = arguments.integer("since") or 0
    style = report.style_of(arguments)
    follow = "follow" in arguments.flags
    if follow and style == "json":
        raise UsageError("what never ends is no document; -f takes --format stream-json")
    reported = _report(style, arguments)
    try:
        return _print(arguments.positionals[0], since, reported, follow=follow)
    except CommandFailed as failure:
        error = {"kind": failure.kind, "message": failure.message}
        reported.end({"status": "error", "exitCode": failure.exit_code, "error": error})
        raise


def _report(style: str, arguments: Arguments) -> report.Report:
    if style == "json":
        return DocumentReport()
    mode = arguments.chosen("color", "auto")
    screen = open_screen(sys.stdout, sys.stderr, mode, os.environ, activity_is_data=True)
    return report.make(style, screen, Renderer(screen, show_prompts=True))


def _print(name: str, since: int, reported: report.Report, *, follow: bool) -> int:
    interrupts = Interrupts()
    link = daemon.open_link(interrupts, may_start=True)
    with interrupts:
        session_id = sessions.resolve(link, name)["sessionId"]
        follower = Follower(link, session_id, interrupts)
        follower.begin(since, reported.deltas)
        reported.begin(session_id, follower.epoch or "")
        status = _read(follower, interrupts, reported, follow=follow)
    exit_code = INTERRUPTED if status == "detached" else OK
    reported.end({"status": status, "exitCode": exit_code, "cursor": follower.cursor})
    return exit_code


def _read(follower: Follower, interrupts: Interrupts, reported: report.Report, *, follow: bool) -> str:
    """Report events; gives `read` at the log's head, `ended` with the session, `detached` on Ctrl-C."""
    try:
        while not interrupts.count:
            for arrival in follower.arrivals():
                if arrival.kind == "event":
                    reported.event(arrival.data)
                    if arrival.data["type"] == "session_ended":
                        return "ended"
                elif arrival.kind == "caught_up" and not follow:
                    return "read"
            reported.flush()
            follower.wait()
    except Detached:
        pass
    return "detached"


class DocumentReport:
    """One document with all events in it, written as they come, so that no log is too long for it."""

    deltas: Deltas = "none"

    def __init__(self) -> None:
        self._opened = False
        self._separator = ""

    def begin(self, session_id: str, epoch: str) -> None:
        """Open the document."""
        self._opened = True
        opening = json.dumps({"sessionId": session_id, "epoch": epoch})
        sys.stdout.write(f'{opening[:-1]}, "events": [')

    def event(self, event: dict[str, Any]) -> None:
        """Add it to the list."""
        sys.stdout.write(f"{self._separator}{json.dumps(event)}")
        self._separator = ", "

    def note(self, text: str) -> None:
        """Say it on standard error."""
        print(f"holdfast: {text}", file=sys.stderr)

    def end(self, result: dict[str, Any]) -> None:
        """Close the document; where it was never opened there is none."""
        if self._opened:
            sys.stdout.write(f"], {json.dumps(result)[1:]}\n")
        self.flush()

    def flush(self) -> None:
        """Let everything so far be seen."""
        sys.stdout.flush()
