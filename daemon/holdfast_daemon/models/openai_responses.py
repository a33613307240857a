"""Responses, for OpenAI's own models."""

from holdfast_daemon.models import wire
from holdfast_daemon.models.base import Message, ModelOptions, ToolSpec
from holdfast_daemon.models.openai_responses_request import body
from holdfast_daemon.models.openai_responses_stream import ResponsesReader


class Responses:
    """See `Wire`."""

    sdk: wire.Sdk = "openai"
    path = "/responses"

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

    def reader(self, target: wire.Target) -> ResponsesReader:
        """Give a reader for one response."""
        return ResponsesReader(target.provider.name)
