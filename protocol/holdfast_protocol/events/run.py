"""Events about runs: one start, then exactly one terminal event."""

from holdfast_protocol.events.base import Budget, Cost, ErrorInfo, EventBase, Mode, StopReason, Usage


class RunStarted(EventBase, frozen=True, kw_only=True, tag="run_started"):
    """A run began with a prompt; `continues` names the run it takes up again.

    `mode` holds for this run alone; absent, the session's holds, also when it changes meanwhile. `budget` is
    the run's own, or the session's as it stood.
    """

    prompt_id: str
    agent: str
    model: str
    mode: Mode | None = None
    budget: Budget | None = None
    continues: str | None = None


class RunPaused(EventBase, frozen=True, kw_only=True, tag="run_paused"):
    """The run waits for a person, or for a limit to be lifted."""

    reason: str


class RunResumed(EventBase, frozen=True, kw_only=True, tag="run_resumed"):
    """The run goes on."""


class RunCompleted(EventBase, frozen=True, kw_only=True, tag="run_completed"):
    """Terminal: the agent came to its end."""

    stop_reason: StopReason
    usage: Usage
    duration_ms: int
    steps: int
    cost: Cost | None = None


class RunFailed(EventBase, frozen=True, kw_only=True, tag="run_failed"):
    """Terminal: the run could not go on; nothing it did is undone."""

    error: ErrorInfo
    usage: Usage | None = None
    cost: Cost | None = None
    duration_ms: int | None = None


class RunCancelled(EventBase, frozen=True, kw_only=True, tag="run_cancelled"):
    """Terminal: a client asked for it."""

    by: str
    usage: Usage | None = None
    cost: Cost | None = None
    duration_ms: int | None = None


class RunInterrupted(EventBase, frozen=True, kw_only=True, tag="run_interrupted"):
    """Terminal: the daemon stopped under it. `session/continue` takes it up in a new run."""

    cause: str
    usage: Usage | None = None
    cost: Cost | None = None
    duration_ms: int | None = None


class Error(EventBase, frozen=True, kw_only=True, tag="error"):
    """A fact that ends nothing by itself."""

    error: ErrorInfo
