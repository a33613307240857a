"""A conversation near its model's window is summed up for the model; the log keeps all of it."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from core_world import core_running

from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Message,
    ModelError,
    ModelOptions,
    StepCompleted,
    StepEvent,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.catalogue import Catalogue, CatalogueEntry
from holdfast_daemon.models.sizes import characters_of
from holdfast_daemon.sessions.history import SUMMED_UP
from holdfast_protocol import events
from holdfast_protocol.events import Cost, ErrorInfo, Usage
from holdfast_protocol.methods.catalogue import ModelInfo

NAME = "test/small"


class SmallModel:
    """Has a window of 1,000 tokens; was given as many as `used` says. Asked to sum up, says SUMMARY.

    Attributes:
        asked: the conversations of its steps.
        summed: those it was to sum up.
        around: what was around these, and around the steps.
        holds: characters it sums up; more are too long for it. None: any number.
    """

    def __init__(
        self, *used: int, fails: bool = False, calls: int = 0, says: Any = None, holds: int | None = None
    ) -> None:
        self.info = ModelInfo(name=NAME, provider="test", description="", context_tokens=1000)
        self.asked: list[tuple[Message, ...]] = []
        self.summed: list[tuple[Message, ...]] = []
        self.around: list[Any] = []
        self.holds = holds
        self._used = list(used)
        self._fails = fails
        self._calls = calls
        self._says = says or text_of("SUMMARY")

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(NAME, (CatalogueEntry(info=self.info, make=lambda: self),))

    async def stream(
        self, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], system: str, options: ModelOptions
    ) -> AsyncGenerator[StepEvent]:
        self.around.append((tools, system, options))
        if options.tool_choice == "none":
            self.summed.append(messages)
            if self._fails:
                raise ModelError(ErrorInfo(kind="overloaded", message="busy"), Usage(input=3))
            if self.holds is not None and characters_of(messages) > self.holds:
                raise ModelError(ErrorInfo(kind="context_too_long", message="too long"))
            for event in self._says:
                yield event
            yield StepCompleted(stop_reason="end_turn", usage=Usage(input=5, output=2), cost=Cost(amount=0.5))
            return
        self.asked.append(messages)
        used = self._used.pop(0) if self._used else 10
        if self._calls:
            self._calls -= 1
            yield BlockStarted(index=0, kind="tool_input", tool="list")
            yield BlockDelta(index=0, text="{}")
            yield BlockEnded(index=0)
            yield StepCompleted(stop_reason="tool_use", usage=Usage(input=used))
            return
        for event in text_of("fine"):
            yield event
        yield StepCompleted(stop_reason="end_turn", usage=Usage(input=used), cost=Cost(amount=0.25))


def text_of(text: str) -> tuple[StepEvent, ...]:
    return (BlockStarted(index=0, kind="text"), BlockDelta(index=0, text=text), BlockEnded(index=0))


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [m.content[0].text for m in messages if isinstance(m, UserMessage)]


async def test_the_next_run_begins_with_a_summary_and_its_prompt_and_the_log_keeps_all():
    model = SmallModel(900)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("first")
        before = await core.log()
        await client.run("second")
        log = await core.log()
    assert log[: len(before)] == before
    [compacted] = [event for event in log if isinstance(event, events.Compacted)]
    assert compacted.summary == "SUMMARY"
    [started] = [event for event in log if isinstance(event, events.RunStarted) and event.run_id == "r2"]
    assert compacted.upto == started.seq - 1
    assert texts(model.summed[0])[0] == "first"
    assert "second" not in texts(model.summed[0])
    assert texts(model.asked[1]) == [f"{SUMMED_UP}\n\nSUMMARY", "second"]
    [ended] = [event for event in log if isinstance(event, events.RunCompleted) and event.run_id == "r2"]
    assert ended.cost == Cost(amount=0.75)  # What the summary cost is in it.


async def test_between_two_steps_all_of_the_conversation_is_summed_up():
    model = SmallModel(900, 10, calls=1)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("task")
    assert len(model.summed) == 1
    assert texts(model.asked[1]) == [f"{SUMMED_UP}\n\nSUMMARY"]


async def test_below_the_bound_nothing_is_summed_up():
    model = SmallModel(799, 800)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        for prompt in ("first", "second", "third"):
            await client.run(prompt)
    assert model.summed == []
    assert len(model.asked[2]) == 5


async def test_a_summary_that_fails_leaves_the_conversation_and_says_so():
    model = SmallModel(900, fails=True)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("first")
        await client.run("second")
        log = await core.log()
    assert texts(model.asked[1]) == ["first", "second"]
    [notice] = [event for event in log if isinstance(event, events.Notice)]
    assert (notice.kind, notice.level) == ("compaction_failed", "warning")
    assert isinstance(log[-1], events.RunCompleted)
    assert log[-1].usage.input == 13  # What the provider said it used nevertheless is in it.
    assert [event.usage.input for event in log if isinstance(event, events.UsageUpdated)] == [900, 3, 10]


async def test_it_is_asked_as_the_run_asks_with_tools_it_is_not_to_call():
    model = SmallModel(900, 10, calls=1)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create(thinking="high")
        await client.run("task")
    step, summary, last = model.around
    tools, system, options = summary
    assert tools
    assert (tools, system, msgspec.structs.replace(options, tool_choice="auto")) == step == last


CALLED = (
    BlockStarted(index=0, kind="tool_input", tool="list"),
    BlockDelta(index=0, text="{}"),
    BlockEnded(index=0),
)


async def test_a_call_it_makes_all_the_same_is_no_text_of_the_summary_and_is_not_run():
    model = SmallModel(900, says=(*text_of("SUM"), *CALLED, *text_of("MARY")))
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("first")
        await client.run("second")
        log = await core.log()
    [compacted] = [event for event in log if isinstance(event, events.Compacted)]
    assert compacted.summary == "SUMMARY"
    assert not any(isinstance(event, events.ToolCallStarted) for event in log)


async def test_a_call_alone_is_no_summary():
    model = SmallModel(900, says=CALLED)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("first")
        await client.run("second")
        log = await core.log()
    [notice] = [event for event in log if isinstance(event, events.Notice)]
    assert notice.message == "The conversation could not be summed up: it wrote nothing."
    assert texts(model.asked[1]) == ["first", "second"]
    assert isinstance(log[-1], events.RunCompleted)


# What a summary cannot mend -----------------------------------------------------------------------------


async def test_where_the_step_after_a_summary_is_over_the_bound_again_there_is_no_other_and_one_notice():
    model = SmallModel(*[900] * 9, calls=8)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("task")
        log = await core.log()
    assert (len(model.asked), len(model.summed)) == (9, 1)
    [notice] = [event for event in log if isinstance(event, events.Notice)]
    assert notice.kind == "compaction_failed"
    assert "again after one step" in notice.message


async def test_a_conversation_that_grows_is_summed_up_again_and_again():
    model = SmallModel(900, 10, 900, 10, 900, 10, calls=5)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("task")
        log = await core.log()
    assert len(model.summed) == 3
    assert not any(isinstance(event, events.Notice) for event in log)


# Longer than the window ---------------------------------------------------------------------------------


def big(mark: str) -> str:
    return f"{mark} {'word ' * 1200}{mark}"


async def summed_up(model: SmallModel, *prompts: str) -> list[events.Event]:
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        for prompt in (*prompts, "last"):
            await client.run(prompt)
        return await core.log()


async def test_a_conversation_that_does_not_fit_is_summed_up_in_parts():
    model = SmallModel(10, 10, 5000, holds=4000)
    log = await summed_up(model, big("one"), big("two"), big("three"))
    [compacted] = [event for event in log if isinstance(event, events.Compacted)]
    assert compacted.summary == "SUMMARY"
    assert texts(model.asked[-1]) == [f"{SUMMED_UP}\n\nSUMMARY", "last"]
    assert 1 < len(model.summed) <= 8
    assert all(texts(part)[0].startswith(SUMMED_UP) for part in model.summed[1:])
    shown = "\n".join(text for part in model.summed for text in texts(part))
    assert all(mark in shown for mark in ("one", "two", "three"))
    ended = log[-1]
    assert isinstance(ended, events.RunCompleted)
    assert ended.cost == Cost(amount=0.25 + 0.5 * len(model.summed))


async def test_a_conversation_that_was_thought_to_fit_is_cut_when_the_provider_says_otherwise():
    model = SmallModel(10, 850, holds=3000)
    log = await summed_up(model, big("one"), big("two"))
    assert sum(isinstance(event, events.Compacted) for event in log) == 1
    assert len(model.summed) <= 8


async def test_what_is_too_long_in_any_part_is_given_up_after_a_bounded_number_of_requests():
    model = SmallModel(10, 5000, holds=0)
    log = await summed_up(model, big("one"), big("two"))
    [notice] = [event for event in log if isinstance(event, events.Notice)]
    assert notice.kind == "compaction_failed"
    assert len(model.summed) == 8
    assert isinstance(log[-1], events.RunCompleted)


@pytest.mark.parametrize("reload", [False, True])
async def test_the_summary_holds_after_the_session_was_unloaded(reload: bool):
    model = SmallModel(900)
    async with core_running(catalogue=model.catalogue) as core:
        client = core.client()
        await client.create()
        await client.run("first")
        await client.run("second")
        if reload:
            await client.call("session/close", sessionId="s")
            assert core.registry.live("s") is None
        await client.run("third")
    assert texts(model.asked[2]) == [f"{SUMMED_UP}\n\nSUMMARY", "second", "third"]
