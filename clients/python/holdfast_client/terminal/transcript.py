"""A session's events as what a person reads: a pure fold. Knows no terminal, no clock and no connection.

    transcript.apply(event)      one event, in order, each once
    transcript.take_settled()    items that will not change any more, in the order they are to be read
    transcript.live              items that still grow

An item that has settled is printed once and left to the terminal's own scrollback; the live ones are redrawn.
Text settles a Markdown block at a time.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from holdfast_client.core.tail import AnyEvent
from holdfast_client.shell.plain import one_line, plain
from holdfast_client.shell.render import closing_line
from holdfast_client.terminal import changes, proposals
from holdfast_client.terminal.items import (
    Asked,
    Called,
    Closed,
    Item,
    Noted,
    Planned,
    Said,
    Thought,
    Tone,
)
from holdfast_client.terminal.paragraphs import Paragraphs
from holdfast_protocol import content, events
from holdfast_protocol.snapshot import CurrentRun, QueuedPrompt, Snapshot

TITLE_CHARS_MAX: Final = 160
OUTPUT_CHARS_MAX: Final = 16 * 1024
"""Of a running call's output that is kept: its end. What is shown of it is far less."""

_OPEN_MAX: Final = 1024
_PROMPT_CHARS_MAX: Final = 4000
_THOUGHT_CHARS_MAX: Final = 64 * 1024

_LIVE_THOUGHT_CHARS: Final = 2000

_TOOL_CHARS_MAX: Final = 40
_TODO: Final = "todo"


class _Block:
    """A block that streams."""

    __slots__ = ("kind", "length", "paragraphs", "started_at", "text", "tool")

    def __init__(self, kind: events.BlockKind, started_at: int, tool: str | None) -> None:
        self.kind = kind
        self.started_at = started_at
        self.tool = tool
        self.paragraphs = Paragraphs()
        self.text = ""  # Of thinking: all of it. Of text: nothing, `paragraphs` has it.
        self.length = 0

    def add(self, offset: int, text: str) -> list[str]:
        """Take a delta; give the Markdown blocks that are whole."""
        new = text[max(0, self.length - offset) :]
        self.length += len(new)
        if self.kind == "text":
            return self.paragraphs.feed(new)
        if self.kind == "thinking" and len(self.text) < _THOUGHT_CHARS_MAX:
            self.text += new
        return []


