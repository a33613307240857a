"""Every claim of the demo holds of a demo, and of none in which something was done to the evidence."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast_client import demo
from holdfast_client.demo.claims import CLAIMS, Unproven
from holdfast_client.demo.evidence import Evidence
from holdfast_client.demo.report import JsonReport
from holdfast_protocol import events

BY_NAME = {claim.name: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """What a real demo left."""
    gathered: list[Evidence] = []

    def judged(seen: Evidence) -> Evidence:
        gathered.append(seen)
        return seen

    assert demo.play(JsonReport(StringIO()), judged=judged) == 0
    return gathered[0]


# Ways to spoil a log --------------------------------------------------------------------------------------


def without(log: Any, at: int) -> Any:
    return (*log[:at], *log[at + 1 :])


def doubled(log: Any, at: int) -> Any:
    return (*log[: at + 1], *log[at:])


def swapped(log: Any, at: int) -> Any:
    return (*log[:at], log[at + 1], log[at], *log[at + 2 :])


def place(log: Any, kind: type, **members: Any) -> int:
    """Give the place of the first event of a kind with these members."""
    for at, event in enumerate(log):
        if isinstance(event, kind) and all(getattr(event, name) == members[name] for name in members):
            return at
    raise AssertionError((kind, members))


def changed(log: Any, at: int, /, **members: Any) -> Any:
    return (*log[:at], replace(log[at], **members), *log[at + 1 :])


def request(log: Any, tool: str) -> int:
    return next(
        at
        for at, event in enumerate(log)
        if isinstance(event, events.RequestOpened) and event.detail.get("tool") == tool
    )


def answer(log: Any, tool: str) -> int:
    return place(log, events.RequestResolved, request_id=log[request(log, tool)].request_id)


def in_log(spoil: Callable[[Any], Any]) -> Callable[[Evidence], Evidence]:
    return lambda seen: replace(seen, log_a=spoil(seen.log_a))


def of_plan(log: Any) -> int:
    return place(log, events.RequestResolved, outcome="ask")


SPOILT: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "there was no plan": (
        "plan_first",
        in_log(lambda log: without(log, place(log, events.PlanGenerated))),
    ),
    "the plan was not approved": (
        "plan_first",
        in_log(lambda log: changed(log, of_plan(log), outcome="stop")),
    ),
    "a command ran before the plan was approved": (
        "plan_first",
        in_log(lambda log: changed(log, place(log, events.ToolCallStarted, tool="shell"), seq=2)),
    ),
    "the tests were not run again": (
        "fixed",
        in_log(lambda log: tuple(event for event in log if event.seq <= log[answer(log, "edit")].seq)),
    ),
    "the tests passed at once": (
        "fixed",
        in_log(
            lambda log: changed(
                log,
                next(
                    at for at, event in enumerate(log) if "exit code 1" in str(getattr(event, "result", ""))
                ),
                result=(),
            )
        ),
    ),
    "the file is another than the diff says": (
        "fixed",
        lambda seen: replace(seen, source_after=seen.source_after + "\n"),
    ),
    "the file was another to begin with": ("fixed", lambda seen: replace(seen, source_before="")),
    "B began when A had ended": (
        "at_once",
        lambda seen: replace(seen, moments=("A began", "A ended", "B began", "B ended")),
    ),
    "B did not end": ("at_once", lambda seen: replace(seen, moments=("A began", "B began", "A ended"))),
    "the test command was asked about again": (
        "asked_once",
        in_log(lambda log: doubled(log, request(log, "shell"))),
    ),
    "the test command was allowed once": (
        "asked_once",
        in_log(lambda log: changed(log, answer(log, "shell"), scope="once")),
    ),
    "the test command was denied": (
        "asked_once",
        in_log(lambda log: changed(log, answer(log, "shell"), outcome="deny")),
    ),
    "client 2 had a later part of the log only": (
        "second_client",
        lambda seen: replace(seen, client_2=seen.client_2[1:]),
    ),
    "another client allowed the edit": (
        "second_client",
        in_log(lambda log: changed(log, answer(log, "edit"), by="demo-client-1")),
    ),
    "the edit was allowed twice": (
        "second_client",
        in_log(lambda log: doubled(log, answer(log, "edit"))),
    ),
    "client 1 did not see the question close": (
        "second_client",
        lambda seen: replace(seen, client_1=(seen.client_1[0][:-1], seen.client_1[1])),
    ),
    "client 1 was not killed": (
        "client_killed",
        lambda seen: replace(seen, client_1=((*seen.client_1[0], *seen.client_1[1]),)),
    ),
    "client 1 came back with a gap": (
        "client_killed",
        lambda seen: replace(seen, client_1=(seen.client_1[0], seen.client_1[1][1:])),
    ),
    "client 1 came back with a duplicate": (
        "client_killed",
        lambda seen: replace(seen, client_1=(seen.client_1[0], (seen.client_1[0][-1], *seen.client_1[1]))),
    ),
    "client 1 had lost an event before it was killed": (
        "client_killed",
        lambda seen: replace(seen, client_1=(without(seen.client_1[0], 3), seen.client_1[1])),
    ),
    "client 1 came back when there was nothing more": (
        "client_killed",
        lambda seen: replace(seen, client_1=((*seen.client_1[0], *seen.client_1[1]), ())),
    ),
    "the daemon was not killed": (
        "daemon_killed",
        lambda seen: replace(seen, daemon_pids=(seen.daemon_pids[0],) * 2),
    ),
    "an event that was seen is another after the kill": (
        "daemon_killed",
        lambda seen: replace(seen, before_kill=changed(seen.before_kill, 5, at=1)),
    ),
    "an event that was seen is lost": (
        "daemon_killed",
        lambda seen: replace(seen, before_kill=doubled(seen.before_kill, len(seen.before_kill) - 1)),
    ),
    "the question was asked anew": (
        "daemon_killed",
        lambda seen: replace(seen, asked=(seen.asked[0], ("another",))),
    ),
    "the question was gone": ("daemon_killed", lambda seen: replace(seen, asked=(seen.asked[0], ()))),
    "the run was begun again": (
        "daemon_killed",
        in_log(lambda log: (*log, log[place(log, events.RunStarted)])),
    ),
    "a tool was run twice": (
        "nothing_twice",
        in_log(lambda log: doubled(log, place(log, events.ToolCallStarted, tool="edit"))),
    ),
    "a tool ended twice": (
        "nothing_twice",
        in_log(lambda log: doubled(log, place(log, events.ToolCallCompleted))),
    ),
    "a tool did not end": (
        "nothing_twice",
        in_log(lambda log: without(log, place(log, events.ToolCallCompleted))),
    ),
    "the tests ran once more than the log says": (
        "nothing_twice",
        lambda seen: replace(seen, test_runs=seen.test_runs + 1),
    ),
    "the log has a gap": ("equal", in_log(lambda log: without(log, 7))),
    "client 1 has another event": (
        "equal",
        lambda seen: replace(seen, client_1=(changed(seen.client_1[0], 4, at=1), seen.client_1[1])),
    ),
    "client 2 has a gap": ("equal", lambda seen: replace(seen, client_2=without(seen.client_2, 7))),
    "client 2 has a duplicate": ("equal", lambda seen: replace(seen, client_2=doubled(seen.client_2, 7))),
    "client 2 has events in another order": (
        "equal",
        lambda seen: replace(seen, client_2=swapped(seen.client_2, 7)),
    ),
    "client 2 lacks the end": ("equal", lambda seen: replace(seen, client_2=seen.client_2[:-1])),
    "the client of B lacks the end": ("equal", lambda seen: replace(seen, client_b=seen.client_b[:-1])),
    "the log of B has a gap, and so has its client": (
        "equal",
        lambda seen: replace(seen, log_b=without(seen.log_b, 2), client_b=without(seen.client_b, 2)),
    ),
    "both logs are empty": (
        "equal",
        lambda seen: replace(seen, log_a=(), client_1=(), client_2=(), log_b=(), client_b=()),
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_claim_fails_when(evidence: Evidence, spoilt: str) -> None:
    name, spoil = SPOILT[spoilt]
    with pytest.raises(Unproven):
        BY_NAME[name].prove(spoil(evidence))


def test_every_claim_can_fail() -> None:
    assert {name for name, _ in SPOILT.values()} == set(BY_NAME)


def test_every_claim_holds_of_a_demo(evidence: Evidence) -> None:
    told = [claim.prove(evidence) for claim in CLAIMS]

    assert len(told) == len(CLAIMS)
    assert f"A 1-{len(evidence.log_a)}" in told[-1]
