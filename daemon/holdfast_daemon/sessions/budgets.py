"""What a run may still use, and the question at the end of it. Pure."""

import math
from typing import Final, NamedTuple

import msgspec

from holdfast_protocol import events
from holdfast_protocol.events import Budget, Cost, Usage

GO_ON: Final = "continue"

_OPTIONS: Final = (
    events.RequestOption(id=GO_ON, label="Go on, with as much again", kind="choice"),
    events.RequestOption(id="stop", label="Stop here", kind="choice"),
)


class Spent(NamedTuple):
    """What a run has used so far; a cost of None is unknown."""

    steps: int
    usage: Usage
    cost: Cost | None
    wall_ms: int

    def of(self, limit: str) -> float | None:
        """Give what was used of one thing, named as on the wire; None if nobody knows."""
        match limit:
            case "steps":
                return self.steps
            case "tokens":
                return _tokens(self.usage)
            case "cost":
                return self.cost.amount if self.cost is not None else None
            case _:
                return self.wall_ms


class Exceeded(NamedTuple):
    """A bound that was reached. `used` is None where nobody knows."""

    limit: str
    used: float | None
    allowed: float


class Allowance:
    """What one run may use; grows when people let it go on.

    Args:
        budget: the run's; None bounds nothing.

    Attributes:
        limits: the names of what is bounded, as on the wire.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._bounds: dict[str, float] = msgspec.to_builtins(budget or Budget())
        self._allowed = dict(self._bounds)
        self.limits = tuple(self._bounds)

    def exceeded(self, limit: str, spent: Spent) -> Exceeded | None:
        """Tell whether a bound is reached. What nobody knows counts as too much."""
        used, allowed = spent.of(limit), self._allowed[limit]
        if used is None:
            return Exceeded(limit, None, allowed) if allowed != math.inf else None
        return Exceeded(limit, used, allowed) if used >= allowed else None

    def remaining(self, spent: Spent) -> Budget | None:
        """Give what is left as a budget, at least the least there can be; what is unknown is all gone."""
        if not self.limits:
            return None
        left: dict[str, float] = {}
        for limit in self.limits:
            used, allowed = spent.of(limit), self._allowed[limit]
            if allowed != math.inf:
                least = 0.000_001 if limit == "cost" else 1
                left[limit] = max(least, allowed - (allowed if used is None else used))
        return msgspec.convert({name: _whole(name, value) for name, value in left.items()}, Budget)

    def extend(self, limit: str, spent: Spent) -> None:
        """Allow as much again as there was at first; who allowed the unknown is not asked again."""
        used = spent.of(limit)
        self._allowed[limit] = math.inf if used is None else used + self._bounds[limit]


def budget_request_id(run_id: str, step: int, limit: str) -> str:
    """Give the id of the question about a limit behind a step."""
    return f"{run_id}-m{step}-budget-{limit}"


def numbered(request_id: str, before: int) -> str:
    """Give the id of one more such question: an agent may ask models often and show no step."""
    return f"{request_id}-{before + 1}" if before else request_id


def budget_request(run_id: str, request_id: str, exceeded: Exceeded) -> events.RequestOpened:
    """Give the question whether a run may go on."""
    return events.RequestOpened(
        run_id=run_id,
        request_id=request_id,
        kind="question",
        title=_title(exceeded),
        detail={
            "question": "budget",
            "limit": exceeded.limit,
            "used": exceeded.used,
            "allowed": exceeded.allowed,
        },
        options=_OPTIONS,
    )


def _whole(limit: str, amount: float) -> float:
    return amount if limit == "cost" else int(amount)


def _tokens(usage: Usage) -> int:
    cached = usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    return usage.input + cached + usage.output


def _title(exceeded: Exceeded) -> str:
    match exceeded.limit:
        case "cost" if exceeded.used is None:
            return "What the run costs is not known. Go on?"
        case "cost":
            return f"The run has cost ${exceeded.used:.4f} of ${exceeded.allowed:.4f}. Go on?"
        case "wallMs":
            return f"The run has taken {(exceeded.used or 0) / 1000:.0f} s. Go on?"
        case _:
            return (
                f"The run has used {exceeded.used:,.0f} of {exceeded.allowed:,.0f} {exceeded.limit}. Go on?"
            )
