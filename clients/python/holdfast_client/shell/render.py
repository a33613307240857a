"""Events as text: a pure consumer of one session's events, in order, each once. Decides nothing.

The answer's text streams into `screen.text`; thinking and tool calls go to `screen.activity`; errors and the
closing line of a run to `screen.notes`. What one tool call shows is bounded. An event type that is not in
its table shows nothing.
"""

from collections.abc import Callable
from typing import Any, Final

from holdfast_client.shell import figures, proposal
from holdfast_client.shell.plain import one_line
from holdfast_client.shell.screen import Pane, Screen

TOOL_OUTPUT_LINES_MAX: Final = 12
TOOL_OUTPUT_COLUMNS_MAX: Final = 200
TITLE_COLUMNS_MAX: Final = 160

_HELD_OUTPUT_CHARS_MAX: Final = 8192
_OPEN_MAX: Final = 1024  # Open blocks and calls remembered; a sane run has a few.

Event = dict[str, Any]

_MARKS: Final = {"completed": "[x]", "in_progress": "[>]", "pending": "[ ]"}


class _OpenBlock:
    """A block that streams; `shown` counts the code points of it that were written."""

    __slots__ = ("kind", "shown")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.shown = 0


class _OpenCall:
    """A tool call without an outcome, and the first of its output."""

    __slots__ = ("output", "title")

    def __init__(self, title: str) -> None:
        self.title = title
        self.output = ""


class Renderer:
    """Shows a session's events.

    Args:
        screen: where.
        show_prompts: whether prompts are shown; not by who has just typed one.

    Attributes:
        own_prompts: ids of prompts that are not shown, because this terminal shows them already.
        shows_proposals: whether a request is shown with what it asks leave for; that is compared with files
            as they are now, so not of requests in the past.
    """

    def __init__(self, screen: Screen, *, show_prompts: bool) -> None:
        self._screen = screen
        self._show_prompts = show_prompts
        self._blocks: dict[str, _OpenBlock] = {}
        self._calls: dict[str, _OpenCall] = {}
        self._streaming: str | None = None  # The block whose text the pen stands in.
        self.own_prompts: set[str] = set()
        self.shows_proposals = False

    def show(self, event: Event) -> None:
        """Show one event."""
        handler = self._handlers.get(event["type"])
        if handler is not None:
            handler(self, event)

    # Model output -----------------------------------------------------------------------------------

    def _block_started(self, event: Event) -> None:
        if len(self._blocks) < _OPEN_MAX:
            self._blocks[event["blockId"]] = _OpenBlock(event["kind"])

    def _token_delta(self, event: Event) -> None:
        block = self._blocks.get(event["blockId"])
        if block is not None:
            new = event["text"][max(0, block.shown - event["offset"]) :]
            self._stream(event["blockId"], block, new)

    def _block_ended(self, event: Event) -> None:
        block = self._blocks.pop(event["blockId"], None) or _OpenBlock(event["kind"])
        self._stream(event["blockId"], block, event["text"][block.shown :])
        if self._streaming == event["blockId"]:
            self._end_streaming()

    def _stream(self, block_id: str, block: _OpenBlock, text: str) -> None:
        block.shown += len(text)
        if not text or block.kind == "tool_input":
            return
        pane = self._screen.text if block.kind == "text" else self._screen.activity
        if self._streaming != block_id:
            self._end_streaming()
            pane.fresh_line()
            self._streaming = block_id
        pane.write(text, None if block.kind == "text" else "dim")

    def _end_streaming(self) -> None:
        if self._streaming is not None:
            self._streaming = None
            self._screen.text.fresh_line()
            self._screen.activity.fresh_line()

    def _plan_generated(self, event: Event) -> None:
        self._screen.text.line(event["plan"])

    def _plan_updated(self, event: Event) -> None:
        for entry in event["entries"]:
            mark = _MARKS.get(entry["status"], "[ ]")
            self._screen.activity.line(f"  {mark} {one_line(entry['content'], TITLE_COLUMNS_MAX)}")

    # Tools ------------------------------------------------------------------------------------------

    def _call_started(self, event: Event) -> None:
        title = one_line(event["title"] or event["tool"], TITLE_COLUMNS_MAX)
        if len(self._calls) < _OPEN_MAX:
            self._calls[event["toolCallId"]] = _OpenCall(title)
        self._screen.activity.passing(f"... {title}")

    def _tool_output(self, event: Event) -> None:
        call = self._calls.get(event["toolCallId"])
        if call is not None and len(call.output) < _HELD_OUTPUT_CHARS_MAX:
            call.output += event["text"][:_HELD_OUTPUT_CHARS_MAX]

    def _call_completed(self, event: Event) -> None:
        output = "\n".join(block["text"] for block in event["result"] if block["type"] == "text")
        self._call_ended(event, "ok", output)

    def _call_failed(self, event: Event) -> None:
        outcome = f"failed: {one_line(event['error']['message'], TITLE_COLUMNS_MAX)}"
        if event["error"]["kind"] == "cancelled":
            outcome = "cancelled"  # By whom, the end of the run says: it need not have been a person.
        self._call_ended(event, outcome, event.get("partial") or "")

    def _call_ended(self, event: Event, outcome: str, output: str) -> None:
        call = self._calls.pop(event["toolCallId"], None) or _OpenCall(event["toolCallId"])
        took = event.get("durationMs")
        time = "" if took is None else f", {figures.duration(took)}"
        pane = self._screen.activity
        pane.line(f"* {call.title} ({outcome}{time})")
        _show_output(pane, output or call.output)
        if self._calls:
            pane.passing(f"... {next(iter(self._calls.values())).title}")

    def _hook_denied(self, event: Event) -> None:
        self._screen.activity.line(f"* hook {event['hook']} refused: {event['reason']}")

    # People and agents ------------------------------------------------------------------------------

    def _prompt_received(self, event: Event) -> None:
        if not self._show_prompts or event["promptId"] in self.own_prompts:
            self.own_prompts.discard(event["promptId"])
            return
        for block in event["content"]:
            text = block.get("text") or block.get("uri") or f"[{block['type']}]"
            for line in text.splitlines() or [""]:
                self._screen.activity.line(f"> {line}", "bold")

    def _prompt_removed(self, event: Event) -> None:
        self._screen.notes.line(f"a queued prompt was removed: {event['reason']}", "dim")

    def _request_opened(self, event: Event) -> None:
        if self.shows_proposals:
            self.show_proposal(event)
        options = ", ".join(option["label"] for option in event["options"])
        self._screen.notes.line(f"? {one_line(event['title'], TITLE_COLUMNS_MAX)} [{options}]", "bold")

    def show_proposal(self, request: Event) -> None:
        """Show the whole of what a request asks leave for."""
        for line in proposal.lines(request):
            self._screen.notes.line(f"    {line}")

    def _request_resolved(self, event: Event) -> None:
        self._screen.notes.line(f"? answered by {event['by']}: {event['outcome']}", "dim")

    def _agent_started(self, event: Event) -> None:
        self._screen.activity.line(f"+ agent {event['agent']} began in session {event['sessionId']}")

    def _agent_completed(self, event: Event) -> None:
        self._screen.activity.line(f"+ agent {event['agent']} ended")

    def _agent_failed(self, event: Event) -> None:
        self._screen.activity.line(f"+ agent {event['agent']} failed: {event['error']['message']}")

    # Session and run --------------------------------------------------------------------------------

    def _session_started(self, event: Event) -> None:
        confined = event["sandbox"]["kind"]
        self._screen.notes.line(f"{event['cwd']} | {event['model']} | sandbox: {confined}", "dim")

    def _model_switched(self, event: Event) -> None:
        self._screen.notes.line(f"model: {event['model']}", "dim")

    def _session_ended(self, event: Event) -> None:
        self._screen.notes.line(f"session ended: {event['reason']}")

    def _notice(self, event: Event) -> None:
        self._screen.notes.line(event["message"], "dim" if event.get("level", "info") == "info" else None)

    def _compacted(self, _event: Event) -> None:
        self._screen.notes.line("the conversation so far was summarised for the model", "dim")

    def _error(self, event: Event) -> None:
        self._screen.notes.line(f"error: {event['error']['message']}", "red")

    def _run_paused(self, event: Event) -> None:
        self._screen.notes.line(f"paused: {event['reason']}", "bold")

    def _run_ended(self, event: Event) -> None:
        self._end_streaming()
        self._blocks.clear()
        self._calls.clear()
        self._screen.text.fresh_line()
        if event["type"] == "run_failed":
            self._screen.notes.line(f"error: {event['error']['message']}", "red")
        self._screen.notes.line(closing_line(event), "dim")

    _handlers: Final[dict[str, Callable[[Any, Event], None]]] = {
        "session_started": _session_started,
        "session_ended": _session_ended,
        "model_switched": _model_switched,
        "prompt_received": _prompt_received,
        "prompt_removed": _prompt_removed,
        "run_paused": _run_paused,
        "run_completed": _run_ended,
        "run_failed": _run_ended,
        "run_cancelled": _run_ended,
        "run_interrupted": _run_ended,
        "error": _error,
        "content_block_start": _block_started,
        "token_delta": _token_delta,
        "content_block_end": _block_ended,
        "plan_generated": _plan_generated,
        "plan_updated": _plan_updated,
        "tool_call_started": _call_started,
        "tool_output": _tool_output,
        "tool_call_completed": _call_completed,
        "tool_call_failed": _call_failed,
        "hook_denied": _hook_denied,
        "request_opened": _request_opened,
        "request_resolved": _request_resolved,
        "agent_started": _agent_started,
        "agent_completed": _agent_completed,
        "agent_failed": _agent_failed,
        "notice": _notice,
        "compacted": _compacted,
    }


