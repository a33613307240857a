"""What may follow what in a run: every state, every event."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.sessions.run import TERMINAL, TRANSITIONS, IllegalTransition, RunState, next_state
from holdfast_protocol import events
from holdfast_protocol.events import ErrorInfo, Usage

ERROR = ErrorInfo(kind="k", message="m")

# One of each event that is about a run's state, and one that is not.
EVENTS: dict[str, events.EventBase] = {
    "started": events.RunStarted(run_id="r1", prompt_id="p", agent="a", model="m"),
    "paused": events.RunPaused(run_id="r1", reason="r"),
    "resumed": events.RunResumed(run_id="r1"),
    "completed": events.RunCompleted(
        run_id="r1", stop_reason="end_turn", usage=Usage(), duration_ms=1, steps=1
    ),
    "failed": events.RunFailed(run_id="r1", error=ERROR),
    "cancelled": events.RunCancelled(run_id="r1", by="c"),
    "interrupted": events.RunInterrupted(run_id="r1", cause="c"),
    "other": events.TokenDelta(run_id="r1", block_id="b", offset=0, text="t"),
}

# The whole table: what is not in it may not happen.
EXPECTED: dict[tuple[RunState | None, str], RunState] = {
    (None, "started"): RunState.RUNNING,
    (RunState.RUNNING, "paused"): RunState.PAUSED,
    (RunState.RUNNING, "completed"): RunState.COMPLETED,
    (RunState.RUNNING, "failed"): RunState.FAILED,
    (RunState.RUNNING, "cancelled"): RunState.CANCELLED,
    (RunState.RUNNING, "interrupted"): RunState.INTERRUPTED,
    (RunState.RUNNING, "other"): RunState.RUNNING,
    (RunState.PAUSED, "resumed"): RunState.RUNNING,
    (RunState.PAUSED, "completed"): RunState.COMPLETED,
    (RunState.PAUSED, "failed"): RunState.FAILED,
    (RunState.PAUSED, "cancelled"): RunState.CANCELLED,
    (RunState.PAUSED, "interrupted"): RunState.INTERRUPTED,
    (RunState.PAUSED, "other"): RunState.PAUSED,
}


@pytest.mark.parametrize("state", [None, *RunState], ids=str)
@pytest.mark.parametrize("name", EVENTS)
def test_every_event_in_every_state(state: RunState | None, name: str) -> None:
    expected = EXPECTED.get((state, name))
    if expected is not None:
        assert next_state(state, EVENTS[name]) is expected
        return
    with pytest.raises(IllegalTransition, match=f"{events.type_of(EVENTS[name])} in state"):
        next_state(state, EVENTS[name])


def test_the_daemons_table_has_no_row_more() -> None:
    kinds = {type(event): name for name, event in EVENTS.items()}
    assert {(state, kinds[kind]) for state, kind in TRANSITIONS} == {
        (state, name) for state, name in EXPECTED if name != "other"
    }


def test_terminal_states_are_those_nothing_follows() -> None:
    followed = {state for state, _ in EXPECTED}
    assert set(RunState) - followed == TERMINAL


@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=20))
def test_however_events_come_a_run_ends_once_at_the_most(names: list[str]) -> None:
    state: RunState | None = None
    ends = 0
    for name in names:
        event: Any = EVENTS[name]
        try:
            state = next_state(state, event)
        except IllegalTransition:
            continue
        ends += state in TERMINAL
    assert ends <= 1
