"""The chat loop: ask the model, run the tools it calls, show it the results, until it calls none."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from holdfast_daemon.agents.base import Agent, RunContext, StepsExhausted, one_step, system_prompt
from holdfast_daemon.models.base import StepEvent
from holdfast_protocol.events import Mode

SYSTEM = (
    "You are an agent working in a directory on the user's computer. "
    "Use the tools you are given; say plainly what you did and what you could not do."
)


class ChatContext(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a chat agent is made with.

    Attributes:
        system_prompt: what the model is told before the directory and the project's instructions.
        model: takes the place of the session's model.
        tools: shell-style patterns of the tools it may use; None: all.
        mode: narrows the session's.
    """

    system_prompt: str = SYSTEM
    model: str | None = None
    tools: tuple[str, ...] | None = None
    mode: Mode | None = None


class ChatAgent(Agent[ChatContext]):
    """The default agent, and with another prompt what plugins declare."""

    name = "chat"
    description = "Talks, calls tools, and goes on until it has nothing left to call."

    def __init__(
        self, context: ChatContext, *, name: str | None = None, description: str | None = None
    ) -> None:
        super().__init__(context, name=name, description=description)
        self.model_override = context.model
        self.tool_patterns = context.tools
        self.mode_override = context.mode

    async def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        """See `Agent.run`."""
        if session.resumed:
            await session.call_tools()
        for _ in range(session.steps_max):
            async with aclosing(self._step(session)) as step:
                async for event in step:
                    yield event
            if not await session.call_tools():
                return
        raise StepsExhausted

    def _step(self, session: RunContext) -> AsyncGenerator[StepEvent]:
        tools = tuple(tool for tool in session.tools if self.may_use(tool.name))
        return one_step(session, self.system(session), tools=tools)

    def system(self, session: RunContext, /) -> str:
        """See `Agent.system`."""
        return system_prompt(session, self.context.system_prompt)
