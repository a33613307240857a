"""The responses of models that a plugin's agent asks for, and what they used, said or not."""

from collections.abc import AsyncGenerator, Generator

from holdfast_daemon.agents.base import Unshown
from holdfast_daemon.models.base import Message, Model, ModelOptions, StepCompleted, StepEvent, ToolSpec
from holdfast_daemon.models.sizes import characters_of, prefix_characters, tokens
from holdfast_protocol.events import Cost, StopReason, Usage


class AgentResponse:
    """A response of a model that an agent wants.

    Attributes:
        characters: that came.
        over: it ended, or failed: what it used is known, as far as it ever will be.
    """

    def __init__(
        self,
        model: Model,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> None:
        self.characters = 0
        self.over = False
        self._model = model
        self._asked_with = messages, tools, system
        self._options = options
        self._events: AsyncGenerator[StepEvent] | None = None

    @property
    def begun(self) -> bool:
        """Whether the model was asked."""
        return self._events is not None

    def begin(self) -> None:
        """Ask the model."""
        self._events = self._model.stream(*self._asked_with, self._options)

    async def next(self) -> StepEvent | None:
        """Give the next event; None at the end.

        Raises:
            ModelError: as the model's stream.
        """
        assert self._events is not None
        return await anext(self._events, None)

    async def aclose(self) -> None:
        """Let go of the model, if it was asked."""
        if self._events is not None:
            await self._events.aclose()

    def estimate(self) -> Usage:
        """Give what it used, about: it was given up before anybody said."""
        messages, tools, system = self._asked_with
        asked_with = characters_of(messages) + prefix_characters(tools, system)
        return Usage(input=tokens(asked_with), output=tokens(self.characters), estimated=True)


class Spent:
    """What models used since it was last taken."""

    def __init__(self) -> None:
        self._usage = Usage()
        self._cost: Cost | None = None
        self._unpriced = False

    def unshown(self, responses: int) -> Unshown:
        """Give all there is, and leave it."""
        return Unshown(responses=responses, usage=self._usage, cost=self._cost, unpriced=self._unpriced)

    def guess(self, usage: Usage) -> None:
        """Add what a response used that was given up: it is paid for, and nobody says how much."""
        self.add(usage, None)
        self._unpriced = True

    def add(self, usage: Usage | None, cost: Cost | None) -> None:
        """Add what a response used; a cost that is not known adds nothing."""
        if usage is not None:
            self._usage += usage
        if cost is not None:
            before = self._cost.amount if self._cost is not None else 0.0
            self._cost = Cost(amount=before + cost.amount, currency=cost.currency)

    def take(self, usage: Usage | None = None, cost: Cost | None = None) -> tuple[Usage, Cost | None]:
        """Give all there is with this added, and begin anew."""
        self.add(usage, cost)
        taken = self._usage, self._cost
        self._usage, self._cost, self._unpriced = Usage(), None, False
        return taken

    def rest(self, stop_reason: StopReason) -> Generator[StepEvent]:
        """Give what is left as a step that shows nothing, if there is any."""
        usage, cost = self.take()
        if usage != Usage() or cost is not None:
            yield StepCompleted(stop_reason=stop_reason, usage=usage, cost=cost)
