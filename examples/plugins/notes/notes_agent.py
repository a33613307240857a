"""An agent of the notes plugin: works as any agent does, then says what it found again, in a few words."""

from collections.abc import AsyncGenerator

import msgspec

from holdfast_daemon.agents.base import Agent, RunContext, one_step, system_prompt
from holdfast_daemon.models.base import StepEvent, UserMessage
from holdfast_protocol.content import TextBlock


class Length(msgspec.Struct):
    words: int = 40


class Librarian(Agent[Length]):
    """Looks through the notes and says in a few words what they say."""

    async def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        system = system_prompt(session, "You are a librarian. Answer from the notes, and name the files.")
        for _ in range(session.steps_max - 1):
            async for event in one_step(session, system):
                yield event
            if not await session.call_tools():
                break
        shorter = UserMessage(content=(TextBlock(text=f"Now in {self.context.words} words at the most."),))
        async for event in one_step(session, system, messages=(*session.messages(), shorter), tools=()):
            yield event
