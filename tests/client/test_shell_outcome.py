"""What a run came to, folded from events of a session in which others prompt too."""

from shell_world import wire_form

from holdfast_client.shell.outcome import Outcome
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, Usage

MINE = "r1"


def started(prompt_id: str = "p1", run_id: str = MINE) -> dict[str, object]:
    event = events.RunStarted(prompt_id=prompt_id, agent="chat", model="offline/rehearsal")
    return wire_form(event, run_id=run_id)


def text(message_id: str, body: str, run_id: str = MINE) -> dict[str, object]:
    event = events.ContentBlockEnd(
        block_id=f"b-{body}", message_id=message_id, step=1, kind="text", text=body
    )
    return wire_form(event, run_id=run_id)


def completed(run_id: str = MINE) -> dict[str, object]:
    event = events.RunCompleted(
        stop_reason="end_turn", usage=Usage(input=3, output=2), duration_ms=5, steps=1, cost=Cost(amount=0.5)
    )
    return wire_form(event, run_id=run_id)


def test_the_final_text_is_that_of_the_last_message_with_text() -> None:
    outcome = Outcome("p1")
    for event in (started(), text("m1", "first"), text("m2", "one"), text("m2", "two"), completed()):
        outcome.fold(event)

    assert outcome.final_text == "one\ntwo"
    assert (outcome.status, outcome.exit_code) == ("completed", 0)


def test_the_result_has_stop_reason_usage_cost_and_time() -> None:
    outcome = Outcome("p1")
    outcome.fold(started())
    outcome.fold(completed())

    assert outcome.result() == {
        "status": "completed",
        "exitCode": 0,
        "promptId": "p1",
        "runId": MINE,
        "text": "",
        "stopReason": "end_turn",
        "usage": {"input": 3, "output": 2},
        "cost": {"amount": 0.5},
        "durationMs": 5,
    }


def test_events_of_another_run_are_not_ours() -> None:
    outcome = Outcome("p1")

    assert outcome.fold(started("p0", "r0")) is False
    assert outcome.fold(completed("r0")) is False
    assert outcome.fold(started()) is True
    assert outcome.fold(text("m1", "theirs", "r0")) is False
    assert (outcome.status, outcome.final_text) == ("detached", "")


def test_our_prompt_s_admission_is_ours_and_another_s_is_not() -> None:
    outcome = Outcome("p1")
    received = [
        events.PromptReceived(
            prompt_id=prompt_id,
            content=(TextBlock(text="hi"),),
            delivery="queue",
            status="started",
            by="shell",
        )
        for prompt_id in ("p1", "p2")
    ]

    assert [outcome.fold(wire_form(event)) for event in received] == [True, False]


def test_a_removed_prompt_will_have_no_run() -> None:
    outcome = Outcome("p1")
    outcome.fold(wire_form(events.PromptRemoved(prompt_id="p1", reason="cleared")))

    assert (outcome.status, outcome.exit_code) == ("removed", 130)


def test_an_open_request_is_waiting_until_it_is_answered() -> None:
    outcome = Outcome("p1")
    outcome.fold(started())
    opened = events.RequestOpened(request_id="q1", kind="permission", title="Run ls?", detail={}, options=())
    outcome.fold(wire_form(opened, run_id=MINE))

    assert (outcome.status, outcome.exit_code) == ("waiting", 5)
    assert outcome.result()["waitsFor"] == [{"requestId": "q1", "title": "Run ls?"}]

    outcome.fold(
        wire_form(events.RequestResolved(request_id="q1", outcome="allow", by="editor"), run_id=MINE)
    )

    assert (outcome.status, outcome.exit_code) == ("detached", 130)


def test_until_our_run_starts_what_the_run_before_it_asks_is_what_we_wait_for() -> None:
    outcome = Outcome("p1")
    opened = events.RequestOpened(request_id="q0", kind="permission", title="Run ls?", detail={}, options=())

    assert outcome.fold(wire_form(opened, run_id="r0")) is False
    assert (outcome.status, outcome.exit_code) == ("waiting", 5)

    outcome.fold(started())
    outcome.fold(wire_form(opened, run_id="r0"))

    assert (outcome.status, outcome.waits_for) == ("detached", {})


def test_waiting_at_a_limit_alone_is_being_paused() -> None:
    outcome = Outcome("p1")
    outcome.fold(started())
    for request_id, detail in (("q1", {"question": "budget"}), ("q2", {"tool": "write"})):
        opened = events.RequestOpened(
            request_id=request_id, kind="question", title="Go on?", detail=detail, options=()
        )
        outcome.fold(wire_form(opened, run_id=MINE))
        if request_id == "q1":
            assert (outcome.status, outcome.exit_code) == ("paused", 3)

    assert (outcome.status, outcome.exit_code) == ("waiting", 5)


def test_a_run_paused_at_a_limit_has_the_limit_s_code_until_it_goes_on() -> None:
    outcome = Outcome("p1")
    outcome.fold(started())
    outcome.fold(wire_form(events.RunPaused(reason="budget"), run_id=MINE))

    assert (outcome.status, outcome.exit_code) == ("paused", 3)

    outcome.fold(wire_form(events.RunResumed(), run_id=MINE))

    assert outcome.status == "detached"


def test_a_prompt_in_a_held_queue_may_be_tried_again_until_it_starts() -> None:
    outcome = Outcome("p1")
    outcome.held = True

    assert (outcome.status, outcome.exit_code) == ("queued", 75)

    outcome.fold(started())

    assert outcome.status == "detached"


def test_a_failure_is_in_the_result() -> None:
    outcome = Outcome("p1")
    outcome.fold(started())
    failed = events.RunFailed(error=ErrorInfo(kind="auth", message="no key"))
    outcome.fold(wire_form(failed, run_id=MINE))

    assert outcome.result()["error"] == {"kind": "auth", "message": "no key"}
    assert outcome.exit_code == 4
