"""Chat Completions, for all that are compatible with it."""

from holdfast_daemon.models import wire
from holdfast_daemon.models.base import Message, ModelOptions, ToolSpec
from holdfast_daemon.models.openai_chat_request import body
from holdfast_daemon.models.openai_chat_stream import ChatReader


class ChatCompletions:
    """See `Wire`."""

    sdk: wire.Sdk = "openai"
    path = "/chat/completions"

    def request(
        self,
        target: wire.Target,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> bytes:
        """Write the body."""
        return body(target, messages, tools, system, options)

    def reader(self, target: wire.Target) -> ChatReader:
        """Give a reader for one response."""
        return ChatReader(target.provider.name)
