"""Which key gives which answer, and when it counts."""

import anyio
import msgspec
import pytest
from told import request

from holdfast_client.aio import Answer, Ask
from holdfast_client.terminal.questions import HOLD_S, TYPING_S, Questions, choices_of
from holdfast_protocol import events


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def choice(option_id: str) -> events.RequestOption:
    return events.RequestOption(id=option_id, label=option_id, kind="choice")


def question(*options: str, kind: str = "question") -> events.RequestOpened:
    return events.RequestOpened(
        request_id="q1", kind=kind, title="?", detail={}, options=tuple(map(choice, options))
    )


async def answered(questions: Questions, asked: events.RequestOpened, *, act) -> Answer:
    """Ask, act, and give the answer."""
    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await questions.ask(Ask("s1", asked)))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            act()
    assert len(questions) == 0
    return answers[0]


@pytest.mark.parametrize(
    ("key", "outcome", "scope"), [("y", "allow", "once"), ("s", "allow", "session"), ("a", "allow", "always")]
)
async def test_a_permission_is_given_by_its_key(clock, key, outcome, scope):
    questions = Questions(clock)
    answer = await answered(questions, request("run x", always=True), act=lambda: questions.press(key))
    assert answer == Answer(outcome=outcome, scope=scope)


async def test_a_denial_waits_for_its_words(clock):
    questions = Questions(clock)

    def act() -> None:
        questions.press("n")
        assert questions.wants_words
        questions.say(" too late ")

    answer = await answered(questions, request("run x"), act=act)
    assert answer == Answer(outcome="deny", message="too late")


async def test_a_denial_can_be_taken_back(clock):
    questions = Questions(clock)

    def act() -> None:
        questions.press("n")
        assert questions.back()
        assert not questions.wants_words
        questions.press("y")

    assert (await answered(questions, request("run x"), act=act)).outcome == "allow"


def test_always_has_a_key_only_where_it_is_offered():
    assert [found.key for found in choices_of(request("run x"))] == ["y", "s", "n"]
    assert [found.key for found in choices_of(request("run x", always=True))] == ["y", "s", "a", "n"]


async def test_choices_have_numbers(clock):
    questions = Questions(clock)
    answer = await answered(questions, question("ask", "stop"), act=lambda: questions.press("2"))
    assert answer.outcome == "stop"


async def test_a_question_can_take_words_with_its_choice(clock):
    questions = Questions(clock)

    def act() -> None:
        questions.press("1")
        questions.say("smaller steps")

    answer = await answered(questions, question("keep_planning", "stop"), act=act)
    assert answer == Answer(outcome="keep_planning", message="smaller steps")


async def test_a_form_is_filled_in_with_words_until_they_fit(clock):
    questions = Questions(clock)
    told: list[str] = []
    questions.on_misfit = told.append
    field = {"type": "integer"}
    schema = {"type": "object", "properties": {"year": field, "month": field}, "required": ["year"]}
    form = question("accept", "decline", kind="form")
    form = msgspec.structs.replace(form, detail={"question": "elicitation", "schema": schema})

    def act() -> None:
        questions.press("1")
        questions.say("month=2")
        questions.say("year=long ago")
        assert questions.wants_words
        questions.say("year=1999 month=2")

    answer = await answered(questions, form, act=act)
    assert answer == Answer(outcome="accept", values={"year": 1999, "month": 2})
    assert told == ["year is missing", "give NAME=VALUE or a JSON object, not 'ago'"]


async def test_a_form_is_declined_without_words(clock):
    form = question("accept", "decline", kind="form")
    questions = Questions(clock)
    assert (await answered(questions, form, act=lambda: questions.press("2"))).outcome == "decline"


async def test_a_key_counts_once_it_has_stood_alone(clock):
    questions = Questions(clock)

    def act() -> None:
        questions.typed("y")
        assert questions.settle() is None
        clock.now += HOLD_S
        assert questions.settle() == "y"
        assert questions.settle() is None
        questions.press("y")

    await answered(questions, request("run x"), act=act)


async def test_the_first_letter_of_a_message_is_no_answer(clock):
    questions = Questions(clock)

    def act() -> None:
        questions.typed("y")
        questions.typed("ye")
        clock.now += 10
        assert questions.settle() is None
        questions.press("y")

    await answered(questions, request("run x"), act=act)


async def test_who_is_typing_when_a_question_comes_up_does_not_answer_it(clock):
    questions = Questions(clock)
    questions.typed("hello")

    def act() -> None:
        assert not questions.is_armed
        questions.typed("y")
        clock.now += HOLD_S
        assert questions.settle() is None
        clock.now += TYPING_S
        assert questions.is_armed
        questions.press("y")

    await answered(questions, request("run x"), act=act)


async def test_nothing_is_answered_before_it_was_shown(clock):
    questions = Questions(clock)
    shown = False
    questions.is_shown = lambda _question: shown

    def act() -> None:
        nonlocal shown
        assert not questions.is_armed
        assert not questions.offers("y")
        questions.press("y")
        assert len(questions) == 1
        shown = True
        questions.press("y")

    await answered(questions, request("run x"), act=act)


async def test_a_key_held_down_answers_one_question(clock):
    questions = Questions(clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(questions.ask, Ask("s1", request("run x")))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(questions.ask, Ask("s1", request("run y")))
            await anyio.wait_all_tasks_blocked()
            questions.press("y")
            await anyio.wait_all_tasks_blocked()
            assert len(questions) == 1
            assert not questions.is_armed
            clock.now += TYPING_S
            assert questions.is_armed
            questions.press("y")


async def test_an_answer_from_elsewhere_takes_the_question_away(clock):
    questions = Questions(clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(questions.ask, Ask("s1", request("run x")))
            await anyio.wait_all_tasks_blocked()
            questions.press("n")
            tasks.cancel_scope.cancel()
    assert questions.front is None
    assert not questions.wants_words
