"""What holds of every session's log, whatever was said to the daemon. Pure.

These are the promises about order inside one log (PROTOCOL.md, "Order" and "Events"): each function gives
sentences about what is broken, none if all is well.
"""

from typing import Any, Final

Event = dict[str, Any]

_TERMINAL: Final = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})


def log_violations(log: list[Event]) -> list[str]:
    """Check a log from its first event on."""
    checker = _LogChecker()
    for place, event in enumerate(log, 1):
        if event["seq"] != place:
            return [*checker.broken, f"event {place} has seq {event['seq']}"]
        checker.take(event)
    return checker.broken


class _LogChecker:
    """Takes the events of one log in turn."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._any = False
        self._ended = False  # `session_ended` was seen.
        self._run: str | None = None  # The one that is open.
        self._runs: set[str] = set()
        self._prompts: dict[str, str] = {}  # Received ones, to their status.
        self._open: dict[str, Event] = {}  # Starts of open blocks and tool calls.
        self._texts: dict[str, str] = {}  # Theirs, from deltas.
        self._closed: set[str] = set()
        self._requests: dict[str, bool] = {}  # To whether they are resolved.

    def take(self, event: Event) -> None:
        self._expect(event, not self._ended, "stands behind session_ended")
        self._expect(event, self._any or event["type"] == "session_started", "begins the log")
        self._any = True
        handler = getattr(self, f"_{event['type']}", None)
        if event["type"] in _TERMINAL:
            self._terminal(event)
        elif event["type"] != "run_started" and "runId" in event:
            self._expect(event, event["runId"] == self._run, "is of a run that is not open")
        if handler is not None:
            handler(event)

    def _expect(self, event: Event, holds: bool, otherwise: str) -> None:
        if not holds:
            self.broken.append(f"seq {event['seq']}: {event['type']} {otherwise}")

    # Session, prompts, runs ----------------------------------------------------------------------------

    def _session_ended(self, _event: Event) -> None:
        self._ended = True

    def _prompt_received(self, event: Event) -> None:
        self._expect(event, event["promptId"] not in self._prompts, "names a prompt again")
        self._prompts[event["promptId"]] = event["status"]

    def _prompt_updated(self, event: Event) -> None:
        waits = self._prompts.get(event["promptId"]) in {"queued", "steered"}
        by_a_hook = "content" in event or event.get("status") == "refused"
        rewritten = "runId" in event and by_a_hook  # As the run begins.
        self._expect(event, waits or rewritten, "is of no waiting prompt")
        self._prompts[event["promptId"]] = event.get("status", self._prompts.get(event["promptId"], "queued"))

    def _prompt_removed(self, event: Event) -> None:
        waits = self._prompts.get(event["promptId"]) in {"queued", "steered"}
        self._expect(event, waits, "is of no waiting prompt")
        self._prompts[event["promptId"]] = "removed"

    def _run_started(self, event: Event) -> None:
        self._expect(event, self._run is None, "comes while another run is open")
        self._expect(event, event["runId"] not in self._runs, "names a run again")
        self._expect(event, self._prompts.get(event["promptId"]) == "started", "is for no started prompt")
        self._expect(event, event.get("continues") in {None, *self._runs}, "continues no run")
        self._run = event["runId"]
        self._runs.add(event["runId"])

    def _terminal(self, event: Event) -> None:
        self._expect(event, event.get("runId") == self._run, "ends no open run")
        self._expect(event, not self._open, f"leaves open: {', '.join(self._open)}")
        self._run = None

    # Blocks and tool calls -----------------------------------------------------------------------------

    def _content_block_start(self, event: Event) -> None:
        self._start(event, event["blockId"])

    def _tool_call_started(self, event: Event) -> None:
        self._start(event, event["toolCallId"])

    def _token_delta(self, event: Event) -> None:
        self._delta(event, event["blockId"])

    def _tool_output(self, event: Event) -> None:
        self._delta(event, event["toolCallId"])

    def _content_block_end(self, event: Event) -> None:
        start = self._end(event, event["blockId"])
        for name in ("kind", "messageId", "step", "toolCallId", "tool"):
            self._expect(event, start.get(name) == event.get(name), f"has another {name} than its start")
        self._expect(
            event, self._texts.get(event["blockId"]) == event["text"], "has not the text of its deltas"
        )

    def _tool_call_completed(self, event: Event) -> None:
        self._end(event, event["toolCallId"])

    def _tool_call_failed(self, event: Event) -> None:
        name = event["toolCallId"]
        if name in self._open or name in self._closed:
            self._end(event, name)
        else:  # It was refused: it need not have been started, and it has ended now.
            self._closed.add(name)
        text = self._texts.get(event["toolCallId"], "")
        self._expect(event, text.endswith(event.get("partial", "")), "has not the output of its deltas")

    def _message_completed(self, event: Event) -> None:
        blocks = [start for start in self._open.values() if start.get("messageId") == event["messageId"]]
        self._expect(event, not blocks, "comes before its blocks have ended")

    def _start(self, event: Event, name: str) -> None:
        self._expect(event, name not in self._open and name not in self._closed, f"starts {name} again")
        self._open[name] = event
        self._texts[name] = ""

    def _delta(self, event: Event, name: str) -> None:
        self._expect(event, name in self._open, f"is of {name}, which is not open")
        text = self._texts.get(name, "")
        self._expect(event, event["offset"] == len(text), f"has offset {event['offset']}, not {len(text)}")
        self._texts[name] = text + event["text"]

    def _end(self, event: Event, name: str) -> Event:
        self._expect(event, name in self._open, f"ends {name}, which is not open")
        self._closed.add(name)
        return self._open.pop(name, {})

    # People --------------------------------------------------------------------------------------------

    def _request_opened(self, event: Event) -> None:
        self._expect(event, event["requestId"] not in self._requests, "opens a request again")
        self._requests[event["requestId"]] = False

    def _request_resolved(self, event: Event) -> None:
        self._expect(event, self._requests.get(event["requestId"]) is False, "resolves no open request")
        self._requests[event["requestId"]] = True
