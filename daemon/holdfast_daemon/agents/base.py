"""What drives a session's runs.

An agent decides what to ask a model and what to do with its answer. It knows neither transports, nor
clients, nor how events are stored: it yields step events, and the driver of the run makes a log of them.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from holdfast_daemon.models.base import Message, Model, ModelOptions, StepEvent, ToolSpec


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
        """What the model may call, in a stable order."""
        ...

    @property
    def steps_max(self) -> int:
        """How many steps the run may take."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether the run waited through a restart: calls of its last step have no outcome yet."""
        ...

    def messages(self) -> tuple[Message, ...]:
        """Give the conversation, with everything yielded so far and the results of the calls."""
        ...

    async def call_tools(self) -> int:
        """Run the calls of the step that just completed, and give how many there were.

        Returns when each has its outcome in the log and in `messages`; a failed call is an outcome.
        """
        ...


class Agent(Protocol):
    """Drives one run at a time, of any session; holds no state between runs."""

    name: str
    description: str

    def run(self, context: RunContext) -> AsyncGenerator[StepEvent]:
        """Drive one run to its end.

        Everything yielded is in the log when the generator goes on after a `StepCompleted`.

        Raises:
            ModelError: the run failed.
            StepsExhausted: it took `steps_max` steps and was not done.
        """
        ...


class StepsExhausted(Exception):
    """The run took all the steps it may take."""
