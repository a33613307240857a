"""What the process of an agent was told of the conversation and the tools: only news travel, both ways."""

from collections.abc import Callable, Iterator

from holdfast_daemon.agents.agent_wire import BadLine, Told, WireMessage, message_of, wire_message
from holdfast_daemon.agents.base import RunContext
from holdfast_daemon.models.base import Message, ToolSpec


class ToldConversation:
    """One run's.

    Args:
        session: the run.
        may_use: tells which tools the agent may use.
    """

    def __init__(self, session: RunContext, may_use: Callable[[str], bool]) -> None:
        self._session = session
        self._may_use = may_use
        self._messages: tuple[Message, ...] = ()
        self._tools: dict[str, ToolSpec] = {}

    def news(self) -> Iterator[Told]:
        """Give what has changed since, a message in each; nothing if nothing has."""
        messages = self._session.messages()
        keep = _same(self._messages, messages)
        tools = {tool.name: tool for tool in self._session.tools if self._may_use(tool.name)}
        if len(self._messages) > keep or tools != self._tools:
            yield Told(keep=keep, tools=tuple(tools.values()))
        for at in range(keep, len(messages)):
            yield Told(keep=at, messages=(wire_message(messages[at]),))
        self._messages, self._tools = messages, tools

    def messages(self, named: tuple[int | WireMessage, ...]) -> tuple[Message, ...]:
        """Give the messages a model is to be shown.

        Raises:
            BadLine: one makes no sense, or a number is not of a message, or not above the last one.
        """
        found: list[Message] = []
        last = -1
        for message in named:
            if not isinstance(message, int):
                found.append(message_of(message))
            elif last < message < len(self._messages):
                last = message
                found.append(self._messages[message])
            else:
                raise BadLine(f"message {message} after message {last} of {len(self._messages)}")
        return tuple(found)

    def tools(self, named: tuple[str | ToolSpec, ...]) -> tuple[ToolSpec, ...]:
        """Give the tools a model is to be told of.

        Raises:
            BadLine: there is none of a name.
        """
        try:
            return tuple(self._tools[tool] if isinstance(tool, str) else tool for tool in named)
        except KeyError as error:
            raise BadLine(f"there is no tool {error}") from error


def _same(before: tuple[Message, ...], now: tuple[Message, ...]) -> int:
    """Give how many messages at the beginning are the same."""
    same = 0
    for old, new in zip(before, now, strict=False):
        if old is not new and old != new:
            break
        same += 1
    return same
