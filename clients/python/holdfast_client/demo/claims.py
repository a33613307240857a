"""What the demo claims, and the proof of each claim from the evidence. Pure.

A proof gives the figures that go with its claim, or raises `Unproven` with what stands against it.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from holdfast_client.demo import log_queries as log
from holdfast_client.demo.evidence import Events, Evidence, Moment
from holdfast_protocol import events

_T = TypeVar("_T")

_AT_ONCE: Final[tuple[Moment, ...]] = ("A began", "B began", "B ended", "A ended")


class Unproven(Exception):
    """A claim does not hold. The message says what stands against it."""


class Claim(NamedTuple):
    """One thing the demo shows.

    Attributes:
        name: stable, for JSON output.
        text: for people; short enough for a line with its figures.
        prove: gives the figures, or raises `Unproven`.
    """

    name: str
    text: str
    prove: Callable[[Evidence], str]


def _demand(holds: bool, against: str) -> None:
    if not holds:
        raise Unproven(against)


def _only(found: list[_T], what: str) -> _T:
    _demand(len(found) == 1, f"{what}: {len(found)}, not 1")
    return found[0]


# The claims -----------------------------------------------------------------------------------------------


def _plan_first(evidence: Evidence) -> str:
    _only([event for event in evidence.log_a if isinstance(event, events.PlanGenerated)], "plans")
    asked = [
        event
        for event in evidence.log_a
        if isinstance(event, events.RequestOpened) and _is_plan_question(event)
    ]
    question = _only(asked, "questions about the plan")
    answer = log.answer(evidence.log_a, question.request_id)
    _demand(answer is not None and answer.outcome == "ask", "the plan was not approved")
    assert answer is not None
    risky = [start.seq for start in log.starts(evidence.log_a) if start.kind in ("edit", "execute")]
    _demand(bool(risky), "no tool changed or ran anything")
    _demand(
        min(risky) > answer.seq, f"event {min(risky)} did something, the plan was approved at {answer.seq}"
    )
    return ""


def _is_plan_question(event: events.RequestOpened) -> bool:
    match event.detail:
        case {"question": "plan"}:
            return True
        case _:
            return False


def _fixed(evidence: Evidence) -> str:
    codes = [log.exit_code(result) for result in log.completions(evidence.log_a, "shell")]
    _demand(len(codes) == 2 and codes[0] not in (0, None) and codes[1] == 0, f"the tests ended with {codes}")
    edit = _only(log.completions(evidence.log_a, "edit"), "edits that were done")
    change = _only(list(edit.diff), "files in the edit")
    _demand(change.old_text == evidence.source_before, "the diff does not begin with the file as it was")
    _demand(change.new_text == evidence.source_after, "the file is not as the diff says")
    _demand(evidence.source_before != evidence.source_after, "the file was not changed")
    return f"exit {codes[0]}, then {codes[1]}"


def _at_once(evidence: Evidence) -> str:
    _demand(evidence.moments == _AT_ONCE, f"the order was: {', '.join(evidence.moments)}")
    return ""


def _asked_once(evidence: Evidence) -> str:
    question = _only(log.requests(evidence.log_a, "shell"), "questions about the test command")
    answer = log.answer(evidence.log_a, question.request_id)
    _demand(answer is not None and answer.outcome == "allow", "the test command was not allowed")
    assert answer is not None
    _demand(answer.scope == "session", f"it was allowed with scope {answer.scope}")
    calls = len(log.starts(evidence.log_a, "shell"))
    _demand(calls >= 2, f"it ran {calls} times: nothing is shown")
    return f"{calls} runs, 1 question"


def _second_client(evidence: Evidence) -> str:
    _demand(log.seqs(evidence.client_2[:1]) == [1], "client 2 did not get the log from event 1")
    question = _only(log.requests(evidence.log_a, "edit"), "questions about the edit")
    answer = log.answer(evidence.log_a, question.request_id)
    _demand(answer is not None and answer.outcome == "allow", "the edit was not allowed")
    assert answer is not None
    _demand(answer.by == evidence.client_2_id, f"the edit was allowed by {answer.by}")
    edit = _only(log.starts(evidence.log_a, "edit"), "edits that were begun")
    _demand(edit.seq > answer.seq, "the edit was begun before it was allowed")
    _demand(answer in evidence.client_1[0], "client 1 did not see the question close before it was killed")
    return f"event {answer.seq}"


def _client_killed(evidence: Evidence) -> str:
    _demand(len(evidence.client_1) == 2, f"client 1 had {len(evidence.client_1)} lives, not 2")
    first, second = (log.seqs(part) for part in evidence.client_1)
    _demand(bool(first), "client 1 had nothing when it was killed")
    _demand(bool(second), "nothing was left to be replayed")
    _demand(first == list(range(1, first[-1] + 1)), "client 1 had a gap or a duplicate when it was killed")
    expected = list(range(first[-1] + 1, len(evidence.log_a) + 1))
    _demand(
        second == expected, f"killed at {first[-1]}, it went on with {_span(second)}, not {_span(expected)}"
    )
    return f"killed at {first[-1]}, went on with {_span(second)}"


def _daemon_killed(evidence: Evidence) -> str:
    _demand(len(set(evidence.daemon_pids)) == 2, f"the daemon's processes: {evidence.daemon_pids}")
    seen = evidence.before_kill
    _demand(
        bool(seen) and evidence.log_a[: len(seen)] == seen, "what was seen before is not in the log after"
    )
    before, *after = evidence.asked
    _demand(len(before) == 1 and after == [before], f"questions open before: {before}, after: {after}")
    kinds = Counter(type(event) for event in evidence.log_a)
    _demand(kinds[events.RunStarted] == 1, f"{kinds[events.RunStarted]} runs, not 1")
    _demand(kinds[events.RunCompleted] == 1, "the run was not completed")
    return f"at event {seen[-1].seq}"


def _nothing_twice(evidence: Evidence) -> str:
    started = Counter(start.tool_call_id for start in log.starts(evidence.log_a))
    ended = Counter(end.tool_call_id for end in log.ends(evidence.log_a))
    twice = [call for counted in (started, ended) for call, count in counted.items() if count > 1]
    _demand(not twice, f"twice: {', '.join(twice)}")
    _demand(started.keys() == ended.keys(), "a call has no end, or no start")
    logged = len(log.starts(evidence.log_a, "shell"))
    _demand(evidence.test_runs == logged, f"the tests ran {evidence.test_runs} times; the log says {logged}")
    return f"{len(started)} tool calls, {logged} test runs"


def _equal(evidence: Evidence) -> str:
    _demand_dense("A", evidence.log_a)
    _demand_dense("B", evidence.log_b)
    client_1 = tuple(event for part in evidence.client_1 for event in part)
    for name, got, log_of in (
        ("client 1", client_1, evidence.log_a),
        ("client 2", evidence.client_2, evidence.log_a),
        ("the client of B", evidence.client_b, evidence.log_b),
    ):
        _demand(got == log_of, f"what {name} has is not the log: {_span(log.seqs(got))}")
    return f"A 1-{len(evidence.log_a)}, B 1-{len(evidence.log_b)}"


def _demand_dense(name: str, events_of: Events) -> None:
    places = log.seqs(events_of)
    _demand(bool(places), f"the log of {name} is empty")
    _demand(places == list(range(1, len(places) + 1)), f"the log of {name} is not 1, 2, 3 …")


def _span(places: list[int]) -> str:
    return f"{places[0]}-{places[-1]} ({len(places)})" if places else "nothing"


CLAIMS: Final = (
    Claim("plan_first", "nothing was run or changed before the plan was approved", _plan_first),
    Claim("fixed", "the test failed, was fixed by an edit, and passed", _fixed),
    Claim("at_once", "session B ran from start to end while A did", _at_once),
    Claim("asked_once", "the test command was asked about once", _asked_once),
    Claim("second_client", "client 2 allowed the edit, client 1 saw it", _second_client),
    Claim("client_killed", "client 1 without a gap", _client_killed),
    Claim("daemon_killed", "daemon killed, the question and its run went on", _daemon_killed),
    Claim("nothing_twice", "nothing was run twice", _nothing_twice),
    Claim("equal", "no gap, no duplicate, clients equal the log", _equal),
)
"""In the order in which they are told."""
