"""A conversation that is too long is cut to parts that fit, and stays one that providers take."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    UserMessage,
)
from holdfast_daemon.models.sizes import characters_of
from holdfast_daemon.sessions.conversation_parts import first_part
from holdfast_protocol.content import ImageBlock, TextBlock

ROOM = 4000


def text(size: int) -> TextBlock:
    return TextBlock(text="x" * size)


def told(size: int) -> tuple[Message, ...]:
    return (UserMessage(content=(text(size),)),)


def called(asked: int, answered: int) -> tuple[Message, ...]:
    call = ToolCallPart(tool_call_id=f"c{asked}-{answered}", tool="read", input_json='"' * asked)
    result = ToolResultPart(tool_call_id=call.tool_call_id, tool="read", content=(text(answered),))
    parts = (ThinkingPart(text="t" * asked, opaque={}), TextPart(text="b"), call)
    return AssistantMessage(parts=parts), ToolResultsMessage(results=(result,))


sizes = st.integers(0, 30_000)
turns = st.lists(st.one_of(sizes.map(told), st.tuples(sizes, sizes).map(lambda two: called(*two))))
conversations = st.tuples(sizes, turns).map(
    lambda of: (*told(of[0]), *(message for turn in of[1] for message in turn))
)


def all_parts(messages: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    """Take parts as they are summed up, with fewer and fewer left."""
    parts = []
    for left in reversed(range(8)):
        part, messages = first_part(messages, ROOM, max(1, left // 2))
        parts.append(part)
        if not messages:
            return parts
    raise AssertionError(messages)


def ids(message: Any, kind: Any, members: str) -> list[str]:
    return [each.tool_call_id for each in getattr(message, members) if isinstance(each, kind)]


@given(conversations)
def test_few_parts_have_all_of_it_and_each_fits(messages):
    for part in all_parts(messages):
        assert part
        assert characters_of(part) <= ROOM


@given(conversations)
def test_calls_and_their_results_stay_together(messages):
    for part in all_parts(messages):
        assert not isinstance(part[0], ToolResultsMessage)
        for message, following in zip(part, (*part[1:], None), strict=True):
            if isinstance(message, AssistantMessage):
                assert isinstance(following, ToolResultsMessage)
                called_here = ids(message, ToolCallPart, "parts")
                assert called_here == ids(following, ToolResultPart, "results")


def test_what_fits_stays_as_it_is():
    messages = (*told(10), *called(10, 3000))
    part, rest = first_part(messages, ROOM, 4)
    assert part is messages
    assert rest == ()


def test_results_of_tools_are_cut_before_what_people_said():
    messages = (*told(1500), *called(10, 30_000))
    part, rest = first_part(messages, ROOM, 1)
    assert rest == ()
    assert part[0] == messages[0]
    assert "are left out" in part[2].results[0].content[0].text


def test_the_first_message_and_the_newest_stay_where_not_all_can():
    messages = (*told(100), *(message for _ in range(100) for message in told(390)), *told(101))
    part, rest = first_part(messages, ROOM, 1)
    assert rest == ()
    assert (part[0], part[-1]) == (messages[0], messages[-1])
    assert characters_of(part) <= ROOM


def test_images_become_words():
    image = ImageBlock(mime_type="image/png", data="AAAA")
    part, _ = first_part((UserMessage(content=(image,)),), ROOM, 1)
    assert part[0].content == (TextBlock(text="[image image/png]"),)


def test_a_response_with_many_calls_is_cut_within():
    calls = [called(20, 1000) for _ in range(30)]
    asked = AssistantMessage(parts=tuple(part for one, _ in calls for part in one.parts))
    answered = ToolResultsMessage(results=tuple(result for _, two in calls for result in two.results))
    parts = all_parts((*told(10), asked, answered))
    assert all(characters_of(part) <= ROOM for part in parts)
    assert len(parts[-1][-1].results) == 30
