"""How an unfinished run is closed: all that was open gets its end, and the run its one terminal event."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from log_builder import (
    STARTED,
    block_end,
    block_start,
    call_block,
    call_completed,
    call_started,
    check_complete,
    delta,
    fold_view,
    number,
    received,
    run_completed,
    run_started,
)

from holdfast_daemon.sessions.recovery import closing_events
from holdfast_protocol import events
from holdfast_protocol.events import Usage
from holdfast_protocol.view import View


def test_without_a_run_there_is_nothing_to_close() -> None:
    assert closing_events(fold_view(), "c") == ()
    assert closing_events(fold_view(received(), run_started(), run_completed()), "c") == ()
    assert closing_events(fold_view(received(status="queued")), "c") == ()


def test_a_run_of_which_nothing_is_open_gets_its_end_alone() -> None:
    view = fold_view(received(), run_started())
    assert closing_events(view, "daemon_restarted") == (
        events.RunInterrupted(run_id="r1", cause="daemon_restarted", usage=Usage()),
    )


def test_text_that_was_seen_is_kept() -> None:
    view = fold_view(received(), run_started(), block_start(), delta("Hel"), delta("lo", offset=3))
    end, terminal = closing_events(view, "c")
    assert end == block_end("b1", "Hello", partial=True)
    assert isinstance(terminal, events.RunInterrupted)


def test_a_cut_tool_input_says_which_call_it_was_for() -> None:
    start = block_start(kind="tool_input", tool_call_id="t1", tool="read")
    end, _ = closing_events(fold_view(received(), run_started(), start, delta('{"pa')), "c")
    assert isinstance(end, events.ContentBlockEnd)
    assert (end.kind, end.tool, end.tool_call_id, end.text, end.partial) == (
        "tool_input",
        "read",
        "t1",
        '{"pa',
        True,
    )


def test_a_tool_that_may_have_run_ends_as_unknown_with_its_output_so_far() -> None:
    output = events.ToolOutput(run_id="r1", tool_call_id="t1", offset=0, text="so far")
    view = fold_view(received(), run_started(), call_started("t1"), output, call_started("t2"))
    first, second, _ = closing_events(view, "c")
    assert isinstance(first, events.ToolCallFailed)
    assert isinstance(second, events.ToolCallFailed)
    assert (first.error.kind, first.partial) == ("unknown", "so far")
    assert (second.error.kind, second.partial) == ("unknown", None)


def test_what_the_run_used_is_in_its_end() -> None:
    used = events.UsageUpdated(run_id="r1", model="m", step=1, usage=Usage(input=3, output=4))
    (terminal,) = closing_events(fold_view(received(), run_started(), used), "c")
    assert isinstance(terminal, events.RunInterrupted)
    assert terminal.usage == Usage(input=3, output=4)


def story() -> list[events.Event]:
    """Give a run in which everything happens."""
    return [
        received(),
        run_started(),
        block_start("b1", kind="thinking"),
        delta("hm", "b1"),
        block_end("b1", "hm", kind="thinking"),
        block_start("b2"),
        block_start("block-t1", kind="tool_input", tool_call_id="t1", tool="read"),
        delta("text", "b2"),
        delta("{}", "block-t1"),
        call_block("t1"),
        block_end("b2", "text"),
        call_started("t1"),
        events.ToolOutput(run_id="r1", tool_call_id="t1", offset=0, text="out"),
        call_started("t2"),
        call_completed("t2"),
        call_completed("t1"),
        received("p2", status="queued"),
        run_completed(),
        events.PromptUpdated(prompt_id="p2", status="started"),
        run_started("r2", "p2"),
        block_start("b3", run="r2"),
    ]


@given(st.integers(0, len(story())), st.booleans())
def test_a_log_cut_anywhere_is_whole_again_after_recovery(cut: int, twice: bool) -> None:
    log: list[Any] = number((STARTED, *story()[:cut]))
    view = View()
    for event in log:
        view.apply(event)
    closing = number(closing_events(view, "c"), len(log) + 1)
    for event in closing:
        view.apply(event)
    if twice:
        assert closing_events(view, "c") == ()
    check_complete([*log, *closing])
    assert view.run is None
