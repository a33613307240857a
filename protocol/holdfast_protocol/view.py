"""What a session looks like: a fold of its events (PROTOCOL.md, "Snapshots").

`View` is the running fold; `Snapshot` is its frozen wire form, kept small by `shrink`. `fold(snapshot, tail)`
gives the same as folding the log from its start: daemon, clients and tests use this one implementation.

A view holds what a screen needs to join in: settings, the current run with its open blocks, the queue, open
requests, totals. Finished messages are not in it; they are read from the log, back from `older`.
Applying an event costs the same however long the session is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from holdfast_protocol import events
from holdfast_protocol.events.base import Cost
from holdfast_protocol.events.people import RequestOpened
from holdfast_protocol.shrink import shrink
from holdfast_protocol.snapshot import (
    SNAPSHOT_BYTES_MAX,
    Child,
    CurrentRun,
    EndedRun,
    OpenBlock,
    OpenToolCall,
    QueuedPrompt,
    RunStatus,
    SessionStatus,
    Settings,
    Snapshot,
    SnapshotPart,
)

__all__ = [
    "RUN_STATUS_OF",
    "SNAPSHOT_BYTES_MAX",
    "Child",
    "CurrentRun",
    "EndedRun",
    "OpenBlock",
    "OpenText",
    "OpenToolCall",
    "QueuedPrompt",
    "RunStatus",
    "RunView",
    "SessionStatus",
    "Settings",
    "Snapshot",
    "SnapshotPart",
    "View",
    "fold",
]


class OpenText:
    """Text that grows by deltas, joined only when asked for.

    Attributes:
        start: the block's or call's start; says all but the text.
        length: code points in all, also those not held here.
    """

    __slots__ = ("_parts", "length", "start")

    def __init__(self, start: Any, text: str = "", length: int | None = None) -> None:
        self.start = start
        self._parts = [text] if text else []
        self.length = len(text) if length is None else length

    def append(self, offset: int, text: str) -> None:
        """Add a delta; what the offset says we have already is dropped."""
        if offset != self.length:
            text = text[max(0, self.length - offset) :]
        if text:
            self._parts.append(text)
            self.length += len(text)

    def text(self, last: int | None = None) -> str:
        """Give the text held, or its last code points."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        text = self._parts[0] if self._parts else ""
        return text if last is None or len(text) <= last else text[len(text) - last :]


class RunView:
    """The current run, as the fold keeps it."""

    __slots__ = ("blocks", "cost", "prompt_id", "run_id", "started", "status", "step", "tool_calls", "usage")

    def __init__(self, started: CurrentRun) -> None:
        self.started = started
        self.run_id = started.run_id
        self.prompt_id = started.prompt_id
        self.status: Literal["running", "paused"] = started.status
        self.step = started.step
        self.usage = started.usage
        self.cost = started.cost
        self.blocks: dict[str, OpenText] = {
            block.block_id: OpenText(block, block.text, block.length) for block in started.blocks
        }
        self.tool_calls: dict[str, OpenText] = {
            call.tool_call_id: OpenText(call, call.text, call.length) for call in started.tool_calls
        }