def closing_line(event: Event) -> str:
    """Give the last line about a run: how it ended, time, tokens, cost."""
    outcome = event["type"].removeprefix("run_")
    match event["type"]:
        case "run_completed" if event["stopReason"] != "end_turn":
            outcome = f"completed ({event['stopReason']})"
        case "run_cancelled":
            outcome = f"cancelled by {event['by']}"
        case "run_interrupted":
            outcome = f"interrupted ({event['cause'].replace('_', ' ')})"
        case _:
            pass
    took = event.get("durationMs")
    usage = event.get("usage")
    parts = [outcome if took is None else f"{outcome} after {figures.duration(took)}"]
    if usage is not None:
        parts.append(figures.tokens(usage))
    price = figures.cost(event.get("cost"))
    if price is not None:
        parts.append(price)
    return ", ".join(parts)


def _show_output(pane: Pane, output: str) -> None:
    lines = output.strip("\n").splitlines()
    for line in lines[:TOOL_OUTPUT_LINES_MAX]:
        cut = line if len(line) <= TOOL_OUTPUT_COLUMNS_MAX else line[: TOOL_OUTPUT_COLUMNS_MAX - 1] + "…"
        pane.line(f"    {cut}", "dim")
    if len(lines) > TOOL_OUTPUT_LINES_MAX:
        pane.line(f"    … {len(lines) - TOOL_OUTPUT_LINES_MAX} more lines", "dim")
