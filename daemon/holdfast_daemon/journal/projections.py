"""Rows of the tables as a function of events: what a transaction changes beside the log.

The log is the truth; these rows are its folds, written in the same transaction so that lists and searches
need no replay. No row is rewritten per delta: a message is inserted at its first block, gets each block
when it has ended, and its status when its run has.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast_daemon.journal.store import AddUsage, AppendBlock, Change, EndMessages, Upsert, UsageRow
from holdfast_protocol import events
from holdfast_protocol.methods.usage import USAGE_PERIOD_MS
from holdfast_protocol.view import RUN_STATUS_OF

_encode: Final = msgspec.json.encode

_TOKENS_MAX: Final = 2**40
"""Of a class in one step, or of a run. No model comes near it; a provider may say anything, and columns and
their sums must fit 64 bits."""


def changes_of(event: events.Event, seq: int, at: int) -> tuple[Change, ...]:
    """Give the row changes of one event that gets place `seq` at time `at`."""
    handler = _HANDLERS.get(type(event))
    return handler(event, seq, at) if handler is not None else ()


def usage_of(event: events.Event, at: int) -> tuple[AddUsage, ...]:
    """Give what an event of time `at` adds to the usage."""
    return tuple(change for change in changes_of(event, 0, at) if isinstance(change, AddUsage))


def _session_updated(event: events.SessionUpdated, _seq: int, at: int) -> tuple[Change, ...]:
    values: list[tuple[str, Any]] = [("updated_at", at)]
    if event.title is not None:
        values.append(("title", event.title))
    if event.archived is not None:
        values.append(("archived", int(event.archived)))
    if event.agent is not None:
        values.append(("agent", event.agent))
    if event.forked_from is not None:
        values.append(("forked", _encode(event.forked_from).decode()))
    return (Upsert("sessions", "", tuple(values)),)


def _model_switched(event: events.ModelSwitched, _seq: int, at: int) -> tuple[Change, ...]:
    return (Upsert("sessions", "", (("model", event.model), ("updated_at", at))),)


def _prompt_received(event: events.PromptReceived, _seq: int, at: int) -> tuple[Change, ...]:
    message = Upsert(
        "messages",
        event.prompt_id,
        (("role", "user"), ("blocks", _encode(event.content).decode()), ("started_at", at)),
    )
    return (message, Upsert("sessions", "", (("updated_at", at),)))


def _prompt_updated(event: events.PromptUpdated, _seq: int, _at: int) -> tuple[Change, ...]:
    values: list[tuple[str, Any]] = []
    if event.content is not None:
        values.append(("blocks", _encode(event.content).decode()))
    if event.status == "delivered":  # It entered a run that another prompt began.
        values.append(("run", event.run_id))
    return (Upsert("messages", event.prompt_id, tuple(values)),) if values else ()


def _prompt_removed(event: events.PromptRemoved, _seq: int, at: int) -> tuple[Change, ...]:
    return (Upsert("messages", event.prompt_id, (("status", "removed"), ("completed_at", at))),)


def _run_started(event: events.RunStarted, seq: int, at: int) -> tuple[Change, ...]:
    run = event.run_id or ""
    return (
        Upsert(
            "runs",
            run,
            (
                ("prompt", event.prompt_id),
                ("model", event.model),
                ("status", "running"),
                ("user_message", event.prompt_id),
                ("seq_start", seq),
                ("started_at", at),
            ),
        ),
        Upsert("messages", event.prompt_id, (("run", run),)),
        Upsert("sessions", "", (("status", "running"), ("run", run), ("updated_at", at))),
        AddUsage(_period(at), UsageRow(event.model, estimated=False, currency="", runs=1)),
    )


def _run_paused(event: events.RunPaused, _seq: int, _at: int) -> tuple[Change, ...]:
    return _run_status(event, "paused")


def _run_resumed(event: events.RunResumed, _seq: int, _at: int) -> tuple[Change, ...]:
    return _run_status(event, "running")


def _run_status(event: events.EventBase, status: str) -> tuple[Change, ...]:
    run = Upsert("runs", event.run_id or "", (("status", status),))
    return (run, Upsert("sessions", "", (("status", status),)))


def _run_ended(event: events.Terminal, seq: int, at: int) -> tuple[Change, ...]:
    run, status = event.run_id or "", RUN_STATUS_OF[type(event)]
    values: list[tuple[str, Any]] = [("status", status), ("seq_end", seq), ("ended_at", at)]
    if event.usage is not None:
        usage = event.usage
        input_tokens = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
        values += [("input_tokens", _tokens(input_tokens)), ("output_tokens", _tokens(usage.output))]
    if event.cost is not None:
        values.append(("cost", event.cost.amount))
    return (
        Upsert("runs", run, tuple(values)),
        EndMessages(run, status, at),
        Upsert("sessions", "", (("status", "idle"), ("run", None), ("updated_at", at))),
    )


def _block_started(event: events.ContentBlockStart, _seq: int, at: int) -> tuple[Change, ...]:
    run = event.run_id or ""
    message = Upsert("messages", event.message_id, (("run", run), ("role", "assistant"), ("started_at", at)))
    return (message, Upsert("runs", run, (("assistant_message", event.message_id),)))


def _block_ended(event: events.ContentBlockEnd, _seq: int, _at: int) -> tuple[Change, ...]:
    block: dict[str, Any] = {"kind": event.kind, "text": event.text}
    for name in ("tool_call_id", "tool", "partial", "provider", "opaque"):
        value = getattr(event, name)
        if value:
            block[name] = value
    return (AppendBlock(event.message_id, _encode(block)),)


def _tool_call_started(event: events.ToolCallStarted, _seq: int, at: int) -> tuple[Change, ...]:
    values = (
        ("run", event.run_id or ""),
        ("role", "tool"),
        ("tool", event.tool),
        ("tool_call", event.tool_call_id),
        ("started_at", at),
    )
    return (Upsert("messages", event.tool_call_id, values),)


def _tool_call_completed(event: events.ToolCallCompleted, _seq: int, at: int) -> tuple[Change, ...]:
    values = (("blocks", _encode(event.result).decode()), ("status", "completed"), ("completed_at", at))
    return (Upsert("messages", event.tool_call_id, values),)


def _tool_call_failed(event: events.ToolCallFailed, _seq: int, at: int) -> tuple[Change, ...]:
    values = (  # A call that was refused has no start: this is all there is of it.
        ("run", event.run_id or ""),
        ("role", "tool"),
        ("tool_call", event.tool_call_id),
        ("error", _encode(event.error).decode()),
        ("status", "failed"),
        ("completed_at", at),
    )
    return (Upsert("messages", event.tool_call_id, values),)


def _request_opened(event: events.RequestOpened, _seq: int, at: int) -> tuple[Change, ...]:
    values = (
        ("run", event.run_id),
        ("kind", event.kind),
        ("body", _encode(event)),
        ("opened_at", at),
    )
    return (Upsert("requests", event.request_id, values),)


def _request_resolved(event: events.RequestResolved, _seq: int, at: int) -> tuple[Change, ...]:
    values = (("outcome", event.outcome), ("answered_by", event.by), ("resolved_at", at))
    return (Upsert("requests", event.request_id, values),)


def _usage_updated(event: events.UsageUpdated, _seq: int, at: int) -> tuple[Change, ...]:
    usage, cost = event.usage, event.cost
    row = UsageRow(
        event.model,
        estimated=usage.estimated,
        currency=cost.currency if cost else "",
        steps=1,
        unpriced=0 if cost else 1,
        input=_tokens(usage.input),
        cache_read=_tokens(usage.cache_read),
        cache_write_5m=_tokens(usage.cache_write_5m),
        cache_write_1h=_tokens(usage.cache_write_1h),
        output=_tokens(usage.output),
        reasoning=_tokens(usage.reasoning),
        amount=cost.amount if cost else 0.0,
    )
    return (AddUsage(_period(at), row),)


def _period(at: int) -> int:
    return at - at % USAGE_PERIOD_MS


def _tokens(said: int) -> int:
    return max(0, min(said, _TOKENS_MAX))


_HANDLERS: Final[dict[type[Any], Callable[[Any, int, int], tuple[Change, ...]]]] = {
    events.SessionUpdated: _session_updated,
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
    events.ContentBlockStart: _block_started,
    events.ContentBlockEnd: _block_ended,
    events.ToolCallStarted: _tool_call_started,
    events.ToolCallCompleted: _tool_call_completed,
    events.ToolCallFailed: _tool_call_failed,
    events.RequestOpened: _request_opened,
    events.RequestResolved: _request_resolved,
    events.UsageUpdated: _usage_updated,
}
