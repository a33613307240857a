"""The checks every log of every conversation passes are themselves able to fail (`log_promises`)."""

from collections.abc import Callable
from typing import Any

import pytest

from conversations.log_promises import log_violations

Event = dict[str, Any]


def _log() -> list[Event]:
    """Give a log in which everything is right."""
    run: Event = {"runId": "r1"}
    block: Event = {"blockId": "b1", "messageId": "m1", "step": 1, "kind": "text"}
    events: list[Event] = [
        {"type": "session_started"},
        {"type": "prompt_received", "promptId": "p1", "status": "started"},
        {"type": "run_started", "promptId": "p1", **run},
        {"type": "prompt_received", "promptId": "p2", "status": "queued"},
        {"type": "content_block_start", **block, **run},
        {"type": "token_delta", "blockId": "b1", "offset": 0, "text": "é€", **run},
        {"type": "token_delta", "blockId": "b1", "offset": 2, "text": "x", **run},
        {"type": "content_block_end", "text": "é€x", **block, **run},
        {"type": "message_completed", "messageId": "m1", **run},
        {"type": "tool_call_started", "toolCallId": "t1", **run},
        {"type": "tool_output", "toolCallId": "t1", "offset": 0, "text": "out", **run},
        {"type": "tool_call_failed", "toolCallId": "t1", "partial": "ut", **run},
        {"type": "request_opened", "requestId": "q1", **run},
        {"type": "request_resolved", "requestId": "q1", **run},
        {"type": "run_completed", **run},
        {"type": "prompt_updated", "promptId": "p2", "status": "started"},
        {"type": "run_started", "promptId": "p2", "continues": "r1", "runId": "r2"},
        {"type": "run_cancelled", "runId": "r2"},
        {"type": "session_ended"},
    ]
    return [{"seq": seq, **event} for seq, event in enumerate(events, 1)]


def _renumbered(events: list[Event]) -> list[Event]:
    return [{**event, "seq": seq} for seq, event in enumerate(events, 1)]


def _without(kind: str) -> Callable[[list[Event]], list[Event]]:
    return lambda log: _renumbered([event for event in log if event["type"] != kind])


def _twice(kind: str) -> Callable[[list[Event]], list[Event]]:
    return lambda log: _renumbered([e for event in log for e in [event] * (1 + (event["type"] == kind))])


def _with(event_type: str, /, **members: Any) -> Callable[[list[Event]], list[Event]]:
    return lambda log: [event | members if event["type"] == event_type else event for event in log]


def _moved(kind: str, to: int) -> Callable[[list[Event]], list[Event]]:
    def move(log: list[Event]) -> list[Event]:
        (event,) = (event for event in log if event["type"] == kind)
        rest = [other for other in log if other is not event]
        return _renumbered([*rest[:to], event, *rest[to:]])

    return move


BROKEN = {
    "a hole": (lambda log: [*log[:3], *log[4:]], "event 4 has seq 5"),
    "another beginning": (_without("session_started"), "begins the log"),
    "something behind the end": (_moved("session_ended", 5), "stands behind session_ended"),
    "a prompt twice": (_twice("prompt_received"), "names a prompt again"),
    "a run for nobody": (_without("prompt_received"), "is for no started prompt"),
    "a prompt that did not wait": (_with("prompt_updated", promptId="p1"), "is of no waiting prompt"),
    "a run inside a run": (_without("run_completed"), "comes while another run is open"),
    "a run of the same name": (_with("run_started", runId="r1"), "names a run again"),
    "a run that continues nothing": (_with("run_started", continues="r9"), "continues no run"),
    "two ends": (_twice("run_completed"), "ends no open run"),
    "an event behind the end of its run": (_moved("message_completed", 14), "is of a run that is not open"),
    "a block left open": (_without("content_block_end"), "leaves open: b1"),
    "a block that ends before its message": (_moved("message_completed", 5), "before its blocks have ended"),
    "a block without a start": (_without("content_block_start"), "which is not open"),
    "a block that starts twice": (_twice("content_block_start"), "starts b1 again"),
    "a block of another kind": (_with("content_block_end", kind="thinking"), "has another kind"),
    "a delta that is missing": (lambda log: _renumbered([*log[:5], *log[6:]]), "has offset 2, not 0"),
    "bytes for code points": (
        lambda log: [*log[:6], {**log[6], "offset": 5}, *log[7:]],
        "has offset 5, not 2",
    ),
    "an end with another text": (_with("content_block_end", text="éx"), "has not the text of its deltas"),
    "a call without an outcome": (_without("tool_call_failed"), "leaves open: t1"),
    "a call with two outcomes": (_twice("tool_call_failed"), "ends t1, which is not open"),
    "an outcome with another output": (_with("tool_call_failed", partial="in"), "has not the output"),
    "an answer to nothing": (_without("request_opened"), "resolves no open request"),
    "two answers": (_twice("request_resolved"), "resolves no open request"),
}


def test_a_log_in_which_all_is_right_passes() -> None:
    assert log_violations(_log()) == []


@pytest.mark.parametrize(("damage", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_a_log_in_which_something_is_wrong_is_reported(
    damage: Callable[[list[Event]], list[Event]], sentence: str
) -> None:
    assert sentence in "\n".join(log_violations(damage(_log())))


def test_a_call_that_was_refused_has_an_outcome_without_a_start_and_no_second_one() -> None:
    log = [event for event in _log() if event["type"] not in {"tool_call_started", "tool_output"}]
    log = [event | {"seq": seq, "partial": ""} for seq, event in enumerate(log, 1)]
    assert log_violations(log) == []
    failed = next(event for event in log if event["type"] == "tool_call_failed")
    again = [*log[: failed["seq"]], *log[failed["seq"] - 1 :]]
    again = [event | {"seq": seq} for seq, event in enumerate(again, 1)]
    assert "ends t1, which is not open" in "\n".join(log_violations(again))
