"""Events of a session as its log would have them: numbered, folded."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo, SandboxInfo, Usage
from holdfast_protocol.view import View

STARTED = events.SessionStarted(cwd="/", agent="chat", model="m", sandbox=SandboxInfo(kind="none"))

USAGE = Usage(input=1, output=2)


def number(group: Iterable[events.Event], first: int = 1) -> list[Any]:
    return [msgspec.structs.replace(event, seq=seq, at=seq) for seq, event in enumerate(group, first)]


def fold_view(*group: events.Event) -> View:
    """Fold a session in which this happened."""
    view = View()
    for event in number((STARTED, *group)):
        view.apply(event)
    return view


def said(*texts: str) -> tuple[TextBlock, ...]:
    return tuple(TextBlock(text=text) for text in texts)


def received(prompt_id: str = "p1", text: str = "do it", status: Any = "started") -> events.PromptReceived:
    return events.PromptReceived(
        prompt_id=prompt_id, content=said(text), delivery="queue", status=status, by="c"
    )


def run_started(run: str = "r1", prompt_id: str = "p1", continues: str | None = None) -> events.RunStarted:
    return events.RunStarted(run_id=run, prompt_id=prompt_id, agent="chat", model="m", continues=continues)


def run_completed(run: str = "r1") -> events.RunCompleted:
    return events.RunCompleted(run_id=run, stop_reason="end_turn", usage=USAGE, duration_ms=1, steps=1)


def run_interrupted(run: str = "r1", cause: str = "shutdown") -> events.RunInterrupted:
    return events.RunInterrupted(run_id=run, cause=cause)


def block_start(
    block: str = "b1", *, run: str = "r1", kind: Any = "text", **fields: Any
) -> events.ContentBlockStart:
    message = fields.pop("message_id", f"{run}-m1")
    return events.ContentBlockStart(
        run_id=run, block_id=block, message_id=message, step=1, kind=kind, **fields
    )


def block_end(
    block: str = "b1", text: str = "hello", *, run: str = "r1", kind: Any = "text", **fields: Any
) -> events.ContentBlockEnd:
    message = fields.pop("message_id", f"{run}-m1")
    return events.ContentBlockEnd(
        run_id=run, block_id=block, message_id=message, step=1, kind=kind, text=text, **fields
    )


def delta(text: str, block: str = "b1", offset: int = 0) -> events.TokenDelta:
    return events.TokenDelta(run_id="r1", block_id=block, offset=offset, text=text)


def call_block(call: str, json: str = "{}", **fields: Any) -> events.ContentBlockEnd:
    return block_end(f"block-{call}", json, kind="tool_input", tool_call_id=call, tool="read", **fields)


def call_started(call: str, run: str = "r1") -> events.ToolCallStarted:
    return events.ToolCallStarted(
        run_id=run, tool_call_id=call, step=1, tool="read", kind="read", input={}, title="read"
    )


def call_completed(call: str, text: str = "result", run: str = "r1") -> events.ToolCallCompleted:
    return events.ToolCallCompleted(run_id=run, tool_call_id=call, result=said(text), duration_ms=1)


def call_failed(call: str, kind: str = "tool_failed", **fields: Any) -> events.ToolCallFailed:
    return events.ToolCallFailed(
        run_id="r1", tool_call_id=call, error=ErrorInfo(kind=kind, message="no"), **fields
    )


def check_complete(log: Sequence[Any]) -> None:
    """Assert what holds of every log whose runs have all ended, however they did.

    Each run has one terminal event and nothing after it; each block and each tool call that was started has
    exactly one end before that.
    """
    open_blocks: set[str] = set()
    open_calls: set[str] = set()
    ended: set[str] = set()
    current: str | None = None
    for event in log:
        assert event.run_id not in ended, "something of a run follows its end"
        match event:
            case events.RunStarted():
                assert current is None, "two runs at once"
                current = event.run_id
            case events.ContentBlockStart():
                assert event.block_id not in open_blocks
                open_blocks.add(event.block_id)
            case events.ContentBlockEnd():
                assert event.block_id in open_blocks, "an end without a start"
                open_blocks.remove(event.block_id)
            case events.TokenDelta():
                assert event.block_id in open_blocks
            case events.ToolCallStarted():
                assert event.tool_call_id not in open_calls
                open_calls.add(event.tool_call_id)
            case events.ToolOutput():
                assert event.tool_call_id in open_calls
            case events.ToolCallCompleted() | events.ToolCallFailed():
                assert event.tool_call_id in open_calls, "an outcome without a start"
                open_calls.remove(event.tool_call_id)
            case events.RunCompleted() | events.RunFailed() | events.RunCancelled() | events.RunInterrupted():
                assert event.run_id == current, "the end of another run"
                assert not open_blocks
                assert not open_calls
                ended.add(event.run_id or "")
                current = None
            case _:
                pass
    assert current is None, "a run without an end"
