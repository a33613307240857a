"""Run states: what may follow what. Pure.

(none) ─run_started→ RUNNING ⇄ PAUSED
RUNNING, PAUSED ─→ COMPLETED | FAILED | CANCELLED | INTERRUPTED    exactly one, and nothing after it
"""

from enum import Enum
from typing import Final

from holdfast_protocol import events


class RunState(Enum):
    """Where a run stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


TERMINAL: Final = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED})

_RUNNING, _PAUSED = RunState.RUNNING, RunState.PAUSED

TRANSITIONS: Final[dict[tuple[RunState | None, type[events.EventBase]], RunState]] = {
    (None, events.RunStarted): RunState.RUNNING,
    (_RUNNING, events.RunPaused): RunState.PAUSED,
    (_PAUSED, events.RunResumed): RunState.RUNNING,
    (_RUNNING, events.RunCompleted): RunState.COMPLETED,
    (_RUNNING, events.RunFailed): RunState.FAILED,
    (_RUNNING, events.RunCancelled): RunState.CANCELLED,
    (_RUNNING, events.RunInterrupted): RunState.INTERRUPTED,
    (_PAUSED, events.RunCompleted): RunState.COMPLETED,
    (_PAUSED, events.RunFailed): RunState.FAILED,
    (_PAUSED, events.RunCancelled): RunState.CANCELLED,
    (_PAUSED, events.RunInterrupted): RunState.INTERRUPTED,
}


class IllegalTransition(Exception):
    """An event that may not happen to a run in its state: a bug in the daemon."""


def next_state(state: RunState | None, event: events.EventBase) -> RunState:
    """Give the state after an event of the run; events that are not about its state keep it.

    Raises:
        IllegalTransition: the event may not happen in this state.
    """
    following = TRANSITIONS.get((state, type(event)))
    if following is not None:
        return following
    if state is None or state in TERMINAL or type(event) in _STATE_EVENTS:
        raise IllegalTransition(f"{events.type_of(event)} in state {state.value if state else 'none'}")
    return state


_STATE_EVENTS: Final = frozenset(kind for _, kind in TRANSITIONS)