class Transcript:
    """One session.

    Args:
        read: how to read files that are about to be edited.
        me: this client's id, as events name it.

    Attributes:
        cwd: of the session.
        replaying: events are history: questions in it have been answered, or will be told of at its end.
        thought: the last block of thinking that ended.
    """

    def __init__(self, read: changes.Read, me: str = "") -> None:
        self.cwd = "/"
        self.replaying = False
        self.thought: Thought | None = None
        self._read = read
        self._me = me
        self._paused = False  # It was said.
        self._settled: list[Item] = []
        self._blocks: dict[str, _Block] = {}
        self._calls: dict[str, Called] = {}
        self._tools: dict[str, str] = {}  # Tool of each call the model wrote, until it has an outcome.
        self._waiting: dict[str, QueuedPrompt | events.PromptReceived] = {}
        self._requests: dict[str, events.RequestOpened] = {}
        self._proposed: set[str] = set()  # Calls whose change was shown before.
        self._plan: Planned | None = None  # As it stands, if it changed in this run.

    def apply(self, event: AnyEvent) -> None:
        """Fold one event in."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def take_settled(self) -> list[Item]:
        """Give what settled since the last time."""
        settled, self._settled = self._settled, []
        return settled

    @property
    def live(self) -> list[Item]:
        """What still grows, in the order it began."""
        items: list[Item] = []
        for block in self._blocks.values():
            if block.kind == "thinking":
                items.append(Thought(plain(block.text[-_LIVE_THOUGHT_CHARS:]), block.started_at))
            elif block.kind == "text":
                items += [Said(plain(rest)) for rest in block.paragraphs.rest()]
        items += self._calls.values()
        if self._plan is not None:
            items.append(self._plan)
        return items

    @property
    def doing(self) -> str:
        """Say what the run does now, in a word or two."""
        if self._calls:
            return "running " + one_line(next(iter(self._calls.values())).tool, _TOOL_CHARS_MAX)
        for block in self._blocks.values():
            if block.kind == "tool_input":
                return f"writing {block.tool}" if block.tool else "writing a call"
            return "thinking" if block.kind == "thinking" else "writing"
        return "waiting for an answer" if self._requests else "working"

    # Joining ------------------------------------------------------------------------------------------

    def has_asked(self, request_id: str) -> bool:
        """Whether a request is open, and what it is about has settled."""
        return request_id in self._requests

    def replay(
        self, history: Iterable[AnyEvent], snapshot: Snapshot, requests: Iterable[events.RequestOpened]
    ) -> None:
        """Take history, without deltas, and then what was open at its end.

        Args:
            history: in order.
            snapshot: at its end.
            requests: that are open, whole.
        """
        if snapshot.settings is not None:
            self.cwd = snapshot.settings.cwd
        self.replaying = True
        for event in history:
            self.apply(event)
        self.replaying = False
        self._waiting = {prompt.prompt_id: prompt for prompt in snapshot.queue}
        if snapshot.run is not None:
            self._plan = Planned(snapshot.plan) if snapshot.plan else None
            self._resume(snapshot.run)
        self._requests = {}
        for request in requests:
            self._request_opened(request)

    def _resume(self, run: CurrentRun) -> None:
        self._blocks = {}
        for part in run.blocks:
            block = self._blocks[part.block_id] = _Block(part.kind, run.started_at, part.tool)
            block.length = part.length - len(part.text)
            for markdown in block.add(block.length, part.text):
                self._settled.append(Said(plain(markdown)))
        for call in run.tool_calls:
            shown = self._calls.get(call.tool_call_id)
            if shown is None:
                title = one_line(call.title, TITLE_CHARS_MAX)
                shown = self._calls[call.tool_call_id] = Called(title, call.tool, call.kind, run.started_at)
            shown.output = call.text[-OUTPUT_CHARS_MAX:]

    # Model output -------------------------------------------------------------------------------------

    def _block_started(self, event: events.ContentBlockStart) -> None:
        if len(self._blocks) < _OPEN_MAX:
            self._blocks[event.block_id] = _Block(event.kind, event.at, event.tool)

    def _token_delta(self, event: events.TokenDelta) -> None:
        block = self._blocks.get(event.block_id)
        if block is not None:
            for markdown in block.add(event.offset, event.text):
                self._settled.append(Said(plain(markdown)))

    def _block_ended(self, event: events.ContentBlockEnd) -> None:
        block = self._blocks.pop(event.block_id, None) or _Block(event.kind, event.at, event.tool)
        if event.kind == "tool_input":
            if event.tool_call_id is not None and event.tool is not None and len(self._tools) < _OPEN_MAX:
                self._tools[event.tool_call_id] = event.tool
            return
        wholes = block.add(block.length, event.text[block.length :])
        if event.kind == "thinking":
            self._thinking_ended(block, event)
            return
        said = [Said(plain(markdown)) for markdown in (*wholes, *block.paragraphs.rest())]
        if event.partial:
            said = said or [Said("")]
            said[-1].cut = True
        self._settled += said

    def _thinking_ended(self, block: _Block, event: events.ContentBlockEnd) -> None:
        text = plain(event.text[:_THOUGHT_CHARS_MAX])
        duration_ms = max(0, event.at - block.started_at) if block.started_at else None
        self.thought = Thought(text, block.started_at, duration_ms)
        if text.strip():
            self._settled.append(self.thought)

    def _plan_updated(self, event: events.PlanUpdated) -> None:
        self._plan = Planned(event.entries)

    def _compacted(self, _event: events.Compacted) -> None:
        self._note("the conversation so far was summarised for the model")

    # Tools --------------------------------------------------------------------------------------------

    def _call_started(self, event: events.ToolCallStarted) -> None:
        title = one_line(event.title or event.tool, TITLE_CHARS_MAX)
        if len(self._calls) < _OPEN_MAX and event.tool != _TODO:
            self._calls[event.tool_call_id] = Called(title, event.tool, event.kind, event.at)

    def _tool_output(self, event: events.ToolOutput) -> None:
        call = self._calls.get(event.tool_call_id)
        if call is not None:
            call.output = (call.output + event.text)[-OUTPUT_CHARS_MAX:]

    def _call_completed(self, event: events.ToolCallCompleted) -> None:
        self._tools.pop(event.tool_call_id, None)
        call = self._calls.pop(event.tool_call_id, None)
        if call is None:
            return  # The plan's tool, which is shown as the plan; or a call before what was read.
        call.ended = True
        call.duration_ms = event.duration_ms
        call.output = content.plain_text(event.result)
        made = [changes.of_diff(diff, self.cwd) for diff in event.diff]
        call.added, call.removed = sum(item.added for item in made), sum(item.removed or 0 for item in made)
        call.changes = [] if event.tool_call_id in self._proposed else made
        self._proposed.discard(event.tool_call_id)
        self._settled.append(call)

    def _call_failed(self, event: events.ToolCallFailed) -> None:
        tool = self._tools.pop(event.tool_call_id, None)
        call = self._calls.pop(event.tool_call_id, None)
        if call is None:
            call = Called(
                self._title_of(event.tool_call_id) or tool or "a call", tool or "", "other", event.at
            )
        call.ended = True
        call.duration_ms = event.duration_ms
        call.failure = one_line(event.error.message, 4 * TITLE_CHARS_MAX)
        call.output = event.partial or call.output
        self._proposed.discard(event.tool_call_id)
        self._settled.append(call)

    def _title_of(self, tool_call_id: str) -> str | None:
        for request in self._requests.values():
            if request.tool_call_id == tool_call_id:
                return one_line(request.title, TITLE_CHARS_MAX)
        return None

    def _hook_denied(self, event: events.HookDenied) -> None:
        self._note(f"hook {event.hook} refused: {event.reason}", "warning")

    # Prompts and people -------------------------------------------------------------------------------

    def _prompt_received(self, event: events.PromptReceived) -> None:
        if event.status == "started":
            self._ask(event.content)
        elif len(self._waiting) < _OPEN_MAX:
            self._waiting[event.prompt_id] = event

    def _prompt_updated(self, event: events.PromptUpdated) -> None:
        waiting = self._waiting.get(event.prompt_id)
        if waiting is None:
            return
        if event.content is not None:
            waiting = self._waiting[event.prompt_id] = msgspec.structs.replace(waiting, content=event.content)
        if event.status in ("started", "delivered"):
            del self._waiting[event.prompt_id]
            self._ask(waiting.content, steered=event.status == "delivered")

    def _prompt_removed(self, event: events.PromptRemoved) -> None:
        self._waiting.pop(event.prompt_id, None)
        self._note(f"a queued prompt was removed: {event.reason}")

    def _ask(self, blocks: tuple[content.ContentBlock, ...], *, steered: bool = False) -> None:
        text = content.plain_text(blocks)
        if len(text) > _PROMPT_CHARS_MAX:
            text = text[:_PROMPT_CHARS_MAX] + "…"
        self._settled.append(Asked(plain(text), steered))

    def _request_opened(self, event: events.RequestOpened) -> None:
        if len(self._requests) < _OPEN_MAX:
            self._requests[event.request_id] = event
        if self.replaying:
            return
        proposal = proposals.proposal_of(event, self.cwd, self._read)
        if proposal is None:
            return
        self._settled.append(proposal)
        change = proposal.change
        if change is not None and not change.guessed and event.tool_call_id is not None:
            self._proposed.add(event.tool_call_id)

    def _request_resolved(self, event: events.RequestResolved) -> None:
        request = self._requests.get(event.request_id)
        if request is None or request.tool_call_id is None or event.outcome == "allow":
            self._requests.pop(event.request_id, None)  # Else its call's failure will want the title.
        of_call = request is not None and request.tool_call_id is not None
        if event.outcome == "cancelled" or (event.outcome == "deny" and of_call):
            return  # The call's own line says so, or the run's.
        by = "" if event.by == self._me else f" by {event.by}"
        self._note(_answered(request, event, by))

    # Agents -------------------------------------------------------------------------------------------

    def _agent_started(self, event: events.AgentStarted) -> None:
        self._note(f"agent {event.agent} began in session {event.session_id}", "plain")

    def _agent_completed(self, event: events.AgentCompleted) -> None:
        self._note(f"agent {event.agent} ended", "plain")

    def _agent_failed(self, event: events.AgentFailed) -> None:
        self._note(f"agent {event.agent} failed: {event.error.message}", "error")

    # Session and run ----------------------------------------------------------------------------------

    def _session_started(self, event: events.SessionStarted) -> None:
        self.cwd = event.cwd
        self._note(f"{event.cwd} · {event.model} · sandbox: {event.sandbox.kind}")

    def _session_updated(self, event: events.SessionUpdated) -> None:
        if event.mode is not None:
            of_run = " for this run" if event.run_id is not None else ""
            self._note(f"mode: {event.mode}{of_run}")
        if event.title is not None:
            self._note(f"title: {event.title}")

    def _model_switched(self, event: events.ModelSwitched) -> None:
        self._note(f"model: {event.model}")

    def _session_ended(self, event: events.SessionEnded) -> None:
        self._note(f"the session ended: {event.reason}", "warning")

    def _notice(self, event: events.Notice) -> None:
        self._note(event.message, "dim" if event.level == "info" else "warning")

    def _error(self, event: events.Error) -> None:
        self._note(f"error: {event.error.message}", "error")

    def _run_started(self, event: events.RunStarted) -> None:
        self._plan = None
        if event.continues is not None:
            self._note("the run is taken up again")

    def _run_paused(self, event: events.RunPaused) -> None:
        self._paused = not self._requests  # Else the question says it.
        if self._paused:
            self._note(f"paused: {event.reason}", "warning")

    def _run_resumed(self, _event: events.RunResumed) -> None:
        if self._paused:
            self._note("the run goes on")
        self._paused = False

    def _run_ended(self, event: events.Terminal) -> None:
        if self._plan is not None:
            self._settled.append(self._plan)
        self._plan = None
        self._blocks.clear()
        self._calls.clear()
        self._tools.clear()
        self._requests.clear()
        self._proposed.clear()
        if isinstance(event, events.RunFailed):
            self._note(f"error: {event.error.message}", "error")
        if isinstance(event, events.RunCancelled) and event.by == self._me:
            event = msgspec.structs.replace(event, by="you")
        line = one_line(closing_line(msgspec.to_builtins(event)), 4 * TITLE_CHARS_MAX)
        self._settled.append(Closed(line, good=isinstance(event, events.RunCompleted)))

    def _note(self, text: str, tone: Tone = "dim") -> None:
        self._settled.append(Noted(one_line(text, 8 * TITLE_CHARS_MAX), tone))

    _handlers: Final[dict[type[Any], Callable[[Any, Any], None]]] = {
        events.SessionStarted: _session_started,
        events.SessionUpdated: _session_updated,
        events.SessionEnded: _session_ended,
        events.ModelSwitched: _model_switched,
        events.PromptReceived: _prompt_received,
        events.PromptUpdated: _prompt_updated,
        events.PromptRemoved: _prompt_removed,
        events.RunStarted: _run_started,
        events.RunPaused: _run_paused,
        events.RunResumed: _run_resumed,
        events.RunCompleted: _run_ended,
        events.RunFailed: _run_ended,
        events.RunCancelled: _run_ended,
        events.RunInterrupted: _run_ended,
        events.Error: _error,
        events.ContentBlockStart: _block_started,
        events.TokenDelta: _token_delta,
        events.ContentBlockEnd: _block_ended,
        events.PlanUpdated: _plan_updated,
        events.ToolCallStarted: _call_started,
        events.ToolOutput: _tool_output,
        events.ToolCallCompleted: _call_completed,
        events.ToolCallFailed: _call_failed,
        events.HookDenied: _hook_denied,
        events.RequestOpened: _request_opened,
        events.RequestResolved: _request_resolved,
        events.AgentStarted: _agent_started,
        events.AgentCompleted: _agent_completed,
        events.AgentFailed: _agent_failed,
        events.Notice: _notice,
        events.Compacted: _compacted,
    }


_SCOPES: Final = {"once": "once", "session": "for this session", "always": "always"}


def _answered(request: events.RequestOpened | None, event: events.RequestResolved, by: str) -> str:
    if event.outcome == "allow":
        title = "" if request is None else f": {one_line(request.title, TITLE_CHARS_MAX // 2)}"
        return f"allowed {_SCOPES[event.scope or 'once']}{by}{title}"
    label = event.outcome
    for option in () if request is None else request.options:
        if option.id == event.outcome:
            label = option.label
    words = f" ({event.message})" if event.message else ""
    return f"answered{by}: {label}{words}"
