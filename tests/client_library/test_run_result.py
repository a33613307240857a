"""What a run came to, among the events of others (design 5: exactly one terminal event)."""

import msgspec
import pytest

from holdfast_client.core.run_result import RunFold
from holdfast_client.errors import RunNotCompleted
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, Usage

USAGE = Usage(input=3, output=4)


def received(prompt_id, status="started", run_id=None):
    return events.PromptReceived(
        prompt_id=prompt_id,
        content=(TextBlock(text="hi"),),
        delivery="queue",
        status=status,
        by="c",
        run_id=run_id,
    )


def started(prompt_id, run_id):
    return events.RunStarted(prompt_id=prompt_id, run_id=run_id, agent="chat", model="m")


def text(run_id, message_id, content, kind="text"):
    return events.ContentBlockEnd(
        run_id=run_id, block_id="b", message_id=message_id, step=1, kind=kind, text=content
    )


def completed(run_id):
    return events.RunCompleted(
        run_id=run_id, stop_reason="end_turn", usage=USAGE, duration_ms=1, steps=1, cost=Cost(amount=0.5)
    )


def folded(*happened):
    fold = RunFold("s", "p")
    ours = [
        fold.apply(msgspec.structs.replace(event, seq=seq, at=1)) for seq, event in enumerate(happened, 1)
    ]
    return fold, ours


def test_a_completed_run_gives_the_text_of_its_last_message():
    fold, ours = folded(
        received("p"),
        started("p", "r1"),
        text("r1", "m1", "First I look."),
        text("r1", "m2", "thoughts", kind="thinking"),
        text("r1", "m2", "Done:"),
        text("r1", "m2", "all green."),
        completed("r1"),
    )
    result = fold.result()
    assert all(ours)
    assert (result.status, result.text, result.run_id) == ("completed", "Done:\nall green.", "r1")
    assert (result.stop_reason, result.usage, result.cost) == ("end_turn", USAGE, Cost(amount=0.5))
    assert [event.seq for event in result.events] == [1, 2, 3, 4, 5, 6, 7]
    assert result.check() is result


def test_other_prompts_and_their_runs_are_not_ours():
    fold, ours = folded(
        received("other"),
        started("other", "r1"),
        received("p", "queued"),
        text("r1", "m1", "not ours"),
        completed("r1"),
        events.PromptUpdated(prompt_id="p", status="started"),
        started("p", "r2"),
        text("r2", "m2", "ours"),
        completed("r2"),
    )
    assert ours == [False, False, True, False, False, True, True, True, True]
    assert fold.result().text == "ours"


def test_a_steered_prompt_belongs_to_the_run_it_was_delivered_to():
    fold, _ = folded(
        started("other", "r1"),
        received("p", "steered", run_id="r1"),
        events.PromptUpdated(prompt_id="p", status="delivered", step=2, run_id="r1"),
        text("r1", "m2", "as you wish"),
        completed("r1"),
    )
    assert (fold.result().run_id, fold.result().text) == ("r1", "as you wish")


def test_deltas_are_ours_but_not_kept():
    delta = events.TokenDelta(run_id="r1", block_id="b", offset=0, text="x")
    fold, ours = folded(received("p"), started("p", "r1"), delta, completed("r1"))
    assert ours[2]
    assert len(fold.result().events) == 3


ERROR = ErrorInfo(kind="rate_limited", message="Too fast.", retryable=True)


@pytest.mark.parametrize(
    ("end", "status", "kind"),
    [
        (events.RunFailed(run_id="r1", error=ERROR), "failed", "rate_limited"),
        (events.RunCancelled(run_id="r1", by="c"), "cancelled", None),
        (events.RunInterrupted(run_id="r1", cause="daemon_restarted"), "interrupted", None),
    ],
)
def test_a_run_that_ended_otherwise_is_a_result_too(end, status, kind):
    fold, _ = folded(received("p"), started("p", "r1"), text("r1", "m", "half"), end)
    result = fold.result()
    assert (result.status, result.ok, result.text) == (status, False, "half")
    with pytest.raises(RunNotCompleted, match=status) as caught:
        result.check()
    assert (caught.value.status, caught.value.kind) == (status, kind)


@pytest.mark.parametrize(
    "end", [events.PromptRemoved(prompt_id="p", reason="asked"), events.SessionEnded(reason="deleted")]
)
def test_a_prompt_that_never_ran_is_removed(end):
    fold, _ = folded(received("p", "queued"), end)
    assert (fold.status, fold.result().run_id) == ("removed", None)


def test_a_run_has_not_ended_before_its_terminal_event():
    fold, _ = folded(received("p"), started("p", "r1"))
    assert fold.status is None
