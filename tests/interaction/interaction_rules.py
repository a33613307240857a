"""What holds of every whole log in which people were asked (failures.md section 4, invariants 4 to 8).

A request is resolved exactly once; a call that was asked about starts only after it was allowed; each start
has one outcome; each run has one end, and nothing of it follows.
"""

from collections import Counter
from typing import Any

TERMINAL = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})

Event = dict[str, Any]


def check(events: list[Event]) -> None:
    """Check a log; a run may be under way at its end."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    _check_prompts(events)
    runs = dict.fromkeys(event["runId"] for event in events if "runId" in event)
    for run in runs:
        _check_run([event for event in events if event.get("runId") == run])


def _check_prompts(events: list[Event]) -> None:
    received = Counter(event["promptId"] for event in events if event["type"] == "prompt_received")
    carried = Counter(
        event["promptId"] for event in events if event["type"] == "run_started" and "continues" not in event
    )
    delivered = Counter(event["promptId"] for event in events if event.get("status") == "delivered")
    assert set((carried + delivered).values()) <= {1}, "a prompt entered two runs, or one twice"
    assert set(received.values()) <= {1}, "a prompt was admitted twice"


def _check_run(events: list[Event]) -> None:
    types = [event["type"] for event in events]
    ends = [event["type"] for event in events if event["type"] in TERMINAL]
    assert types.count("run_started") == 1
    assert len(ends) <= 1, ends
    assert not ends or types[-1] in TERMINAL, "something of a run follows its end"
    opened = _check_requests(events, ended=bool(ends))
    _check_calls(events, opened, ended=bool(ends))
    _check_pauses(events)


def _check_requests(events: list[Event], *, ended: bool) -> dict[str, str]:
    """Give the outcome of each request about a call, by the call."""
    opened = {event["requestId"]: event for event in events if event["type"] == "request_opened"}
    resolved = [event for event in events if event["type"] == "request_resolved"]
    assert len(opened) == sum(event["type"] == "request_opened" for event in events), "asked twice"
    counted = Counter(event["requestId"] for event in resolved)
    assert set(counted.values()) <= {1}, "a request was resolved twice"
    assert set(counted) <= set(opened)
    assert not ended or set(counted) == set(opened), "a request was left open"
    for event in resolved:
        assert opened[event["requestId"]]["seq"] < event["seq"]
    outcomes = {event["requestId"]: event["outcome"] for event in resolved}
    return {
        event["toolCallId"]: outcomes.get(name, "") for name, event in opened.items() if "toolCallId" in event
    }


def _check_calls(events: list[Event], asked: dict[str, str], *, ended: bool) -> None:
    started: set[str] = set()
    over: set[str] = set()
    resolved: set[str] = set()
    for event in events:
        match event["type"]:
            case "request_resolved":
                resolved.add(event["requestId"])
            case "tool_call_started":
                call = event["toolCallId"]
                assert call not in started | over, "started twice, or after its outcome"
                if call in asked:
                    assert asked[call] == "allow", "started without having been allowed"
                    assert f"{call}-q" in resolved, "started before it was allowed"
                started.add(call)
            case "tool_output":
                assert event["toolCallId"] in started - over
            case "tool_call_completed" | "tool_call_failed":
                assert event["toolCallId"] not in over, "two outcomes"
                assert event["type"] == "tool_call_failed" or event["toolCallId"] in started
                over.add(event["toolCallId"])
            case _:
                pass
    assert not ended or started <= over, "a call was left open"


def _check_pauses(events: list[Event]) -> None:
    """A run is paused and resumed in turn, and paused exactly while a question of its is open."""
    paused = False
    for event in events:
        if event["type"] == "run_paused":
            assert not paused
            paused = True
        elif event["type"] == "run_resumed":
            assert paused
            paused = False
        elif event["type"] == "run_completed":
            assert not paused, "completed while it was paused"
