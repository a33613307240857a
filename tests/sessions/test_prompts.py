"""What a prompt becomes, given how its session stands."""

from typing import Any

import msgspec
import pytest

from holdfast_daemon.sessions import prompts
from holdfast_daemon.sessions.commands import Prompt
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.errors import Busy, Conflict, InvalidParams, Overloaded, TooLarge
from holdfast_protocol.events import ErrorInfo, SandboxInfo, Usage
from holdfast_protocol.view import View

CONTENT = (TextBlock(text="do it"),)

STARTED = events.SessionStarted(cwd="/", agent="chat", model="first", sandbox=SandboxInfo(kind="none"))


def session(*happened: events.Event) -> View:
    """Fold a session in which this happened."""
    view = View()
    for seq, event in enumerate((STARTED, *happened), 1):
        view.apply(msgspec.structs.replace(event, seq=seq))
    return view


def prompt(**options: Any) -> Prompt:
    fields = {"content": CONTENT, "prompt_id": None, "delivery": "queue", "model": None, **options}
    return Prompt("client", (), **fields)


def received(prompt_id: str, *, status: str = "queued", model: str | None = None) -> events.PromptReceived:
    return events.PromptReceived(
        prompt_id=prompt_id, content=CONTENT, delivery="queue", status=status, by="c", model=model
    )


def run_started(run: str = "r1", prompt_id: str = "p1") -> events.RunStarted:
    return events.RunStarted(run_id=run, prompt_id=prompt_id, agent="chat", model="first")


COMPLETED = events.RunCompleted(run_id="r1", stop_reason="end_turn", usage=Usage(), duration_ms=1, steps=1)
FAILED = events.RunFailed(run_id="r1", error=ErrorInfo(kind="k", message="m"))
CANCELLED = events.RunCancelled(run_id="r1", by="c")
INTERRUPTED = events.RunInterrupted(run_id="r1", cause="c")


def admit(view: View, *, running: bool = False, queued_max: int = 256, **options: Any) -> prompts.Admission:
    return prompts.admit(view, prompt(**options), running=running, queued_max=queued_max)


# Admission ---------------------------------------------------------------------------------------------


def test_on_an_idle_session_a_prompt_starts_a_run() -> None:
    admission = admit(session(), prompt_id="mine")
    assert admission.group == (
        events.PromptReceived(
            prompt_id="mine", content=CONTENT, delivery="queue", status="started", by="client"
        ),
        events.RunStarted(run_id="r1", prompt_id="mine", agent="chat", model="first"),
    )
    assert admission.started == admission.group[1]
    assert (admission.prompt_id, admission.position) == ("mine", None)


def test_a_prompt_without_an_id_gets_one_of_the_daemons_own() -> None:
    first = admit(session())
    second = admit(session(received("p", status="started")))
    assert first.prompt_id.startswith(prompts.OWN_PREFIX)
    assert first.prompt_id != second.prompt_id


@pytest.mark.parametrize("delivery", ["queue", "reject"])
def test_a_run_is_started_whatever_the_delivery_if_nothing_is_in_the_way(delivery: str) -> None:
    admission = admit(session(received("p1", status="started"), run_started(), COMPLETED), delivery=delivery)
    assert admission.started is not None
    assert admission.started.run_id == "r2"


def test_behind_a_run_a_prompt_waits() -> None:
    admission = admit(session(received("p1", status="started"), run_started()), running=True, prompt_id="p2")
    assert [type(event) for event in admission.group] == [events.PromptReceived]
    assert admission.group[0].status == "queued"  # pyright: ignore[reportAttributeAccessIssue]
    assert (admission.started, admission.position) == (None, 1)


def test_behind_waiting_prompts_a_prompt_waits_even_without_a_run() -> None:
    view = session(received("p1", status="started"), run_started(), received("p2"), FAILED)
    assert admit(view, prompt_id="p3").position == 2


def test_a_prompt_that_would_not_wait_is_refused_if_it_had_to() -> None:
    for view, running in ((session(), True), (session(received("p1")), False)):
        with pytest.raises(Busy) as caught:
            admit(view, running=running, delivery="reject")
        assert caught.value.data.retryable


