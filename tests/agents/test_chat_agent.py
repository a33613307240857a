"""The chat loop: ask, run the tools, show the results, until the model calls none."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from scripted import ScriptedModel, block, call, done, say

from holdfast_daemon.agents.base import Agent, NoContext, StepsExhausted, context_type
from holdfast_daemon.agents.catalogue import builtin_agents
from holdfast_daemon.agents.chat import SYSTEM, ChatAgent, ChatContext
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
        self.instructions = ""
        self.cwd = "/srv/x"
        self._calls = calls

    def messages(self) -> tuple[Message, ...]:
        return ()

    async def call_tools(self) -> int:
        self.rounds += 1
        return self._calls.pop(0)


async def drive(context: Context, **made_with: Any) -> list[StepEvent]:
    return [event async for event in ChatAgent(ChatContext(**made_with)).run(context)]


class Asked(ScriptedModel):
    """Keeps all it was asked with."""

    def __init__(self, *steps: Any) -> None:
        super().__init__(*steps)
        self.given: list[Any] = []

    def stream(self, *given: Any) -> AsyncGenerator[StepEvent]:
        self.given.append(given)
        return super().stream(*given)


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
    model = Asked(say("done"))
    context = Context(model, [0])
    await drive(context)
    system = f"{SYSTEM}\n\nThe working directory is /srv/x."
    assert model.given == [((), context.tools, system, context.options)]


async def test_what_the_project_tells_agents_stands_behind_the_system_prompt() -> None:
    model = Asked(say("done"))
    context = Context(model, [0])
    context.instructions = "\nWrite Latin.\n"
    await drive(context, system_prompt="Be brief.")
    (_, _, system, _) = model.given[0]
    said = "Be brief.\n\nThe working directory is /srv/x.\n\n# Instructions of the project\n\nWrite Latin."
    assert system == said


@pytest.mark.parametrize(
    ("patterns", "left"),
    [(None, ["read", "mcp__a__b"]), (("mcp__a__*",), ["mcp__a__b"]), (("re?d", "x"), ["read"]), ((), [])],
)
async def test_it_offers_the_tools_its_patterns_name(
    patterns: tuple[str, ...] | None, left: list[str]
) -> None:
    model = Asked(say("done"))
    context = Context(model, [0])
    context.tools = tuple(
        ToolSpec(name=name, description="", input_schema={}) for name in ("read", "mcp__a__b")
    )
    await drive(context, tools=patterns)
    assert [tool.name for tool in model.given[0][1]] == left


async def test_a_run_that_waited_through_a_restart_first_gets_its_calls_done() -> None:
    model = Asked(say("done"))
    context = Context(model, [1, 0])
    context.resumed = True
    await drive(context)
    assert (context.rounds, len(model.given)) == (2, 1)


def test_what_it_is_made_with_is_there_for_the_driver() -> None:
    agent = ChatAgent(ChatContext(model="m", tools=("read",), mode="plan"), name="n", description="d")
    assert (agent.name, agent.description) == ("n", "d")
    assert (agent.model_override, agent.tool_patterns, agent.mode_override) == ("m", ("read",), "plan")
    assert agent.may_use("read")
    assert not agent.may_use("write")
    plain = ChatAgent(ChatContext())
    assert (plain.model_override, plain.tool_patterns, plain.mode_override) == (None, None, None)
    assert plain.may_use("anything")


def test_the_type_of_an_agents_context_is_what_its_class_says() -> None:
    class Own(msgspec.Struct):
        words: int = 1

    class One(Agent[Own]):
        def run(self, session: Any, /) -> Any: ...

    class Two(One):
        pass

    class Three(Agent):  # pyright: ignore[reportMissingTypeArgument]
        def run(self, session: Any, /) -> Any: ...

    assert [context_type(kind) for kind in (One, Two, ChatAgent)] == [Own, Own, ChatContext]
    assert context_type(Three) is NoContext
    assert One(Own(words=2)).context.words == 2
    with pytest.raises(TypeError, match="abstract"):
        Agent(NoContext())  # pyright: ignore[reportAbstractUsage]


async def test_an_abandoned_run_closes_the_models_stream() -> None:
    closed: list[bool] = []

    class Closing(ScriptedModel):
        async def stream(self, *given: Any) -> AsyncGenerator[StepEvent]:
            try:
                async for event in super().stream(*given):
                    yield event
            finally:
                closed.append(True)

    run = ChatAgent(ChatContext()).run(Context(Closing(say("a long text")), [0]))
    await anext(run)
    await run.aclose()
    assert closed == [True]


def test_the_built_in_agents_are_listed_by_their_own_names() -> None:
    agents = builtin_agents()
    assert "chat" in agents
    assert all(name == agent.name and agent.description for name, agent in agents.items())
