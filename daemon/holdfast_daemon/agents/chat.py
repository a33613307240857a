"""The chat loop: ask the model, run the tools it calls, show it the results, until it calls none."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from holdfast_daemon.agents.base import RunContext, StepsExhausted
from holdfast_daemon.models.base import ModelError, StepCompleted, StepEvent
from holdfast_protocol.events import ErrorInfo

SYSTEM = (
    "You are an agent working in a directory on the user's computer. "
    "Use the tools you are given; say plainly what you did and what you could not do."
)


class ChatAgent:
    """The default agent."""

    name = "chat"
    description = "Talks, calls tools, and goes on until it has nothing left to call."

    async def run(self, context: RunContext) -> AsyncGenerator[StepEvent]:
        """See `Agent.run`."""
        if context.resumed:
            await context.call_tools()
        for _ in range(context.steps_max):
            async with aclosing(self._step(context)) as step:
                async for event in step:
                    yield event
            if not await context.call_tools():
                return
        raise StepsExhausted

    async def _step(self, context: RunContext) -> AsyncGenerator[StepEvent]:
        """Stream one response; one that ends without `StepCompleted` was cut, which is an error."""
        completed = False
        stream = context.model.stream(context.messages(), context.tools, SYSTEM, context.options)
        async with aclosing(stream):  # A run that is cut lets go of its provider there and then.
            async for event in stream:
                completed = isinstance(event, StepCompleted)
                yield event
        if not completed:
            raise ModelError(
                ErrorInfo(kind="truncated", message="The model's response broke off.", retryable=True)
            )
