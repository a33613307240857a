"""The chat loop: ask, run the tools, show the results, until the model calls none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted import ScriptedModel, block, call, done, say

from holdfast_daemon.agents.base import StepsExhausted
from holdfast_daemon.agents.catalogue import builtin_agents
from holdfast_daemon.agents.chat import SYSTEM, ChatAgent
from holdfast_daemon.models.base import Message, ModelError, ModelOptions, StepCompleted, StepEvent, ToolSpec
from holdfast_protocol.events import ErrorInfo


class Context:
    """A run that only counts; `calls` says how many tool calls each step made."""

    def __init__(self, model: Any, calls: list[int], steps_max: int = 10) -> None:
        self.model = model
        self.options = ModelOptions(thinking="low")
        self.tools = (ToolSpec(name="t", description="d", input_schema={}),)
        self.steps_max = steps_max
        self.rounds = 0
        self.resumed = False
        self._calls = calls

    def messages(self) -> tuple[Message, ...]:
        return ()

    async def call_tools(self) -> int:
        self.rounds += 1
        return self._calls.pop(0)


async def drive(context: Context) -> list[StepEvent]:
    return [event async for event in ChatAgent().run(context)]


async def test_it_ends_with_the_first_response_that_calls_nothing() -> None:
    model = ScriptedModel(
        [*call("t"), done("tool_use")], [*call("t"), done("tool_use")], say("done"), say("no")
    )
    context = Context(model, [1, 2, 0])
    seen = await drive(context)
    assert context.rounds == len(model.asked) == 3
    assert sum(isinstance(event, StepCompleted) for event in seen) == 3


async def test_it_gives_up_after_so_many_steps() -> None:
    model = ScriptedModel(*([[*call("t"), done("tool_use")]] * 5))
    with pytest.raises(StepsExhausted):
        await drive(Context(model, [1] * 5, steps_max=3))
    assert len(model.asked) == 3


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
async def test_a_response_that_breaks_off_is_an_error_and_no_tool_of_it_runs(cut: int) -> None:
    context = Context(ScriptedModel(block("text")[:cut]), [])
    with pytest.raises(ModelError) as caught:
        await drive(context)
    assert (caught.value.info.kind, caught.value.info.retryable) == ("truncated", True)
    assert context.rounds == 0


async def test_what_the_model_raises_goes_on_as_it_is() -> None:
    error = ModelError(ErrorInfo(kind="auth", message="no key"))
    with pytest.raises(ModelError) as caught:
        await drive(Context(ScriptedModel([*block("x"), error]), []))
    assert caught.value is error


async def test_the_model_is_asked_with_the_runs_tools_and_options() -> None:
    asked: list[Any] = []

    class Asked(ScriptedModel):
        def stream(self, *given: Any) -> AsyncIterator[StepEvent]:
            asked.append(given)
            return super().stream(*given)

    context = Context(Asked(say("done")), [0])
    await drive(context)
    assert asked == [((), context.tools, SYSTEM, context.options)]


async def test_an_abandoned_run_closes_the_models_stream() -> None:
    closed: list[bool] = []

    class Closing(ScriptedModel):
        async def stream(self, *given: Any) -> AsyncIterator[StepEvent]:
            try:
                async for event in super().stream(*given):
                    yield event
            finally:
                closed.append(True)

    run = ChatAgent().run(Context(Closing(say("a long text")), [0]))
    await anext(run)
    await run.aclose()
    assert closed == [True]


def test_the_built_in_agents_are_listed_by_their_own_names() -> None:
    agents = builtin_agents()
    assert "chat" in agents
    assert all(name == agent.name and agent.description for name, agent in agents.items())
