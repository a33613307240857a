"""Following one prompt to the end of its run: what `holdfast run` does once it has a session."""

from time import monotonic
from typing import Any, Final

from holdfast_client.shell import advice, answers, proposal
from holdfast_client.shell.exit_codes import TRANSIENT, Detached
from holdfast_client.shell.follower import Arrival, Follower
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.keyboard import Keyboard
from holdfast_client.shell.link import Link
from holdfast_client.shell.outcome import Outcome
from holdfast_client.shell.plain import one_line
from holdfast_client.shell.report import Report
from holdfast_client.shell.wire import CallRefused, result_of

_HOLDING: Final = ("run_failed", "run_interrupted")
"""Ends of runs behind which the queue waits for a person."""

_TITLE_COLUMNS_MAX: Final = 160


class PromptRun:
    """A prompt on its way to the end of its run. Survives lost connections and daemons.

    Args:
        link: to the daemon; opened.
        interrupts: entered; the first cancels the run, the second leaves.
        reported: is told what happens.
        params: of `session/prompt`. The prompt id is ours, so that the call can be repeated when its answer
            was lost.
        keyboard: of the person at this terminal, who can answer what the run asks; None if there is nobody.
    """

    def __init__(
        self,
        link: Link,
        interrupts: Interrupts,
        reported: Report,
        params: dict[str, Any],
        keyboard: Keyboard | None,
    ) -> None:
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
        limit_ms: int | None = params.get("budget", {}).get("wallMs")
        self._limit_s = None if limit_ms is None else limit_ms / 1000
        self._leave_at: float | None = None  # When the time limit passes, once our run goes on.
        self._keyboard = keyboard
        self._answer_calls: set[int] = set()  # On this connection, not answered yet.
        self._proposed: str | None = None  # The request whose proposal was shown last.

    def follow(self, *, from_start: bool) -> Outcome:
        """Send the prompt, report what happens, and give what came of it."""
        self._follower.begin(0 if from_start else "head", self._report.deltas)
        self._report.begin(self._session_id, self._follower.epoch or "")
        self._post_prompt()
        try:
            while not self._is_over():
                self._report.flush()
                typed = self._follower.wait(*self._keys(), timeout_s=self._time_left_s())
                self._look_at_interrupts()
                if typed:
                    self._take_lines()
                self._take_arrivals()
                self._look_at_time()
        except Detached:
            self._report.note(f"detached; the run goes on. Come back: holdfast attach {self._session_id}")
        self._explain()
        self._report.end({**self._outcome.result(), "cursor": self._follower.cursor})
        return self._outcome

    def _post_prompt(self) -> None:
        self._prompt_call = self._follower.post("session/prompt", self._params)

    def _has_ended(self) -> bool:
        return self._outcome.terminal is not None or self._outcome.removed

    def _is_over(self) -> bool:
        """Tell whether there is nothing left to wait for, all that came being taken in.

        What came together happened together: a question may have been answered in the next event.
        """
        if self._has_ended():
            return True
        outcome = self._outcome
        waits = outcome.waits_for or outcome.paused or outcome.held or outcome.overdue
        return self._keyboard is None and self._admitted is not None and bool(waits)

    def _time_left_s(self) -> float | None:
        """Give how long to wait for something to happen; None for as long as it takes."""
        if self._limit_s is None or self._outcome.run_id is None or self._keyboard is not None:
            return None
        if self._leave_at is None:
            self._leave_at = monotonic() + self._limit_s
        return max(0.0, self._leave_at - monotonic())

    def _look_at_time(self) -> None:
        """Do not wait for the end of a step that outlasts the limit; the daemon pauses the run behind it."""
        if self._leave_at is not None and monotonic() >= self._leave_at:
            self._outcome.overdue = True

    def _take_arrivals(self) -> None:
        for arrival in self._follower.arrivals():
            self._take(arrival)
            if self._has_ended():
                return  # What comes after the end is somebody else's.

    def _take(self, arrival: Arrival) -> None:
        match arrival.kind:
            case "event":
                self._take_event(arrival.data)
            case "answer" if arrival.data.get("id") == self._prompt_call:
                self._take_admission(result_of(arrival.data))
            case "answer" if arrival.data.get("id") == self._look_call:
                self._take_look(result_of(arrival.data)["snapshot"])
            case "answer" if arrival.data.get("id") in self._answer_calls:
                self._take_answered(arrival.data)
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
        if event["type"] in _HOLDING and self._outcome.run_id is None and self._admitted is not None:
            self._hold()  # It was the run our prompt waits behind.
        if event["type"] in ("request_opened", "request_resolved"):
            self._offer()
        if not self._has_ended():
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
        if self._outcome.run_id is not None:
            return
        for request in snapshot.get("requests", ()):
            self._outcome.fold(request)
        self._offer()
        if snapshot.get("held"):
            self._hold()

    def _hold(self) -> None:
        self._outcome.held = True
        self._report.note("the queue is held, because the last run failed or was interrupted")

    def _take_restored(self) -> None:
        self._cancel_posted = False
        self._prompt_call = self._look_call = None
        self._answer_calls.clear()
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

    # What the run asks ----------------------------------------------------------------------------------

    def _keys(self) -> tuple[int, ...]:
        """Give the keyboard, while there is something to answer and it is ours to read."""
        if self._keyboard is None or not self._outcome.waits_for or not self._keyboard.is_ours():
            return ()
        return (self._keyboard.fileno(),)

    def _offer(self) -> None:
        """Show what the request that has waited longest is about, and say what can be typed for it."""
        if self._keyboard is None or not self._outcome.waits_for:
            return
        request_id, request = next(iter(self._outcome.waits_for.items()))
        if request_id != self._proposed:
            self._proposed = request_id
            for line in proposal.lines(request):
                self._report.note(f"    {line}")
        title = one_line(request["title"], _TITLE_COLUMNS_MAX)
        self._report.note(f"{title}: {answers.offer(request)}")

    def _take_lines(self) -> None:
        assert self._keyboard is not None
        for line in self._keyboard.lines():
            for request_id, request in list(self._outcome.waits_for.items())[:1]:
                self._answer(request_id, answers.outcome(request, line))

    def _answer(self, request_id: str, outcome: str | None) -> None:
        if outcome is None:
            self._offer()
            return
        params = {"sessionId": self._session_id, "requestId": request_id, "outcome": outcome}
        call_id = self._follower.post("request/respond", params)
        if call_id is not None:
            self._answer_calls.add(call_id)

    def _take_answered(self, message: dict[str, Any]) -> None:
        self._answer_calls.discard(message["id"])
        try:
            result_of(message)
        except CallRefused as refused:
            self._report.note(f"not answered: {refused.message}")
            self._offer()

    def _explain(self) -> None:
        """Say what to do about an end that is none."""
        match self._outcome.status:
            case "waiting":
                self._report.note(advice.needs_answer(self._session_id, self._outcome.waits_for))
            case "paused":
                self._report.note(
                    advice.at_limit(self._session_id, self._outcome.waits_for, self._outcome.paused)
                )
            case "overdue":
                self._report.note(
                    "the time limit has passed; the run pauses when its step ends, and goes on until then. "
                    f"Look: holdfast attach {self._session_id}; end it: holdfast cancel {self._session_id}"
                )
            case "removed":
                self._report.note("the prompt was removed from the queue")
            case "interrupted":
                self._report.note(advice.taken_up(self._session_id, "the run was interrupted"))
            case "failed" if self._outcome.exit_code == TRANSIENT:
                self._report.note(advice.taken_up(self._session_id, "trying again may help"))
            case "queued" if self._outcome.held:
                self._report.note(advice.taken_up(self._session_id, "the prompt stays queued"))
            case "queued":
                self._report.note(f"the prompt stays queued. Look: holdfast attach {self._session_id}")
            case _:
                pass