def test_the_queue_takes_so_many_and_no_more() -> None:
    two = session(received("p1"), received("p2"))
    assert admit(two, running=True, queued_max=3).position == 3
    with pytest.raises(Overloaded) as caught:
        admit(two, running=True, queued_max=2)
    assert (caught.value.data.limit, caught.value.data.limit_value) == ("queued_prompts_max", 2)


def test_a_prompts_own_model_is_its_runs_and_else_the_sessions() -> None:
    switched = events.ModelSwitched(model="second", previous="first")
    assert admit(session(), model="own").started.model == "own"  # pyright: ignore[reportOptionalMemberAccess]
    assert admit(session(switched)).started.model == "second"  # pyright: ignore[reportOptionalMemberAccess]
    queued = admit(session(), model="own", running=True)
    assert queued.group[0].model == "own"  # pyright: ignore[reportAttributeAccessIssue]


# The queue ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [COMPLETED, CANCELLED])
def test_after_a_completed_or_cancelled_run_the_first_in_the_queue_starts(
    ended: events.Event,
) -> None:
    view = session(
        received("p1", status="started"), run_started(), received("p2", model="own"), received("p3"), ended
    )
    admission = prompts.dequeue(view)
    assert admission is not None
    assert admission.group == (
        events.PromptUpdated(prompt_id="p2", status="started"),
        events.RunStarted(run_id="r2", prompt_id="p2", agent="chat", model="own"),
    )
    assert admission.started == admission.group[1]


@pytest.mark.parametrize("ended", [FAILED, INTERRUPTED])
def test_after_a_run_that_failed_or_was_interrupted_the_queue_is_held(ended: events.Event) -> None:
    view = session(received("p1", status="started"), run_started(), received("p2"), ended)
    assert prompts.dequeue(view) is None


def test_an_empty_queue_gives_nothing() -> None:
    assert prompts.dequeue(session()) is None


def test_removed_prompts_are_passed_over() -> None:
    view = session(received("p1"), received("p2"), events.PromptRemoved(prompt_id="p1", reason="cleared"))
    admission = prompts.dequeue(view)
    assert admission is not None
    assert admission.prompt_id == "p2"


# Continuing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [FAILED, INTERRUPTED])
def test_a_run_that_failed_or_was_interrupted_is_taken_up(ended: events.Event) -> None:
    admission = prompts.take_up(session(received("p1", status="started"), run_started(), ended))
    assert admission.group == (
        events.RunStarted(run_id="r2", prompt_id="p1", agent="chat", model="first", continues="r1"),
    )
    assert admission.prompt_id == "p1"


@pytest.mark.parametrize("happened", [(), (run_started(), COMPLETED), (run_started(), CANCELLED)])
def test_there_is_nothing_to_take_up_else(happened: tuple[events.Event, ...]) -> None:
    with pytest.raises(Conflict):
        prompts.take_up(session(*happened))


def test_taking_up_lets_the_queue_go_on() -> None:
    view = session(received("p1", status="started"), run_started(), received("p2"), FAILED)
    (again,) = prompts.take_up(view).group
    view.apply(again)
    assert not view.held


# Checks ------------------------------------------------------------------------------------------------


def test_ids_that_look_like_the_daemons_own_are_refused() -> None:
    prompts.check_prompt_id(None)
    prompts.check_prompt_id("auto")
    prompts.check_prompt_id("my-auto-1")
    with pytest.raises(InvalidParams) as caught:
        prompts.check_prompt_id("auto-1")
    assert caught.value.data.path == "$.promptId"


def test_content_at_the_limit_is_taken_and_one_byte_more_refused() -> None:
    size = len(msgspec.json.encode(CONTENT))
    prompts.check_size(CONTENT, size)
    with pytest.raises(TooLarge) as caught:
        prompts.check_size(CONTENT, size - 1)
    assert (caught.value.data.limit, caught.value.data.limit_value) == ("prompt_bytes_max", size - 1)
