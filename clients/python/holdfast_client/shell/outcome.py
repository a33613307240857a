"""What one run came to: a fold of its events into the object that JSON output ends with.

The events of a session in which others prompt too are told apart by run id; the run is the one that started
with our prompt.
"""

from typing import Any, Final, cast

from holdfast_client.shell import exit_codes

Event = dict[str, Any]

TERMINAL: Final = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})

_PROMPT_EVENTS: Final = frozenset({"prompt_received", "prompt_updated", "prompt_removed"})

_REQUEST_EVENTS: Final = frozenset({"request_opened", "request_resolved"})


class Outcome:
    """Our run, as far as it has come.

    Attributes:
        run_id: None until our prompt started a run.
        terminal: the event that ended it; None until then.
        removed: the prompt was taken out of the queue, or its session deleted: there will be no run.
        waits_for: open requests to people, by request id: our run's or, until it starts, those of the run
            before it.
        overdue: the time limit has passed while a step went on; nobody waits for its end.
        paused: why the run waits, None if it does not.
        held: the prompt waits in a queue that goes on only when a person continues the session.
    """

    def __init__(self, prompt_id: str) -> None:
        self._prompt_id = prompt_id
        self._text: list[str] = []  # Text blocks of one message, the last that had any.
        self._message_id: str | None = None
        self.run_id: str | None = None
        self.terminal: Event | None = None
        self.removed = False
        self.waits_for: dict[str, Event] = {}
        self.overdue = False
        self.paused: str | None = None
        self.held = False

    def fold(self, event: Event) -> bool:
        """Take one event in, and tell whether it belongs to our prompt or its run."""
        if event["type"] == "session_ended":
            self.removed = True
            return False
        if event["type"] in _PROMPT_EVENTS:
            return self._fold_prompt(event)
        if event["type"] == "run_started" and event["promptId"] == self._prompt_id:
            self.run_id = event.get("runId")
            self.held = False
            self.waits_for.clear()
        is_ours = self.run_id is not None and event.get("runId") == self.run_id
        if is_ours or (self.run_id is None and event["type"] in _REQUEST_EVENTS):
            self._fold_run(event)
        return is_ours

    def _fold_prompt(self, event: Event) -> bool:
        if event["promptId"] != self._prompt_id:
            return False
        self.removed = event["type"] == "prompt_removed"
        return True

    def _fold_run(self, event: Event) -> None:
        match event["type"]:
            case "content_block_end" if event["kind"] == "text" and event["text"]:
                self._add_text(event["messageId"], event["text"])
            case "request_opened":
                self.waits_for[event["requestId"]] = event
            case "request_resolved":
                self.waits_for.pop(event["requestId"], None)
            case "run_paused":
                self.paused = event["reason"]
            case "run_resumed":
                self.paused = None
            case kind if kind in TERMINAL:
                self.terminal = event
            case _:
                pass

    def _add_text(self, message_id: str, text: str) -> None:
        if message_id != self._message_id:
            self._message_id = message_id
            self._text = []
        self._text.append(text)

    @property
    def final_text(self) -> str:
        """The text of the last message that had any."""
        return "\n".join(self._text)

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.terminal is not None:
            return exit_codes.of_terminal(self.terminal)
        if self.waits_for:
            return exit_codes.LIMIT if self.at_limit else exit_codes.PERMISSION
        if self.held:
            return exit_codes.TRANSIENT
        return exit_codes.LIMIT if self.paused or self.overdue else exit_codes.INTERRUPTED

    @property
    def at_limit(self) -> bool:
        """Whether all that the run waits for is leave to go on beyond a limit."""
        details = [event["detail"] for event in self.waits_for.values()]
        return bool(details) and all(
            isinstance(detail, dict) and cast("Event", detail).get("question") == "budget"
            for detail in details
        )

    @property
    def status(self) -> str:
        """How our run stands.

        `completed`, `failed`, `cancelled`, `interrupted`; before an end `removed`, `waiting` (for an answer),
        `queued`, `paused` (at a limit), `overdue`, or else `detached`: that is what it is if nobody looks any
        longer.
        """
        if self.terminal is not None:
            return self.terminal["type"].removeprefix("run_")
        if self.removed:
            return "removed"
        if self.waits_for:
            return "paused" if self.at_limit else "waiting"
        if self.held:
            return "queued"
        if self.paused:
            return "paused"
        return "overdue" if self.overdue else "detached"

    def result(self) -> dict[str, Any]:
        """Give the members of the result object that the run knows."""
        members: dict[str, Any] = {
            "status": self.status,
            "exitCode": self.exit_code,
            "promptId": self._prompt_id,
            "runId": self.run_id,
            "text": self.final_text,
        }
        terminal = self.terminal or {}
        for name in ("stopReason", "usage", "cost", "durationMs", "error", "cause", "by"):
            if name in terminal:
                members[name] = terminal[name]
        if self.waits_for:
            members["waitsFor"] = [
                {"requestId": key, "title": event["title"]} for key, event in self.waits_for.items()
            ]
        return members
