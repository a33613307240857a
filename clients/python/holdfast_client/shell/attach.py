"""`holdfast attach [ID]`: join a session: its history, then live; lines typed are prompts."""

import os
import sys
from contextlib import nullcontext
from typing import Any, Final

from holdfast_client.shell import daemon, interactive, prompt_input, sessions, surroundings
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import INTERRUPTED, NO_SESSION, OK, CommandFailed, Detached, UsageError
from holdfast_client.shell.follower import Arrival, Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.keyboard import Keyboard
from holdfast_client.shell.link import Link
from holdfast_client.shell.outcome import TERMINAL
from holdfast_client.shell.render import Renderer
from holdfast_client.shell.screen import COLOR_MODES, Screen, open_screen
from holdfast_client.shell.wire import CallRefused, result_of

SPEC: Final = Spec(
    usage="""\
holdfast attach [ID] [--plain] [--color WHEN]

Join a session, by default the one last used in this directory: first its
history, then what happens. At a terminal, each line typed is a prompt; while a
run goes on it waits in the queue.

  --plain        lines only: nothing is redrawn
  --color WHEN   auto, always or never

Ctrl-C cancels the run; once more leaves, as do Ctrl-], Ctrl-D and /detach. The
session goes on. Without a terminal to read from (`</dev/null`) it follows
only, and one Ctrl-C leaves.
""",
    flags={"--plain": "plain"},
    options={"--color": "color"},
    choices={"color": COLOR_MODES},
    positionals=(0, 1),
    completes="session",
)

UNANSWERED_MAX: Final = 64
"""Prompts typed while no daemon answers; more than a person would."""


def run(arguments: Arguments) -> int:
    """Stay until the person leaves."""
    mode = arguments.chosen("color", "auto")
    terminal = None if "plain" in arguments.flags else interactive.find(os.environ)
    if terminal is not None:
        return terminal.run(_found(arguments), color=mode)
    if prompt_input.is_piped():
        raise UsageError(
            "attach reads no piped input: `holdfast send ID -` sends it, "
            "`holdfast attach ID </dev/null` follows"
        )
    screen = open_screen(sys.stdout, sys.stderr, mode, os.environ, activity_is_data=True)
    interrupts = Interrupts()
    link = daemon.open_link(interrupts, may_start=True)
    keyboard = Keyboard(sys.stdin.fileno()) if sys.stdin is not None and sys.stdin.isatty() else None
    with interrupts, keyboard or nullcontext():
        session_id = _session(link, arguments)
        return _Attachment(link, interrupts, keyboard, screen, session_id).stay()


def _found(arguments: Arguments) -> str:
    """Give the session that is meant, on a connection of its own."""
    interrupts = Interrupts()
    link = daemon.open_link(interrupts, may_start=True)
    try:
        with interrupts:
            return _session(link, arguments)
    finally:
        link.close()


def _session(link: Link, arguments: Arguments) -> str:
    if arguments.positionals:
        return sessions.resolve(link, arguments.positionals[0])["sessionId"]
    directory = surroundings.directory()
    page = link.call("session/list", {"cwd": directory, "limit": 1})
    if not page["sessions"]:
        raise CommandFailed(
            f"there is no session in {directory}; `holdfast run` begins one", NO_SESSION, "not_found"
        )
    return page["sessions"][0]["sessionId"]