class View:
    """The running fold of one session's events. One owner; others get snapshots."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        given = snapshot or Snapshot(head=0, status="idle")
        self.head = given.head
        self.ended = given.status == "ended"
        self.settings = given.settings
        self.run = RunView(given.run) if given.run else None
        self.last_run = given.last_run
        self.queue: dict[str, QueuedPrompt] = {prompt.prompt_id: prompt for prompt in given.queue}
        self.held = given.held
        self.requests: dict[str, RequestOpened] = {request.request_id: request for request in given.requests}
        self.usage = given.usage
        self.plan = given.plan
        self.children: dict[str, Child] = {child.session_id: child for child in given.children}
        self.runs = given.runs
        # Parts the given snapshot did not have whole, in its order; until they are replaced.
        self.truncated: dict[SnapshotPart, None] = dict.fromkeys(given.truncated)

    @property
    def status(self) -> SessionStatus:
        """What the session does."""
        if self.ended:
            return "ended"
        return self.run.status if self.run else "idle"

    def apply(self, event: events.Event | events.UnknownEvent) -> None:
        """Fold one event in; events come in the order of their seq, each once."""
        self.head = event.seq
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def apply_deltas(self, deltas: Sequence[events.Delta]) -> None:
        """Fold consecutive deltas in, at least one: the same as `apply` to each, without its steps for each.

        Nearly all events are deltas, and they come many at a time.
        """
        self.head = deltas[-1].seq
        if self.run is None:
            return
        blocks, tool_calls = self.run.blocks, self.run.tool_calls
        for delta in deltas:
            if isinstance(delta, events.TokenDelta):
                opened = blocks.get(delta.block_id)
            else:
                opened = tool_calls.get(delta.tool_call_id)
            if opened is not None:
                opened.append(delta.offset, delta.text)

    def snapshot(self, bytes_max: int | None = SNAPSHOT_BYTES_MAX) -> Snapshot:
        """Give the wire form, shortened until its encoding fits into `bytes_max` (None: never)."""
        if bytes_max is None:
            return self._snapshot(None)
        # A code point takes a byte at least: of a text, no more than `bytes_max` of them can stay.
        return shrink(self._snapshot(bytes_max), bytes_max)

    def _snapshot(self, characters: int | None) -> Snapshot:
        return Snapshot(
            head=self.head,
            status=self.status,
            settings=self.settings,
            run=_current_run(self.run, characters) if self.run else None,
            last_run=self.last_run,
            queue=tuple(self.queue.values()),
            held=self.held,
            requests=tuple(self.requests.values()),
            usage=self.usage,
            plan=self.plan,
            children=tuple(self.children.values()),
            runs=self.runs,
            older=self.head + 1 if self.head else None,
            truncated=tuple(self.truncated),
        )


RUN_STATUS_OF: Final[dict[type[events.EventBase], RunStatus]] = {
    events.RunCompleted: "completed",
    events.RunFailed: "failed",
    events.RunCancelled: "cancelled",
    events.RunInterrupted: "interrupted",
}

# One function per event that changes the view -------------------------------------------------------


def _session_started(view: View, event: events.SessionStarted) -> None:
    view.settings = Settings(
        cwd=event.cwd,
        agent=event.agent,
        model=event.model,
        sandbox=event.sandbox,
        thinking=event.thinking,
        mode=event.mode,
        unattended=event.unattended,
        budget=event.budget,
        roots=event.roots,
        title=event.title,
        instructions=_paths(event.instructions),
        meta=event.meta,
    )


def _paths(instructions: tuple[events.Instructions, ...]) -> tuple[str, ...]:
    """Give what is kept of instructions: a snapshot has no room for their text, the log has it."""
    return tuple(file.path for file in instructions)


_SETTINGS: Final = (
    "title",
    "archived",
    "agent",
    "thinking",
    "mode",
    "unattended",
    "budget",
    "roots",
    "meta",
    "forked_from",
    "sandbox",
)


def _session_updated(view: View, event: events.SessionUpdated) -> None:
    if event.run_id is not None and view.run is not None:
        view.run.started = msgspec.structs.replace(view.run.started, mode=event.mode)
        return
    changes = {name: value for name in _SETTINGS if (value := getattr(event, name)) is not None}
    if event.instructions is not None:
        changes["instructions"] = _paths(event.instructions)
    _change_settings(view, **changes)


def _model_switched(view: View, event: events.ModelSwitched) -> None:
    _change_settings(view, model=event.model)


def _change_settings(view: View, **changes: Any) -> None:
    if view.settings is not None:
        view.settings = msgspec.structs.replace(view.settings, **changes)


def _session_ended(view: View, _event: events.SessionEnded) -> None:
    view.ended = True


def _prompt_received(view: View, event: events.PromptReceived) -> None:
    if event.status == "started":
        return
    prompt = QueuedPrompt(
        prompt_id=event.prompt_id,
        content=event.content,
        by=event.by,
        seq=event.seq,
        delivery=event.delivery,
        model=event.model,
        mode=event.mode,
        budget=event.budget,
    )
    others = list(view.queue.values())
    rank = _QUEUE_RANK.get(event.delivery, 0)
    ahead = sum(1 for item in others if _QUEUE_RANK.get(item.delivery, 0) >= rank)
    others.insert(ahead, prompt)
    view.queue = {item.prompt_id: item for item in others}


_QUEUE_RANK: Final = {"interrupt": 2, "steer": 1}


def _prompt_updated(view: View, event: events.PromptUpdated) -> None:
    prompt = view.queue.get(event.prompt_id)
    if prompt is None:
        return
    if event.content is not None:
        view.queue[event.prompt_id] = msgspec.structs.replace(prompt, content=event.content, truncated=False)
    if event.position is not None:
        others = [item for item in view.queue.values() if item.prompt_id != event.prompt_id]
        others.insert(event.position - 1, view.queue[event.prompt_id])
        view.queue = {item.prompt_id: item for item in others}
    if event.status in ("started", "delivered", "refused"):
        del view.queue[event.prompt_id]


def _prompt_removed(view: View, event: events.PromptRemoved) -> None:
    view.queue.pop(event.prompt_id, None)


def _run_started(view: View, event: events.RunStarted) -> None:
    view.runs += 1
    view.held = False
    view.truncated.pop("run", None)
    view.run = RunView(
        CurrentRun(
            run_id=event.run_id or "",
            prompt_id=event.prompt_id,
            seq=event.seq,
            started_at=event.at,
            status="running",
            agent=event.agent,
            model=event.model,
            mode=event.mode,
            budget=event.budget,
            continues=event.continues,
        )
    )


def _run_paused(view: View, _event: events.RunPaused) -> None:
    if view.run:
        view.run.status = "paused"


def _run_resumed(view: View, _event: events.RunResumed) -> None:
    if view.run:
        view.run.status = "running"


def _run_ended(view: View, event: events.Terminal) -> None:
    status = RUN_STATUS_OF[type(event)]
    prompt_id = view.run.prompt_id if view.run else ""
    view.last_run = EndedRun(run_id=event.run_id or "", prompt_id=prompt_id, status=status, seq=event.seq)
    view.held = status in ("failed", "interrupted")
    view.run = None
    view.truncated.pop("run", None)


def _block_started(view: View, event: events.ContentBlockStart) -> None:
    if view.run:
        view.run.step = event.step
        view.run.blocks[event.block_id] = OpenText(event)


def _token_delta(view: View, event: events.TokenDelta) -> None:
    if view.run and (block := view.run.blocks.get(event.block_id)):
        block.append(event.offset, event.text)


def _block_ended(view: View, event: events.ContentBlockEnd) -> None:
    if view.run:
        view.run.blocks.pop(event.block_id, None)


def _tool_call_started(view: View, event: events.ToolCallStarted) -> None:
    if view.run:
        view.run.step = event.step
        view.run.tool_calls[event.tool_call_id] = OpenText(event)


def _tool_output(view: View, event: events.ToolOutput) -> None:
    if view.run and (call := view.run.tool_calls.get(event.tool_call_id)):
        call.append(event.offset, event.text)


def _tool_call_ended(view: View, event: events.ToolCallCompleted | events.ToolCallFailed) -> None:
    if view.run:
        view.run.tool_calls.pop(event.tool_call_id, None)


def _plan_updated(view: View, event: events.PlanUpdated) -> None:
    view.plan = event.entries
    view.truncated.pop("plan", None)


def _request_opened(view: View, event: events.RequestOpened) -> None:
    view.requests[event.request_id] = event


def _request_resolved(view: View, event: events.RequestResolved) -> None:
    view.requests.pop(event.request_id, None)


def _agent_started(view: View, event: events.AgentStarted) -> None:
    view.children[event.session_id] = Child(agent=event.agent, session_id=event.session_id, epoch=event.epoch)


def _agent_ended(view: View, event: events.AgentCompleted | events.AgentFailed) -> None:
    if event.session_id is not None:
        view.children.pop(event.session_id, None)


def _usage_updated(view: View, event: events.UsageUpdated) -> None:
    view.usage += event.usage
    if view.run:
        view.run.usage += event.usage
        if event.cost is not None:
            spent = view.run.cost.amount if view.run.cost else 0.0
            view.run.cost = Cost(amount=spent + event.cost.amount, currency=event.cost.currency)


_HANDLERS: Final[dict[type[Any], Callable[[View, Any], None]]] = {
    events.SessionStarted: _session_started,
    events.SessionUpdated: _session_updated,
    events.ModelSwitched: _model_switched,
    events.SessionEnded: _session_ended,
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
    events.ContentBlockStart: _block_started,
    events.TokenDelta: _token_delta,
    events.ContentBlockEnd: _block_ended,
    events.ToolCallStarted: _tool_call_started,
    events.ToolOutput: _tool_output,
    events.ToolCallCompleted: _tool_call_ended,
    events.ToolCallFailed: _tool_call_ended,
    events.PlanUpdated: _plan_updated,
    events.RequestOpened: _request_opened,
    events.RequestResolved: _request_resolved,
    events.AgentStarted: _agent_started,
    events.AgentCompleted: _agent_ended,
    events.AgentFailed: _agent_ended,
    events.UsageUpdated: _usage_updated,
}
# Events that are not here change nothing a screen needs to join in.


def fold(snapshot: Snapshot | None, tail: Iterable[events.Event | events.UnknownEvent]) -> Snapshot:
    """Fold events onto a snapshot, or onto nothing.

    Args:
        snapshot: a snapshot, or None to begin with an empty session.
        tail: the events after it, in order, each once.
    """
    view = View(snapshot)
    for event in tail:
        view.apply(event)
    return view.snapshot()


def _current_run(run: RunView, characters: int | None) -> CurrentRun:
    return msgspec.structs.replace(
        run.started,
        status=run.status,
        step=run.step,
        usage=run.usage,
        cost=run.cost,
        blocks=tuple(_open_block(block, characters) for block in run.blocks.values()),
        tool_calls=tuple(_open_tool_call(call, characters) for call in run.tool_calls.values()),
    )


def _open_block(block: OpenText, characters: int | None) -> OpenBlock:
    start: events.ContentBlockStart | OpenBlock = block.start
    return OpenBlock(
        block_id=start.block_id,
        message_id=start.message_id,
        step=start.step,
        kind=start.kind,
        text=block.text(characters),
        length=block.length,
        tool_call_id=start.tool_call_id,
        tool=start.tool,
    )


def _open_tool_call(call: OpenText, characters: int | None) -> OpenToolCall:
    start: events.ToolCallStarted | OpenToolCall = call.start
    return OpenToolCall(
        tool_call_id=start.tool_call_id,
        step=start.step,
        tool=start.tool,
        kind=start.kind,
        title=start.title,
        input=start.input,
        text=call.text(characters),
        length=call.length,
        truncated=isinstance(start, OpenToolCall) and start.truncated,
    )
