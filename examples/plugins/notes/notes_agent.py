"""An agent of the notes plugin: works as the chat agent does, then says it again in a few words."""

from collections.abc import AsyncGenerator

import msgspec

from holdfast_daemon.agents.base import Agent, RunContext, one_step
from holdfast_daemon.agents.chat import ChatAgent, ChatContext
from holdfast_daemon.models.base import StepEvent, UserMessage
from holdfast_protocol.content import TextBlock


class Length(msgspec.Struct):
    """What `context` in plugin.yaml may say."""

    words: int = 40


class Librarian(Agent[Length]):
    """Looks through the notes and says in a few words what they say."""

    async def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        """See `Agent.run`."""
        prompt = "You are a librarian. Answer from the notes, and name the files."
        async for event in ChatAgent(ChatContext(system_prompt=prompt)).run(session):
            yield event
        wish = UserMessage(content=(TextBlock(text=f"Now in {self.context.words} words at the most."),))
        async for event in one_step(session, prompt, messages=(*session.messages(), wish), tools=()):
            yield event