class _Attachment:
    """A person in a session. Survives lost connections and daemons."""

    def __init__(
        self, link: Link, interrupts: Interrupts, keyboard: Keyboard | None, screen: Screen, session_id: str
    ) -> None:
        self._interrupts = interrupts
        self._keyboard = keyboard
        self._screen = screen
        self._session_id = session_id
        self._renderer = Renderer(screen, show_prompts=True)
        self._follower = Follower(link, session_id, interrupts)
        self._run_id: str | None = None  # Of the run that goes on.
        self._cancel_wanted: str | None = None  # The run that is to be cancelled, until it has ended.
        self._acted_upon = 0  # Interrupts that were acted upon, each once.
        self._unanswered: dict[str, dict[str, Any]] = {}  # Prompts by their id.
        self._open: dict[str, dict[str, Any]] = {}  # Requests by their id.
        self._prompt_of_call: dict[int, str] = {}

    def stay(self) -> int:
        """Show and ask until the person leaves or the session ends; give the exit code."""
        self._follower.begin(0)
        try:
            while not self._happened():
                self._screen.flush()
                self._wait()
        except Detached:
            self._note(f"detached; the session goes on. Come back: holdfast attach {self._session_id}")
            return INTERRUPTED if self._interrupts.count else OK
        finally:
            self._screen.text.fresh_line()
            self._screen.flush()
        return OK

    def _happened(self) -> bool:
        """Show what arrived, and tell whether the session ended."""
        for arrival in self._follower.arrivals():
            self._take(arrival)
            if arrival.kind == "event" and arrival.data["type"] == "session_ended":
                return True
        return False

    def _wait(self) -> None:
        keys = () if self._keyboard is None else (self._keyboard.fileno(),)
        ready = self._follower.wait(*keys)
        self._look_at_interrupts()
        if ready and self._keyboard is not None:
            for line in self._keyboard.lines():
                self._ask(line)

    def _take(self, arrival: Arrival) -> None:
        match arrival.kind:
            case "event":
                self._take_event(arrival.data)
            case "answer":
                self._take_answer(arrival.data)
            case "caught_up":
                self._take_present()
            case "restored":
                self._take_restored()
            case "notice" if arrival.data["method"] == "session/halted":
                self._note("the session's log cannot be written; its run was cancelled")
            case "notice" if arrival.data["method"] == "daemon/state":
                self._note(f"the daemon is {arrival.data['params'].get('state')}")
            case _:
                pass

    def _take_event(self, event: dict[str, Any]) -> None:
        self._renderer.show(event)
        if event["type"] == "run_started":
            self._run_id = event.get("runId")
            if self._acted_upon and self._cancel_wanted is None:
                self._forget_interrupts()  # It was pressed while nothing ran; now it would mean this run.
        elif event["type"] == "request_opened":
            self._open[event["requestId"]] = event
        elif event["type"] == "request_resolved":
            self._open.pop(event["requestId"], None)
        elif event["type"] in TERMINAL:
            self._run_id = None
            if self._cancel_wanted == event.get("runId"):
                self._cancel_wanted = None
                self._forget_interrupts()

    def _take_present(self) -> None:
        """The history has been shown: say what is asked now, compared with files as they are now."""
        if self._renderer.shows_proposals:
            return
        self._renderer.shows_proposals = True
        for request in self._open.values():
            self._renderer.show(request)

    def _take_answer(self, message: dict[str, Any]) -> None:
        prompt_id = self._prompt_of_call.pop(message["id"], None)
        if prompt_id is None:
            return
        self._unanswered.pop(prompt_id, None)
        try:
            admitted = result_of(message)
        except CallRefused as refused:
            self._screen.notes.line(f"not sent: {refused.message}", "red")
            return
        if admitted["status"] == "queued":
            self._note(f"queued, place {admitted.get('position', '?')}")

    def _take_restored(self) -> None:
        self._prompt_of_call.clear()
        self._note("connected again")
        self._cancel()
        for prompt_id in self._unanswered:
            self._post(prompt_id)

    def _ask(self, text: str) -> None:
        if len(self._unanswered) >= UNANSWERED_MAX:
            self._screen.notes.line("not sent: too many prompts wait for an answer", "red")
            return
        self._forget_interrupts()
        prompt_id = daemon.new_id()
        content = [{"type": "text", "text": text}]
        self._unanswered[prompt_id] = {
            "sessionId": self._session_id,
            "content": content,
            "promptId": prompt_id,
        }
        self._renderer.own_prompts.add(prompt_id)
        self._post(prompt_id)

    def _post(self, prompt_id: str) -> None:
        call_id = self._follower.post("session/prompt", self._unanswered[prompt_id])
        if call_id is not None:
            self._prompt_of_call[call_id] = prompt_id

    def _look_at_interrupts(self) -> None:
        if self._interrupts.leaving or (self._keyboard is None and self._interrupts.count):
            raise Detached
        if self._interrupts.count <= self._acted_upon:
            return
        self._acted_upon = self._interrupts.count
        if self._run_id is None:
            self._note("nothing runs; Ctrl-C again leaves")
        else:
            self._note("cancelling; Ctrl-C again leaves")
            self._cancel_wanted = self._run_id
            self._cancel()

    def _cancel(self) -> None:
        """Cancel the run that is to be cancelled, and no other that may have begun since."""
        if self._cancel_wanted is not None:
            params = {"sessionId": self._session_id, "runId": self._cancel_wanted}
            self._follower.post("session/cancel", params)

    def _forget_interrupts(self) -> None:
        self._interrupts.forget()
        self._acted_upon = 0

    def _note(self, text: str) -> None:
        self._screen.notes.line(text, "dim")
