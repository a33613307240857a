"""A conversation near its model's window is summed up for the model; the log keeps all of it."""

from collections.abc import AsyncGenerator

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
from holdfast_daemon.sessions.history import SUMMED_UP
from holdfast_protocol import events
from holdfast_protocol.events import Cost, ErrorInfo, Usage
from holdfast_protocol.methods.catalogue import ModelInfo

NAME = "test/small"


class SmallModel:
    """Has a window of 1,000 tokens; was given as many as `used` says. Asked to sum up, says SUMMARY."""

    def __init__(self, *used: int, fails: bool = False, calls: int = 0) -> None:
        self.info = ModelInfo(name=NAME, provider="test", description="", context_tokens=1000)
        self.asked: list[tuple[Message, ...]] = []
        self.summed: list[tuple[Message, ...]] = []
        self._used = list(used)
        self._fails = fails
        self._calls = calls

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(NAME, (CatalogueEntry(info=self.info, make=lambda: self),))

    async def stream(
        self, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], system: str, options: ModelOptions
    ) -> AsyncGenerator[StepEvent]:
        del options
        if not tools:
            assert "sum up" in system
            self.summed.append(messages)
            if self._fails:
                raise ModelError(ErrorInfo(kind="overloaded", message="busy"))
            for event in text_of("SUMMARY"):
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
