"""From a session's events to what an editor is told. A fold: no I/O, no clock.

    live      every event as it comes, texts as they grow
    replay    the log again: messages and tool calls whole, each told once

What is finished is not held.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, cast

from holdfast_client.bridges.acp import choices, tool_calls
from holdfast_client.bridges.acp.choices import Chosen
from holdfast_client.bridges.acp.content import shown
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock, TextBlock
from holdfast_protocol.foreign.acp import content as acp
from holdfast_protocol.foreign.acp import updates
from holdfast_protocol.methods.catalogue import ModelInfo
from holdfast_protocol.snapshot import CurrentRun, Snapshot

OUTPUT_CHARS_MAX: Final = 8 * 1024
"""Of a running call's output; each update repeats it, because in this protocol content replaces content."""

Update = updates.Update


class Shows(NamedTuple):
    """Which gated updates the editor takes."""

    notices: bool = False
    compaction: bool = False


class _Block:
    """A block that streams.

    Attributes:
        told: how many of its code points the editor has.
    """

    __slots__ = ("kind", "message_id", "told")

    def __init__(self, kind: events.BlockKind, message_id: str, told: int = 0) -> None:
        self.kind = kind
        self.message_id = message_id
        self.told = told


class _Call:
    """A tool call without an outcome.

    Attributes:
        told: whether the editor knows it.
        output: the end of what it has put out.
        is_stale: whether there is output the editor does not have.
    """

    __slots__ = ("given", "is_stale", "kind", "output", "places", "title", "told", "tool")

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.title = tool
        self.kind: acp.Kind = tool_calls.kind_of(tool)
        self.given: Any = None
        self.places: tuple[acp.Place, ...] = ()
        self.told = False
        self.output = ""
        self.is_stale = False


