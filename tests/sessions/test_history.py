"""The conversation as a model is shown it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_builder import (
    STARTED,
    block_end,
    block_start,
    call_block,
    call_completed,
    call_failed,
    call_started,
    delta,
    number,
    received,
    run_completed,
    run_interrupted,
    run_started,
    said,
)

from holdfast_daemon.models.base import (
    AssistantMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.sessions.history import CONTINUE, History, input_value
from holdfast_protocol import events


def history(*group: events.Event) -> History:
    found = History()
    for event in number((STARTED, *group)):
        found.apply(event)
    return found


def messages(*group: events.Event) -> tuple[Any, ...]:
    return history(*group).messages()


def test_a_prompt_is_part_of_it_once_a_run_carries_it() -> None:
    assert messages(received("p1", "first")) == ()
    assert messages(received("p1", "first"), run_started()) == (UserMessage(content=said("first")),)


def test_a_changed_prompt_is_shown_as_it_was_when_carried_and_a_removed_one_never() -> None:
    changed = events.PromptUpdated(prompt_id="p1", content=said("second"))
    assert messages(received("p1", "first"), changed, run_started()) == (UserMessage(content=said("second")),)
    removed = events.PromptRemoved(prompt_id="p1", reason="cleared")
    assert messages(received("p1"), removed, received("p2", "other"), run_started("r1", "p2")) == (
        UserMessage(content=said("other")),
    )


def test_a_response_is_its_blocks_in_the_order_they_ended() -> None:
    found = messages(
        received(),
        run_started(),
        block_end("b1", "hm", kind="thinking", provider="p", opaque={"sig": 1}),
        block_end("b2", "text"),
        call_block("t1", '{"a":1}'),
    )
    assert found[1] == AssistantMessage(
        parts=(
            ThinkingPart(text="hm", provider="p", opaque={"sig": 1}),
            TextPart(text="text"),
            ToolCallPart(tool_call_id="t1", tool="read", input_json='{"a":1}'),
        )
    )


def test_results_follow_in_the_order_of_the_calls_however_they_came() -> None:
    found = messages(
        received(),
        run_started(),
        call_block("t1"),
        call_block("t2"),
        call_block("t3"),
        call_started("t1"),
        call_started("t2"),
        call_started("t3"),
        call_completed("t3", "three"),
        call_failed("t1", partial="so far"),
        call_completed("t2", "two"),
    )
    results = found[-1]
    assert isinstance(results, ToolResultsMessage)
    assert [(item.tool_call_id, item.is_error) for item in results.results] == [
        ("t1", True),
        ("t2", False),
        ("t3", False),
    ]
    assert results.results[0].content == said("tool_failed: no\nOutput until then:\nso far")
    assert results.results[2] == ToolResultPart(tool_call_id="t3", tool="read", content=said("three"))


def test_every_call_has_a_result_even_if_it_never_ran() -> None:
    found = messages(received(), run_started(), call_block("t1"), run_interrupted())
    results = found[-1]
    assert isinstance(results, ToolResultsMessage)
    assert [(item.tool_call_id, item.is_error) for item in results.results] == [("t1", True)]
    assert results.results[0].content[0].text  # pyright: ignore[reportAttributeAccessIssue]


def test_of_what_was_cut_only_text_is_shown() -> None:
    found = messages(
        received(),
        run_started(),
        block_end("b1", "unsigned", kind="thinking", partial=True),
        block_end("b2", "half a sen", partial=True),
        call_block("t1", '{"pa', partial=True),
        run_interrupted(),
    )
    assert found[1:] == (AssistantMessage(parts=(TextPart(text="half a sen"),)),)


def test_a_response_of_nothing_is_no_message() -> None:
    found = messages(received(), run_started(), block_end("b1", "", partial=True), run_interrupted())
    assert found == (UserMessage(content=said("do it")),)


def test_steps_of_a_run_are_messages_of_their_own() -> None:
    found = messages(
        received(),
        run_started(),
        call_block("t1", message_id="m1"),
        call_started("t1"),
        call_completed("t1"),
        block_end("b2", "done", message_id="m2"),
        run_completed(),
        received("p2", "thanks"),
        run_started("r2", "p2"),
    )
    assert [type(message) for message in found] == [
        UserMessage,
        AssistantMessage,
        ToolResultsMessage,
        AssistantMessage,
        UserMessage,
    ]


def test_a_continued_run_goes_on_from_what_was_said() -> None:
    found = messages(
        received(),
        run_started(),
        block_end("b1", "half", partial=True),
        run_interrupted(),
        run_started("r2", "p1", continues="r1"),
    )
    assert found[-1] == UserMessage(content=said(CONTINUE))


def test_a_continued_run_of_which_nothing_was_said_asks_the_prompt_again() -> None:
    found = messages(received(), run_started(), run_interrupted(), run_started("r2", "p1", continues="r1"))
    assert found == (UserMessage(content=said("do it")),)


def test_deltas_and_starts_change_nothing() -> None:
    with_all = [received(), run_started(), block_start(), delta("hel"), delta("lo", offset=3), block_end()]
    without = [event for event in with_all if not isinstance(event, events.TokenDelta)]
    assert messages(*with_all) == messages(*without)


def test_its_position_is_the_last_event_even_one_it_does_not_know() -> None:
    found = history(received())
    assert found.position == 2
    found.apply(events.UnknownEvent(type="later", seq=3, at=3))
    assert found.position == 3


@given(st.integers(0, 12))
def test_a_conversation_is_the_same_read_in_one_go_or_kept_up(cut: int) -> None:
    group = number(
        (
            STARTED,
            received(),
            run_started(),
            block_end("b1", "a"),
            call_block("t1"),
            call_started("t1"),
            call_completed("t1"),
            block_end("b2", "b", message_id="m2"),
            run_completed(),
            received("p2", "more"),
            run_started("r2", "p2"),
            block_end("b3", "c", run="r2"),
        )
    )
    kept_up = History()
    for event in group[:cut]:
        kept_up.apply(event)
    kept_up.messages()
    for event in group[cut:]:
        kept_up.apply(event)
    again = History()
    for event in group:
        again.apply(event)
    assert kept_up.messages() == again.messages()


@pytest.mark.parametrize(
    ("text", "value"), [('{"a":1}', {"a": 1}), ("", {}), ('{"a":', '{"a":'), ("[1]", [1])]
)
def test_input_that_is_no_json_stays_text(text: str, value: object) -> None:
    assert input_value(text) == value
