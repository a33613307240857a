"""Following one prompt to the end of its run: what `holdfast run` does once it has a session."""

import sys
from typing import Any

from holdfast_client.shell.exit_codes import Detached
from holdfast_client.shell.follower import Arrival, Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link
from holdfast_client.shell.outcome import Outcome
from holdfast_client.shell.report import Report
from holdfast_client.shell.wire import result_of


class PromptRun:
    """A prompt on its way to the end of its run. Survives lost connections and daemons.

    Args:
        link: to the daemon; opened.
        interrupts: entered; the first cancels the run, the second leaves.
        reported: is told what happens.
        params: of `session/prompt`. The prompt id is ours, so that the call can be repeated when its answer
            was lost.
    """

    def __init__(self, link: Link, interrupts: Interrupts, reported: Report, params: dict[str, Any]) -> None:
        self._interrupts = interrupts
        self._report = reported
        self._params = params
        self._session_id: str = params["sessionId"]
        self._follower = Follower(link, self._session_id, interrupts)
        self._outcome = Outcome(params["promptId"])
        self._prompt_call: int | None = None  # The call that waits for its answer, on this connection.
        self._admitted: dict[str, Any] | None = None
        self._cancel_noted = False
        self._cancel_posted = False  # On this connection.
        self._look_call: int | None = None  # Why our prompt waits, once it turned out that it does.
        self._nobody_answers = not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty())

    def follow(self, *, from_start: bool) -> Outcome:
        """Send the prompt, report what happens, and give what came of it."""
        self._follower.begin(0 if from_start else "head", self._report.deltas)
        self._report.begin(self._session_id, self._follower.epoch or "")
        self._post_prompt()
        try:
            while not self._is_over():
                self._report.flush()
                self._follower.wait()
                self._look_at_interrupts()
                self._take_arrivals()
        except Detached:
            self._report.note(f"detached; the run goes on. Come back: holdfast attach {self._session_id}")
        self._explain()
        self._report.end({**self._outcome.result(), "cursor": self._follower.cursor})
        return self._outcome

    def _post_prompt(self) -> None:
        self._prompt_call = self._follower.post("session/prompt", self._params)

    def _is_over(self) -> bool:
        outcome = self._outcome
        if outcome.terminal is not None or outcome.removed:
            return True
        return self._nobody_answers and bool(outcome.waits_for or outcome.paused or outcome.held)

    def _take_arrivals(self) -> None:
        for arrival in self._follower.arrivals():
            self._take(arrival)
            if self._is_over():
                return  # What comes after the end is somebody else's.

    def _take(self, arrival: Arrival) -> None:
        match arrival.kind:
            case "event":
                self._take_event(arrival.data)
            case "answer" if arrival.data.get("id") == self._prompt_call:
                self._take_admission(result_of(arrival.data))
            case "answer" if arrival.data.get("id") == self._look_call:
                self._take_look(result_of(arrival.data)["snapshot"])
            case "restored":
                self._take_restored()
            case "notice" if arrival.data["method"] == "session/halted":
                self._report.note("the session's log cannot be written; its run was cancelled")
            case _:
                pass

    def _take_event(self, event: dict[str, Any]) -> None:
        is_ours = self._outcome.fold(event)
        concerns_nobody = event.get("runId") is None and not event["type"].startswith("prompt_")
        if is_ours or concerns_nobody:
            self._report.event(event)
        if not self._is_over():
            self._cancel_if_wanted()

    def _take_admission(self, admitted: dict[str, Any]) -> None:
        self._admitted = admitted
        if admitted.get("runId"):
            self._outcome.run_id = admitted["runId"]
        elif admitted["status"] == "queued":
            self._report.note(f"queued, place {admitted.get('position', '?')}")
            self._look_call = self._follower.post("session/get", {"sessionId": self._session_id})
        self._cancel_if_wanted()

    def _take_look(self, snapshot: dict[str, Any]) -> None:
        if snapshot.get("held") and self._outcome.run_id is None:
            self._outcome.held = True
            self._report.note("the queue is held, because the last run failed or was interrupted")

    def _take_restored(self) -> None:
        self._cancel_posted = False
        self._prompt_call = self._look_call = None
        if self._admitted is None:
            self._post_prompt()
        self._cancel_if_wanted()

    def _look_at_interrupts(self) -> None:
        if self._interrupts.leaving:
            raise Detached
        if self._interrupts.count and not self._cancel_noted:
            self._cancel_noted = True
            what = "not started" if self._outcome.run_id is None else "cancelling"
            self._report.note(f"{what}; Ctrl-C again leaves")
        self._cancel_if_wanted()

    def _cancel_if_wanted(self) -> None:
        """Cancel our own run, never another's: what is queued behind one cannot be cancelled yet."""
        if self._interrupts.count and self._outcome.run_id is not None and not self._cancel_posted:
            params = {"sessionId": self._session_id, "runId": self._outcome.run_id}
            self._cancel_posted = self._follower.post("session/cancel", params) is not None

    def _explain(self) -> None:
        """Say what to do about an end that is none."""
        match self._outcome.status:
            case "waiting":
                titles = "; ".join(self._outcome.waits_for.values())
                self._report.note(
                    f"needs an answer: {titles}. Answer with: holdfast attach {self._session_id}"
                )
            case "paused":
                self._report.note(f"paused: {self._outcome.paused}. Look: holdfast attach {self._session_id}")
            case "removed":
                self._report.note("the prompt was removed from the queue")
            case "queued":
                self._report.note(f"the prompt stays queued. Look: holdfast attach {self._session_id}")
            case _:
                pass
