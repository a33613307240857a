"""The gate: what a tool call may do without asking, what is refused, and what is asked. Pure.

    mode → deny rules → allow rules → ask

Schema check and pre-hooks come before, the durable start and the run after (see `sessions/tool_calls`).
A mode that refuses is final: no rule and no answer opens it. Unknown means ask, or refuse in plan mode.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from holdfast_protocol.events import Mode, ToolKind

READ_ONLY: Final = frozenset({"read", "list", "glob", "grep", "todo"})
"""Built-in tools that change nothing outside the session: they run in every mode."""

EDITING: Final = frozenset({"write", "edit"})
"""Built-in tools that change files inside the roots, and only there."""

_READING_KINDS: Final[frozenset[ToolKind]] = frozenset({"read", "search", "think"})


class Decision(Enum):
    """What the gate says."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Verdict(NamedTuple):
    """A decision and, where it refuses, why."""

    decision: Decision
    reason: str = ""


class GateCall(NamedTuple):
    """A call as the gate sees it, after the hooks.

    Attributes:
        tool: the tool's name.
        kind: the tool's kind.
        match: what rules are compared with: the exact command or input of what executes, else None.
        hosted: a client runs it.
        plain: `match` without what binds it to what was told of an extension's tool; refusals hold for that.
    """

    tool: str
    kind: ToolKind
    match: str | None
    hosted: bool
    plain: str | None = None


class StandingRule(NamedTuple):
    """A rule that holds here."""

    decision: str
    tool: str
    match: str | None
    hosted: bool


_ALLOW: Final = Verdict(Decision.ALLOW)
_ASK: Final = Verdict(Decision.ASK)


def decide(call: GateCall, mode: Mode, rules: Iterable[StandingRule], *, sandboxed: bool) -> Verdict:
    """Decide about a call.

    Args:
        call: what is to run.
        mode: the run's.
        rules: those that hold in the session.
        sandboxed: whether commands are confined; where they are not, a command asks in every mode.
    """
    reads = call.kind in _READING_KINDS if call.hosted else call.tool in READ_ONLY
    if mode == "plan" and not reads:
        return Verdict(Decision.DENY, f"Plan mode only reads; {call.tool} was not run.")
    standing = [rule for rule in rules if _covers(rule, call)]
    if any(rule.decision == "deny" for rule in standing):
        return Verdict(Decision.DENY, f"A rule denies {call.tool}.")
    if reads or _allowed_by_mode(call, mode, sandboxed=sandboxed):
        return _ALLOW
    if any(rule.decision == "allow" for rule in standing):
        return _ALLOW
    return _ASK


def _allowed_by_mode(call: GateCall, mode: Mode, *, sandboxed: bool) -> bool:
    if mode == "accept_edits":
        return call.tool in EDITING and not call.hosted
    return mode == "auto" and _is_confined(call, sandboxed=sandboxed)


def _covers(rule: StandingRule, call: GateCall) -> bool:
    if (rule.tool, rule.hosted) != (call.tool, call.hosted):
        return False
    # To refuse may be meant of all commands; to allow, of the exact one alone.
    if rule.decision == "deny":
        return rule.match is None or rule.match in (call.match, call.plain)
    return rule.match == call.match


def takes_always(call: GateCall, *, sandboxed: bool) -> bool:
    """Tell whether an answer for good may be given: not for a command that nothing confines."""
    return _is_confined(call, sandboxed=sandboxed)


def _is_confined(call: GateCall, *, sandboxed: bool) -> bool:
    """Tell whether nothing is executed, or only confined; what a client runs, no sandbox of ours confines."""
    return call.kind != "execute" or (sandboxed and not call.hosted)
