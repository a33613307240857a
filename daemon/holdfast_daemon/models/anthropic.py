"""Anthropic's Messages."""

from holdfast_daemon.models import wire
from holdfast_daemon.models.anthropic_request import body
from holdfast_daemon.models.anthropic_stream import MessagesReader
from holdfast_daemon.models.base import Message, ModelOptions, ToolSpec


class Messages:
    """See `Wire`."""

    sdk: wire.Sdk = "anthropic"
    path = "/v1/messages"

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

    def reader(self, target: wire.Target) -> MessagesReader:
        """Give a reader for one response."""
        return MessagesReader(target.provider.name)