class Transcript:
    """One session as one editor sees it.

    Args:
        shows: what the editor takes.
        models: those there are.
        is_own: tells whether a prompt is this editor's, which shows it by itself. Must not raise.

    Attributes:
        chosen: the settings that can be chosen.
        unknown_calls: tools of the current run of which nobody knows whether they took effect.
        begun: calls of that run that have started, and whether a person allowed each.
        terminals: the editor's own terminals that calls run in, by call: they go on being shown.
    """

    def __init__(self, shows: Shows, models: tuple[ModelInfo, ...], is_own: Callable[[str], bool]) -> None:
        self.chosen = Chosen()
        self.unknown_calls: list[str] = []
        self.terminals: dict[str, str] = {}
        self.begun: dict[str, bool] = {}
        self._run_mode: events.Mode | None = None
        self._asked_about: dict[str, str] = {}  # Calls, by the request for leave.
        self._allowed: set[str] = set()  # Calls a person has allowed.
        self._cwd = ""
        self._shows = shows
        self._models = models
        self._is_own = is_own
        self._is_live = False
        self._blocks: dict[str, _Block] = {}
        self._calls: dict[str, _Call] = {}
        self._waiting: dict[str, tuple[ContentBlock, ...]] = {}  # Prompts that wait, by id.
        self._questions: set[str] = set()  # Requests that are shown as tool calls of their own.
        self._costs: dict[str, float] = {}

    @property
    def mode(self) -> events.Mode:
        """See the class."""
        return self._run_mode or self.chosen.mode

    # The ways in ---------------------------------------------------------------------------------------

    def replay(self, events_: Iterable[AnyEvent]) -> Iterator[Update]:
        """Fold the log again, from its start."""
        self._is_live = False
        for event in events_:
            yield from self._apply(event)

    def join(self, snapshot: Snapshot, *, told_before: bool) -> Iterator[Update]:
        """Go live from a snapshot on.

        Args:
            snapshot: of the seq that live events follow.
            told_before: the log up to there was replayed; else the editor had it before, open texts apart.
        """
        self._is_live = True
        self._take_settings(snapshot)
        run = snapshot.run
        if not told_before:
            self._waiting = {prompt.prompt_id: prompt.content for prompt in snapshot.queue}
        if run is None:
            return
        self._run_mode = run.mode
        for request in snapshot.requests:
            if request.tool_call_id is not None:
                self._asked_about[request.request_id] = request.tool_call_id
        yield from self._join_run(run)

    def _join_run(self, run: CurrentRun) -> Iterator[Update]:
        """Tell what is open in the run that goes on."""
        for block in run.blocks:
            told = _Block(block.kind, block.message_id, block.length)
            self._blocks[block.block_id] = told
            if block.kind == "tool_input":
                self._calls.setdefault(block.tool_call_id or block.block_id, _Call(block.tool or "tool"))
            elif block.text:
                yield _chunk(told, block.text)
        for open_call in run.tool_calls:
            call = self._calls.setdefault(open_call.tool_call_id, _Call(open_call.tool))
            call.title, call.kind, call.given = open_call.title, open_call.kind, open_call.input
            call.output = open_call.text[-OUTPUT_CHARS_MAX:]
        for call_id, call in self._calls.items():
            if not call.told:
                yield self._announced(call_id, call, "in_progress" if call.given is not None else "pending")

    def apply(self, some: Iterable[AnyEvent]) -> Iterator[tuple[AnyEvent, list[Update]]]:
        """Fold live events in; give each with what the editor is told of it. Deltas are joined."""
        for event in joined(some):
            yield event, list(self._apply(event))

    def flush(self) -> list[Update]:
        """Give the output of running calls the editor does not have."""
        stale = [(call_id, call) for call_id, call in self._calls.items() if call.is_stale]
        return [self._output_update(call_id, call) for call_id, call in stale]

    @property
    def is_stale(self) -> bool:
        """Whether there is something to flush."""
        return any(call.is_stale for call in self._calls.values())

    def spent(self, costs: Iterable[events.Cost]) -> None:
        """Take what the session has cost before this transcript began."""
        for cost in costs:
            self._add_cost(cost)

    # Events --------------------------------------------------------------------------------------------

    def _apply(self, event: AnyEvent) -> Iterator[Update]:
        match event:
            case events.ContentBlockStart():
                yield from self._block_start(event)
            case events.TokenDelta():
                yield from self._delta(event)
            case events.ContentBlockEnd():
                yield from self._block_end(event)
            case events.ToolCallStarted() | events.ToolOutput():
                yield from self._call_goes_on(event)
            case events.ToolCallCompleted() | events.ToolCallFailed():
                yield from self._call_ended(event)
            case events.PromptReceived() | events.PromptUpdated() | events.PromptRemoved():
                yield from self._prompt(event)
            case events.RequestOpened() | events.RequestResolved():
                yield from self._request(event)
            case events.SessionStarted() | events.SessionUpdated() | events.ModelSwitched():
                yield from self._settings(event)
            case (
                events.RunStarted()
                | events.RunCompleted()
                | events.RunFailed()
                | events.RunCancelled()
                | events.RunInterrupted()
            ):
                self._between_runs(event)
            case _:
                yield from self._other(event)

    def _other(self, event: AnyEvent) -> Iterator[Update]:
        match event:
            case events.PlanUpdated():
                entries = tuple(
                    updates.PlanEntry(content=entry.content, priority=entry.priority, status=entry.status)
                    for entry in event.entries
                )
                yield updates.Plan(entries=entries)
            case events.UsageUpdated():
                yield from self._usage(event)
            case events.Notice() if self._shows.notices:
                yield updates.Notice(severity=event.level, title=event.message)
            case events.Compacted() if self._shows.compaction:
                summary = (acp.Text(text=event.summary),)
                yield updates.CompactionUpdate(
                    compaction_id=f"compaction-{event.seq}", status="completed", summary=summary
                )
            case _:
                pass

    def _between_runs(self, event: AnyEvent) -> None:
        if isinstance(event, events.RunStarted):
            self.unknown_calls = []
            self._run_mode = event.mode
        else:
            self._run_mode = None
            for held in (self._blocks, self._calls, self.begun, self._asked_about, self._allowed):
                held.clear()

    # Blocks --------------------------------------------------------------------------------------------

    def _block_start(self, event: events.ContentBlockStart) -> Iterator[Update]:
        self._blocks[event.block_id] = _Block(event.kind, event.message_id)
        if event.kind == "tool_input" and self._is_live:
            call = self._call(event.tool_call_id or event.block_id, event.tool or "tool")
            yield self._announced(event.tool_call_id or event.block_id, call, "pending")

    def _delta(self, event: events.TokenDelta) -> Iterator[Update]:
        block = self._blocks.get(event.block_id)
        if block is None or block.kind == "tool_input":
            return
        text = event.text[max(0, block.told - event.offset) :]
        if text:
            block.told += len(text)
            yield _chunk(block, text)

    def _block_end(self, event: events.ContentBlockEnd) -> Iterator[Update]:
        block = self._blocks.pop(event.block_id, None) or _Block(event.kind, event.message_id)
        if event.kind == "tool_input":
            call = self._call(event.tool_call_id or event.block_id, event.tool or "tool")
            call.given = tool_calls.parsed(event.text)
            if self._is_live and not call.told:
                yield self._announced(event.tool_call_id or event.block_id, call, "pending")
        elif len(event.text) > block.told:
            yield _chunk(block, event.text[block.told :])

    # Tool calls ----------------------------------------------------------------------------------------

    def _call(self, call_id: str, tool: str) -> _Call:
        return self._calls.setdefault(call_id, _Call(tool))

    def _announced(self, call_id: str, call: _Call, status: acp.Status) -> Update:
        call.told = True
        call.is_stale = False
        return updates.ToolCall(
            tool_call_id=call_id,
            title=call.title,
            name=call.tool,
            kind=call.kind,
            status=status,
            locations=call.places,
            raw_input=call.given,
            content=tool_calls.output_so_far(call.output) if call.output else (),
        )

    def _call_goes_on(self, event: events.ToolCallStarted | events.ToolOutput) -> Iterator[Update]:
        if isinstance(event, events.ToolOutput):
            call = self._call(event.tool_call_id, "tool")
            call.output = (call.output + event.text)[-OUTPUT_CHARS_MAX:]
            call.is_stale = self._is_live
            return
        self.begun[event.tool_call_id] = event.tool_call_id in self._allowed
        call = self._call(event.tool_call_id, event.tool)
        call.title, call.kind, call.given = event.title, event.kind, event.input
        call.places = tool_calls.places(event.locations)
        if not self._is_live:
            return
        if not call.told:
            yield self._announced(event.tool_call_id, call, "in_progress")
            return
        yield updates.ToolCallUpdate(
            tool_call_id=event.tool_call_id,
            title=call.title,
            kind=call.kind,
            status="in_progress",
            locations=call.places or None,
            raw_input=call.given,
        )

    def _call_ended(self, event: events.ToolCallCompleted | events.ToolCallFailed) -> Iterator[Update]:
        call = self._calls.pop(event.tool_call_id, None) or _Call("tool")
        status: acp.Status = "completed" if isinstance(event, events.ToolCallCompleted) else "failed"
        if isinstance(event, events.ToolCallCompleted):
            content = self._changes(call) if not event.diff else ()
            content = content or tool_calls.result_shown(call.kind, event)
        else:
            content = tool_calls.failure_shown(event)
            if event.error.kind == "unknown":
                self.unknown_calls.append(call.title)
        terminal_id = self.terminals.pop(event.tool_call_id, None)
        if terminal_id is not None:
            content = (acp.TerminalShown(terminal_id=terminal_id),)
        if call.told:
            yield updates.ToolCallUpdate(tool_call_id=event.tool_call_id, status=status, content=content)
        else:
            yield updates.ToolCall(
                tool_call_id=event.tool_call_id,
                title=call.title,
                name=call.tool,
                kind=call.kind,
                status=status,
                locations=call.places,
                raw_input=call.given,
                content=content,
            )

    def _changes(self, call: _Call) -> tuple[acp.Diff, ...]:
        """Give the change of a call that does not tell it: one that a client ran."""
        members = cast("dict[str, Any]", call.given) if isinstance(call.given, dict) else {}
        path = tool_calls.place_of(members, call.places, self._cwd)
        return tool_calls.proposed_diff(call.tool, members, path, None)

    def _output_update(self, call_id: str, call: _Call) -> Update:
        call.is_stale = False
        return updates.ToolCallUpdate(
            tool_call_id=call_id, content=tool_calls.output_so_far(call.output), status="in_progress"
        )

    # People --------------------------------------------------------------------------------------------

    def _prompt(
        self, event: events.PromptReceived | events.PromptUpdated | events.PromptRemoved
    ) -> Iterator[Update]:
        match event:
            case events.PromptReceived():
                content = (TextBlock(text=event.command),) if event.command else event.content
                if event.status == "started":
                    yield from self._said(event.prompt_id, content)
                    return
                self._waiting[event.prompt_id] = content
                wants = self._shows.notices and self._is_live and self._is_own(event.prompt_id)
                if event.status == "queued" and wants:
                    yield updates.Notice(severity="info", title="Queued: another run goes on first.")
            case events.PromptUpdated():
                if event.content is not None and event.prompt_id in self._waiting:
                    self._waiting[event.prompt_id] = event.content
                if event.status in ("started", "delivered"):
                    yield from self._said(event.prompt_id, self._waiting.pop(event.prompt_id, ()))
            case events.PromptRemoved():
                self._waiting.pop(event.prompt_id, None)

    def _said(self, prompt_id: str, content: tuple[ContentBlock, ...]) -> Iterator[Update]:
        """Tell what a person said, unless it was said here just now."""
        if self._is_live and self._is_own(prompt_id):
            return
        for block in content:
            yield updates.UserMessageChunk(content=shown(block), message_id=prompt_id)

    def _request(self, event: events.RequestOpened | events.RequestResolved) -> Iterator[Update]:
        """Show a question that is about no tool call as one of its own: a dialog needs one."""
        if isinstance(event, events.RequestOpened):
            if event.tool_call_id is not None:
                self._asked_about[event.request_id] = event.tool_call_id
                return
            self._questions.add(event.request_id)
            yield updates.ToolCall(
                tool_call_id=event.request_id, title=event.title, kind=question_kind(event)
            )
        elif event.request_id in self._asked_about:
            call_id = self._asked_about.pop(event.request_id)
            if event.outcome.startswith("allow"):
                self._allowed.add(call_id)
        elif event.request_id in self._questions:
            self._questions.discard(event.request_id)
            failed = event.outcome in ("deny", "decline", "cancelled", "stop")
            yield updates.ToolCallUpdate(
                tool_call_id=event.request_id, status="failed" if failed else "completed"
            )

    # Settings and usage --------------------------------------------------------------------------------

    def _take_settings(self, snapshot: Snapshot) -> None:
        settings = snapshot.settings
        if settings is not None:
            self._cwd = settings.cwd
            self.chosen = Chosen(settings.mode, settings.model, settings.thinking)

    def _settings(
        self, event: events.SessionStarted | events.SessionUpdated | events.ModelSwitched
    ) -> Iterator[Update]:
        before = self.chosen
        match event:
            case events.SessionStarted():
                self._cwd = event.cwd
                self.chosen = Chosen(event.mode, event.model, event.thinking)
            case events.ModelSwitched():
                self.chosen = before._replace(model=event.model)
            case events.SessionUpdated() if event.run_id is not None:
                self._run_mode = event.mode or self._run_mode
            case events.SessionUpdated():
                self.chosen = before._replace(
                    mode=event.mode or before.mode, thinking=event.thinking or before.thinking
                )
        if isinstance(event, events.SessionUpdated) and event.title is not None:
            yield updates.InfoUpdate(title=event.title)
        if self._is_live and self.chosen != before:
            if self.chosen.mode != before.mode:
                yield updates.ModeUpdate(current_mode_id=self.chosen.mode)
            yield updates.ConfigUpdate(config_options=choices.options(self.chosen, self._models))

    def _usage(self, event: events.UsageUpdated) -> Iterator[Update]:
        if event.cost is not None:
            self._add_cost(event.cost)
        size = next((model.context_tokens for model in self._models if model.name == event.model), None)
        if size is None or not self._is_live:
            return
        usage = event.usage
        read = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
        yield updates.UsageUpdate(used=read + usage.output, size=size, cost=self._cost())

    def _add_cost(self, cost: events.Cost) -> None:
        self._costs[cost.currency] = self._costs.get(cost.currency, 0.0) + cost.amount

    def _cost(self) -> updates.Cost | None:
        """Give what the session has cost; nothing if that is in several currencies."""
        if len(self._costs) != 1:
            return None
        ((currency, amount),) = self._costs.items()
        return updates.Cost(amount=amount, currency=currency)


def question_kind(event: events.RequestOpened) -> acp.Kind:
    """Give the kind under which a question is shown."""
    match event.detail:
        case {"question": "plan"}:
            return "switch_mode"
        case _:
            return "other"


def joined(some: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
    """Join deltas of one block that follow each other."""
    held: events.TokenDelta | None = None
    pieces: list[str] = []

    def whole(first: events.TokenDelta) -> events.TokenDelta:
        if len(pieces) == 1:
            return first
        return events.TokenDelta(
            seq=first.seq,
            at=first.at,
            run_id=first.run_id,
            block_id=first.block_id,
            offset=first.offset,
            text="".join(pieces),
        )

    for event in some:
        if isinstance(event, events.TokenDelta) and held is not None and event.block_id == held.block_id:
            pieces.append(event.text)
            continue
        if held is not None:
            yield whole(held)
            held = None
        if isinstance(event, events.TokenDelta):
            held, pieces = event, [event.text]
        else:
            yield event
    if held is not None:
        yield whole(held)


def _chunk(block: _Block, text: str) -> Update:
    kind = updates.AgentThoughtChunk if block.kind == "thinking" else updates.AgentMessageChunk
    return kind(content=acp.Text(text=text), message_id=block.message_id)
