"""What a command writes about a session, in one of three formats. Decides nothing about the session.

text          for people: the answer on standard output, the rest on standard error
json          one document at the end
stream-json   one object per line: `{"type": "session", …}`, the events, at last `{"type": "result", …}`
"""

import json
import sys
from typing import Any, Final, Protocol

from holdfast_client.shell.arguments import Arguments
from holdfast_client.shell.exit_codes import UsageError
from holdfast_client.shell.follower import Deltas
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import Screen

FORMATS: Final = ("text", "json", "stream-json")

Event = dict[str, Any]


class Report(Protocol):
    """One of the formats.

    Attributes:
        deltas: which deltas it needs of the log.
    """

    deltas: Deltas

    def begin(self, session_id: str, epoch: str) -> None:
        """Say which session it is about."""

    def event(self, event: Event) -> None:
        """Take an event, in the order of the log."""

    def note(self, text: str) -> None:
        """Say something to the person, if there is one to see it; never on standard output."""

    def end(self, result: dict[str, Any]) -> None:
        """Say how it ended; the last call."""

    def flush(self) -> None:
        """Let everything so far be seen."""


class TextReport:
    """For people."""

    deltas: Deltas = "settled"

    def __init__(self, screen: Screen, renderer: Renderer) -> None:
        self._screen = screen
        self._renderer = renderer

    def begin(self, session_id: str, epoch: str) -> None:
        """Nothing: the renderer shows the log."""

    def event(self, event: Event) -> None:
        """Show it."""
        self._renderer.show(event)

    def note(self, text: str) -> None:
        """Show it."""
        self._screen.notes.line(text, "dim")

    def end(self, result: dict[str, Any]) -> None:  # noqa: ARG002 - the renderer has shown the terminal event
        """End the last line."""
        self._screen.text.fresh_line()
        self.flush()

    def flush(self) -> None:
        """Let everything so far be seen."""
        self._screen.flush()


class JsonReport:
    """One document. Events are not in it: `stream-json` has them."""

    deltas: Deltas = "none"

    def __init__(self) -> None:
        self._session: dict[str, Any] = {}

    def begin(self, session_id: str, epoch: str) -> None:
        """Remember the session for the document."""
        self._session = {"sessionId": session_id, "epoch": epoch}

    def event(self, event: Event) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Say it on standard error."""
        print(f"holdfast: {text}", file=sys.stderr)

    def end(self, result: dict[str, Any]) -> None:
        """Write the document."""
        json_line({"type": "result", **self._session, **result})
        self.flush()

    def flush(self) -> None:
        """Let everything so far be seen."""
        sys.stdout.flush()


class StreamJsonReport(JsonReport):
    """One object per line."""

    deltas: Deltas = "all"

    def begin(self, session_id: str, epoch: str) -> None:
        """Write the first line."""
        super().begin(session_id, epoch)
        json_line({"type": "session", **self._session})

    def event(self, event: Event) -> None:
        """Write it as it came."""
        json_line(event)


def json_line(value: dict[str, Any]) -> None:
    """Write one object and a newline; pure ASCII, so that no terminal and no locale can spoil it."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")


def style_of(arguments: Arguments, preferred: str = "text") -> str:
    """Give the format that was asked for: `--format`, or `--json` for short; else what is preferred.

    Raises:
        UsageError: both were given, and differ.
    """
    style = arguments.options.get("format")
    if "json" not in arguments.flags:
        return style or preferred
    if style not in (None, "json"):
        raise UsageError(f"--json and --format {style} exclude each other")
    return "json"


def make(style: str, screen: Screen, renderer: Renderer) -> Report:
    """Give the report of a format."""
    match style:
        case "json":
            return JsonReport()
        case "stream-json":
            return StreamJsonReport()
        case _:
            return TextReport(screen, renderer)
