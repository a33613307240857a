"""Tools that a client runs for a session: offered to the model, called back over the client's connection.

The call reaches only the connection that registered the tool. If that connection is lost, the call fails.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from holdfast_daemon.models.base import ToolSpec
from holdfast_daemon.tools.base import Tool, ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import Json, Location, ToolKind
from holdfast_protocol.methods.catalogue import HostedTool, ToolCallParams, ToolInfo

TOOLS_MAX: Final = 256
"""Hosted tools of one session, all connections together."""

Send = Callable[[ToolCallParams], None]
"""Notifies the connection that hosts a tool; must not wait or raise."""


class TooManyTools(Exception):
    """The session has `TOOLS_MAX` hosted tools."""


class NameTaken(Exception):
    """Another connection hosts a tool of that name; the message is the name."""


class _Outcome(NamedTuple):
    result: tuple[ContentBlock, ...]
    error: str | None


class _Call:
    """A call on its way to the connection that hosts its tool."""

    def __init__(self, host: object, context: ToolContext) -> None:
        self.host = host
        self.context = context
        self.done = anyio.Event()
        self.outcome: _Outcome | None = None

    def finish(self, outcome: _Outcome) -> None:
        """Hand over the outcome; the first counts."""
        if not self.done.is_set():
            self.outcome = outcome
            self.done.set()


class ClientHostedTool:
    """One hosted tool. Implements `Tool`."""

    input_type: type[msgspec.Struct] = dict[str, Json]  # pyright: ignore[reportAssignmentType] - the client checks its own input; here it need only be an object

    def __init__(
        self, tool: HostedTool, host: object, send: Send, calls: dict[str, _Call], session_id: str
    ) -> None:
        self.name = tool.name
        self.description = tool.description
        self.kind: ToolKind = tool.kind
        self.input_schema = tool.input_schema
        self.host = host
        self._send = send
        self._calls = calls
        self._session_id = session_id

    def title(self, tool_input: Any) -> str:
        """See `Tool.title`."""
        del tool_input
        return self.name

    def locations(self, tool_input: Any, cwd: str) -> tuple[Location, ...]:
        """See `Tool.locations`."""
        del tool_input, cwd
        return ()

    async def run(self, tool_input: Any, context: ToolContext) -> ToolResult:
        """Have the client run it; a cancellation is passed on to the client."""
        call_id = context.tool_call_id
        call = self._calls[call_id] = _Call(self.host, context)
        asked = ToolCallParams(
            session_id=self._session_id, tool_call_id=call_id, tool=self.name, input=tool_input
        )
        self._send(asked)
        try:
            await call.done.wait()
        except anyio.get_cancelled_exc_class():
            self._send(msgspec.structs.replace(asked, cancelled=True))
            raise
        finally:
            del self._calls[call_id]
        assert call.outcome is not None
        if call.outcome.error is not None:
            raise ToolFailure(call.outcome.error)
        return ToolResult(content=call.outcome.result)


class HostedTools:
    """One session's hosted tools, by name.

    Args:
        session_id: the session's.
    """

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self.tools: dict[str, Tool] = {}
        self._calls: dict[str, _Call] = {}

    def register(self, host: object, tools: Iterable[HostedTool], send: Send) -> int:
        """Set the tools a connection hosts; replaces those it hosted before.

        Raises:
            NameTaken: another connection hosts one of that name.
            TooManyTools: there are too many.
        """
        offered = {
            tool.name: ClientHostedTool(tool, host, send, self._calls, self._session_id) for tool in tools
        }
        others = {name: tool for name, tool in self.tools.items() if _host(tool) is not host}
        for name in offered:
            if name in others:
                raise NameTaken(name)
        if len(others) + len(offered) > TOOLS_MAX:
            raise TooManyTools
        self.tools.clear()
        self.tools.update(others)
        self.tools.update(offered)
        return len(offered)

    def drop(self, host: object) -> None:
        """Take away a lost connection's tools and fail its calls."""
        for name in [name for name, tool in self.tools.items() if _host(tool) is host]:
            del self.tools[name]
        for call in self._calls.values():
            if call.host is host:
                call.finish(_Outcome((), "The client that ran the tool is gone."))

    def specs(self) -> tuple[ToolSpec, ...]:
        """Give the tools as models are told of them."""
        return tuple(
            ToolSpec(name=tool.name, description=tool.description, input_schema=tool.input_schema)
            for tool in self.tools.values()
            if isinstance(tool, ClientHostedTool)
        )

    def infos(self) -> tuple[ToolInfo, ...]:
        """Give the tools as clients see them."""
        return tuple(
            ToolInfo(
                name=tool.name,
                description=tool.description,
                kind=tool.kind,
                input_schema=tool.input_schema,
                hosted=True,
            )
            for tool in self.tools.values()
            if isinstance(tool, ClientHostedTool)
        )

    async def output(self, host: object, call_id: str, text: str) -> bool:
        """Take a piece of a call's output; False if the call is not this connection's, or has ended."""
        call = self._calls.get(call_id)
        if call is None or call.host is not host or call.done.is_set():
            return False
        await call.context.output(text)
        return True

    def complete(
        self, host: object, call_id: str, result: tuple[ContentBlock, ...], error: str | None
    ) -> bool:
        """Take a call's end; False if the call is not this connection's, or has ended."""
        call = self._calls.get(call_id)
        if call is None or call.host is not host or call.done.is_set():
            return False
        call.finish(_Outcome(result, error))
        return True


def _host(tool: Tool) -> object:
    return tool.host if isinstance(tool, ClientHostedTool) else None
