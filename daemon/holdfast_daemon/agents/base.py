"""What drives a session's runs.

An agent decides what to ask a model and what to do with its answer. It knows neither transports, nor
clients, nor how events are stored: it yields step events, and the driver of the run makes a log of them.
Plugins' agents are written against this module.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Any, Generic, Protocol, TypeVar, cast, get_args, get_origin

import msgspec

from holdfast_daemon.models.base import (
    Message,
    Model,
    ModelError,
    ModelOptions,
    StepCompleted,
    StepEvent,
    ToolSpec,
)
from holdfast_protocol.events import Cost, ErrorInfo, Mode, Usage


class Unshown(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent had of models and has not yielded as a step.

    Attributes:
        responses: how many.
        usage: theirs.
        cost: theirs, as far as it is known.
        unpriced: of some the cost is not known.
    """

    responses: int = 0
    usage: Usage = Usage()
    cost: Cost | None = None
    unpriced: bool = False


class RunContext(Protocol):
    """What an agent sees of the run it drives."""

    @property
    def model(self) -> Model:
        """The run's model."""
        ...

    @property
    def options(self) -> ModelOptions:
        """What the session asks of the model."""
        ...

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """What the model may call, in a stable order; may change between steps."""
        ...

    @property
    def steps_max(self) -> int:
        """How many steps the run may take."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether the run waited through a restart: calls of its last step have no outcome yet."""
        ...

    @property
    def instructions(self) -> str:
        """What the project tells agents (its AGENTS.md files); may be empty."""
        ...

    @property
    def cwd(self) -> str:
        """The session's directory, absolute."""
        ...

    def messages(self) -> tuple[Message, ...]:
        """Give the conversation, with everything yielded so far and the results of the calls."""
        ...

    async def call_tools(self) -> int:
        """Run the calls of the step that just completed, and give how many there were.

        Returns when each has its outcome in the log and in `messages`; a failed call is an outcome. Keeps to
        the run's budget.
        """
        ...

    async def keep_to_budget(self, unshown: Unshown) -> None:
        """Wait, where a bound of the run's budget is reached, until people let it go on.

        For an agent that asks models again without calling tools. The daemon does it for the agents of
        plugins, before each response.

        Args:
            unshown: counts beside the steps that were yielded.

        Raises:
            BudgetExhausted: they do not.
        """
        ...


class NoContext(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The context of an agent that needs none."""


C = TypeVar("C", bound=msgspec.Struct)


class Agent(ABC, Generic[C]):
    """Drives one run at a time, of any session; holds no state between runs.

    Args:
        context: what this one is made with; its type is the `C` of `Agent[C]`.
        name: what sessions call it, if not what its class says.
        description: what people are told, if not what its class says.

    Attributes:
        model_override: a model of the catalogue that takes the place of the session's; None: the session's.
        tool_patterns: shell-style patterns of the tools it may use; None: all the session has.
        mode_override: the mode of its runs where it is narrower than the session's; None: the session's.
    """

    name: str = ""
    description: str = ""
    model_override: str | None = None
    tool_patterns: tuple[str, ...] | None = None
    mode_override: Mode | None = None

    def __init__(self, context: C, *, name: str | None = None, description: str | None = None) -> None:
        self.context = context
        self.name = self.name if name is None else name
        self.description = self.description if description is None else description

    @abstractmethod
    def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        """Drive one run to its end.

        Everything yielded is in the log when the generator goes on after a `StepCompleted`.

        Raises:
            ModelError: the run failed.
            StepsExhausted: it took `steps_max` steps and was not done.
            BudgetExhausted: as the session says.
        """
        ...

    def system(self, _session: RunContext, /) -> str:
        """Give the system prompt of its requests, where it is the same in all; empty where that is not known.

        Asked of agents that run in the daemon.
        """
        return ""

    def may_use(self, tool: str) -> bool:
        """Tell whether it may use a tool."""
        patterns = self.tool_patterns
        return patterns is None or any(fnmatchcase(tool, pattern) for pattern in patterns)


class Exhausted(Exception):
    """The run has used all it may use.

    Attributes:
        usage: of models, as far as no step has it; None: nothing.
        cost: of that.
    """

    usage: Usage | None = None
    cost: Cost | None = None


class StepsExhausted(Exhausted):
    """The run took all the steps it may take."""


class BudgetExhausted(Exhausted):
    """The run reached a bound of its budget, and was not let go on."""


def context_type(agent: type[Agent[Any]]) -> type[msgspec.Struct]:
    """Give the type of the context that an agent's class is made with: `C` of the nearest `Agent[C]`."""
    for base in agent.__mro__:
        for written in getattr(base, "__orig_bases__", ()):
            origin = get_origin(written)
            given = get_args(written)
            if isinstance(origin, type) and issubclass(origin, Agent) and isinstance(given[0], type):
                return cast("type[msgspec.Struct]", given[0])
    return NoContext


async def one_step(
    session: RunContext,
    system: str,
    *,
    messages: tuple[Message, ...] | None = None,
    tools: tuple[ToolSpec, ...] | None = None,
) -> AsyncGenerator[StepEvent]:
    """Stream one response of the run's model.

    Args:
        session: the run.
        system: the system prompt.
        messages: the conversation the model is shown; the run's if left out.
        tools: what it may call; the run's if left out.

    Raises:
        ModelError: there was no response, or it was cut.
    """
    shown = session.messages() if messages is None else messages
    offered = session.tools if tools is None else tools
    completed = False
    stream = session.model.stream(shown, offered, system, session.options)
    async with aclosing(stream):  # A run that is cut lets go of its provider there and then.
        async for event in stream:
            completed = isinstance(event, StepCompleted)
            yield event
    if not completed:
        info = ErrorInfo(kind="truncated", message="The model's response broke off.", retryable=True)
        raise ModelError(info)


def system_prompt(session: RunContext, text: str) -> str:
    """Give a system prompt: a text, the directory, and what the project tells agents."""
    prompt = f"{text}\n\nThe working directory is {session.cwd}."
    if not session.instructions.strip():
        return prompt
    return f"{prompt}\n\n# Instructions of the project\n\n{session.instructions.strip()}"
