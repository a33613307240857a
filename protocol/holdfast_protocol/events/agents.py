"""Events of sub-agents, reactive agents and plugins."""

from holdfast_protocol.events.base import ErrorInfo, EventBase, Json


class AgentRequested(EventBase, frozen=True, kw_only=True, tag="agent_requested"):
    """A sub-agent or reactive agent is to run."""

    agent: str
    priority: int
    cause: str


class AgentStarted(EventBase, frozen=True, kw_only=True, tag="agent_started"):
    """A child session began; subscribe to it from `start` to follow."""

    agent: str
    session_id: str
    epoch: str
    tool_call_id: str | None = None


class AgentCompleted(EventBase, frozen=True, kw_only=True, tag="agent_completed"):
    """An agent gave its result."""

    agent: str
    result: Json
    session_id: str | None = None
    confidence: float | None = None


class AgentFailed(EventBase, frozen=True, kw_only=True, tag="agent_failed"):
    """An agent ended without a result."""

    agent: str
    error: ErrorInfo
    session_id: str | None = None


class AgentResultRemoved(EventBase, frozen=True, kw_only=True, tag="agent_result_removed"):
    """A result no longer holds, because an input it stood on went."""

    agent: str
    cause: str


class InputAdded(EventBase, frozen=True, kw_only=True, tag="input_added"):
    """Something reactive agents look at came in."""

    input_id: str
    kind: str
    data: Json = None


class InputRemoved(EventBase, frozen=True, kw_only=True, tag="input_removed"):
    """Something reactive agents looked at went."""

    input_id: str


class ReportUpdated(EventBase, frozen=True, kw_only=True, tag="report_updated"):
    """The standing report of reactive agents, replaced."""

    completion: float
    recommendations: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


class EstimateUpdated(EventBase, frozen=True, kw_only=True, tag="estimate_updated"):
    """An estimate, replaced."""

    estimate: Json


class Custom(EventBase, frozen=True, kw_only=True, tag="custom"):
    """A plugin's own event."""

    topic: str
    data: Json
