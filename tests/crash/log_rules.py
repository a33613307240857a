"""What holds of every whole log, whatever happened to the daemon that wrote it (failures.md, section 4)."""

from collections import Counter
from typing import Any

TERMINAL = frozenset({"run_completed", "run_failed", "run_cancelled", "run_interrupted"})

Event = dict[str, Any]


def check_log(events: list[Event]) -> None:
    """Check a log in which no run is under way."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    _check_prompts(events)
    for run_id in sorted({event["runId"] for event in events if "runId" in event}):
        check_run([event for event in events if event.get("runId") == run_id])


def check_run(events: list[Event]) -> None:
    """Check all events of one run."""
    types = [event["type"] for event in events]
    assert types.count("run_started") == 1
    assert types[0] == "run_started"
    assert [name for name in types if name in TERMINAL] == types[-1:], (
        "one terminal event, and it is the last"
    )
    _check_blocks(events)
    _check_tool_calls(events)


def _check_prompts(events: list[Event]) -> None:
    received = Counter(event["promptId"] for event in events if event["type"] == "prompt_received")
    assert set(received.values()) <= {1}, "a prompt was admitted twice"
    started = [event for event in events if event["type"] == "run_started" and "continues" not in event]
    carried = Counter(event["promptId"] for event in started)
    assert set(carried.values()) <= {1}, "a prompt was run twice"


def _check_blocks(events: list[Event]) -> None:
    """Each block has one start, deltas that join without a gap, and one end that holds all of them."""
    texts: dict[str, str] = {}
    ended: set[str] = set()
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert event["blockId"] not in texts
                texts[event["blockId"]] = ""
            case "token_delta":
                assert event["blockId"] not in ended
                assert event["offset"] == len(texts[event["blockId"]])
                texts[event["blockId"]] += event["text"]
            case "content_block_end":
                assert event["blockId"] not in ended
                assert event["text"] == texts[event["blockId"]], "text that was seen is not in the end"
                ended.add(event["blockId"])
            case _:
                pass
    assert ended == set(texts)


def _check_tool_calls(events: list[Event]) -> None:
    """Each call that started has one outcome, and no outcome is without a start or a call of the model."""
    starts = Counter(event["toolCallId"] for event in events if event["type"] == "tool_call_started")
    ends = Counter(
        event["toolCallId"]
        for event in events
        if event["type"] in {"tool_call_completed", "tool_call_failed"}
    )
    assert set(starts.values()) <= {1}
    assert set(ends.values()) <= {1}
    assert set(starts) <= set(ends)
