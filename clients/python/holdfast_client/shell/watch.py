"""`holdfast watch ID`: follow a session without touching it."""

import os
import sys
from typing import Final

from holdfast_client.shell import daemon, report, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import INTERRUPTED, OK, CommandFailed, Detached
from holdfast_client.shell.follower import Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import COLOR_MODES, open_screen

FORMATS: Final = ("text", "stream-json")

SPEC: Final = Spec(
    usage="""\
holdfast watch ID [--since SEQ] [--format FORMAT] [--color WHEN]

Follow a session: its history, then what happens, until Ctrl-C. Takes part in
nothing.

  --since SEQ       only events after this one; the last line of stream-json
                    names the place to go on from
  --format FORMAT   text or stream-json (one object per line); text
  --color WHEN      auto, always or never
""",
    options={"--since": "since", "--format": "format", "--color": "color"},
    choices={"format": FORMATS, "color": COLOR_MODES},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Follow until interrupted (130) or until the session is deleted (0)."""
    since = arguments.integer("since") or 0
    screen = open_screen(
        sys.stdout, sys.stderr, arguments.chosen("color", "auto"), os.environ, activity_is_data=True
    )
    reported = report.make(
        arguments.options.get("format", "text"), screen, Renderer(screen, show_prompts=True)
    )
    try:
        return _watch(arguments.positionals[0], since, reported)
    except CommandFailed as failure:
        error = {"kind": failure.kind, "message": failure.message}
        reported.end({"status": "error", "exitCode": failure.exit_code, "error": error})
        raise


def _watch(name: str, since: int, reported: report.Report) -> int:
    interrupts = Interrupts()
    link = daemon.open_link(interrupts, may_start=False)
    with interrupts:
        session_id = sessions.resolve(link, name)["sessionId"]
        follower = Follower(link, session_id, interrupts)
        follower.begin(since, reported.deltas)
        reported.begin(session_id, follower.epoch or "")
        ended = _follow(follower, interrupts, reported)
    status, exit_code = ("ended", OK) if ended else ("detached", INTERRUPTED)
    reported.end({"status": status, "exitCode": exit_code, "cursor": follower.cursor})
    return exit_code


def _follow(follower: Follower, interrupts: Interrupts, reported: report.Report) -> bool:
    """Report events; gives whether the session ended, rather than the person's patience."""
    try:
        while not interrupts.count:
            for arrival in follower.arrivals():
                if arrival.kind == "event":
                    reported.event(arrival.data)
                    if arrival.data["type"] == "session_ended":
                        return True
            reported.flush()
            follower.wait()
    except Detached:
        pass
    return False
