"""Events of a session as a test tells them, and what a terminal of some width would show of them."""

from typing import Any

import msgspec

from holdfast_client.terminal.drawing import Drawing
from holdfast_client.terminal.transcript import Transcript
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock

USAGE = events.Usage(input=120, output=20)


class Story:
    """A log that grows: each event gets the next seq, and a time 100 ms later."""

    def __init__(self, files: dict[str, str] | None = None, me: str = "me") -> None:
        self.transcript = Transcript((files or {}).get, me)
        self.items: list[Any] = []
        self._seq = 0

    def tell(self, *told: events.EventBase) -> "Story":
        """Let events happen."""
        for event in told:
            self._seq += 1
            self.transcript.apply(
                msgspec.structs.replace(event, seq=self._seq, at=1_000_000 + 100 * self._seq)
            )
            self.items += self.transcript.take_settled()
        return self

    def settled(self, width: int = 80) -> str:
        """Give what was printed."""
        return "\n".join(Drawing(width, styled=False).page(self.items))

    def live(self, width: int = 80, now: int = 0) -> str:
        """Give what is still drawn anew."""
        return "\n".join(Drawing(width, styled=False).page(self.transcript.live, now=now))


def asked(text: str, *, status: str = "started", prompt_id: str = "p1") -> events.PromptReceived:
    return events.PromptReceived(
        prompt_id=prompt_id, content=(TextBlock(text=text),), delivery="queue", status=status, by="me"
    )


def block(text: str, kind: str = "text", block_id: str = "b1", deltas: int = 1) -> list[events.EventBase]:
    """Give a whole block, in so many deltas."""
    size = max(1, -(-len(text) // deltas))
    deltas_told = [delta(text[at : at + size], at, block_id) for at in range(0, len(text), size)]
    return [start(kind, block_id), *deltas_told, end(text, kind, block_id)]


def start(kind: str = "text", block_id: str = "b1", tool: str | None = None) -> events.ContentBlockStart:
    return events.ContentBlockStart(block_id=block_id, message_id="m1", step=1, kind=kind, tool=tool)


def delta(text: str, offset: int = 0, block_id: str = "b1") -> events.TokenDelta:
    return events.TokenDelta(block_id=block_id, offset=offset, text=text)


def end(text: str, kind: str = "text", block_id: str = "b1", **members: Any) -> events.ContentBlockEnd:
    return events.ContentBlockEnd(block_id=block_id, message_id="m1", step=1, kind=kind, text=text, **members)


def called(
    title: str, tool: str = "shell", kind: str = "execute", call_id: str = "c1"
) -> events.ToolCallStarted:
    return events.ToolCallStarted(tool_call_id=call_id, step=1, tool=tool, kind=kind, input={}, title=title)


def output(text: str, offset: int = 0, call_id: str = "c1") -> events.ToolOutput:
    return events.ToolOutput(tool_call_id=call_id, offset=offset, text=text)


def returned(text: str, call_id: str = "c1", diff: tuple[events.Diff, ...] = ()) -> events.ToolCallCompleted:
    return events.ToolCallCompleted(
        tool_call_id=call_id, result=(TextBlock(text=text),), duration_ms=1200, diff=diff
    )


def failed(message: str, call_id: str = "c1") -> events.ToolCallFailed:
    return events.ToolCallFailed(
        tool_call_id=call_id, error=events.ErrorInfo(kind="tool_failed", message=message), duration_ms=50
    )


def request(
    title: str, tool: str = "shell", call_id: str | None = "c1", always: bool = False, **detail: Any
) -> events.RequestOpened:
    kinds = ["allow_once", "allow_session", *(["allow_always"] if always else []), "deny"]
    labels = {
        "allow_once": "Allow once",
        "allow_session": "Allow in this session",
        "allow_always": "Always allow here",
        "deny": "Deny",
    }
    return events.RequestOpened(
        request_id="r1",
        kind="permission",
        title=title,
        detail={"tool": tool, **detail},
        options=tuple(events.RequestOption(id=kind, label=labels[kind], kind=kind) for kind in kinds),
        tool_call_id=call_id,
    )


def resolved(outcome: str = "allow", by: str = "me", **members: Any) -> events.RequestResolved:
    return events.RequestResolved(request_id="r1", outcome=outcome, by=by, **members)


def plan(*statuses: str) -> events.PlanUpdated:
    return events.PlanUpdated(
        entries=tuple(
            events.PlanEntry(content=f"entry {number}", priority="high", status=status)
            for number, status in enumerate(statuses, 1)
        )
    )


def completed() -> events.RunCompleted:
    return events.RunCompleted(
        stop_reason="end_turn",
        usage=USAGE,
        duration_ms=3200,
        steps=1,
        cost=events.Cost(amount=0.0123),
        run_id="run1",
    )
