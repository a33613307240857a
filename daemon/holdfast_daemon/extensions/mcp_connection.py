"""One live connection to an MCP server, over the official SDK, which takes a second: import it on first use.

Whatever the SDK or the server raises leaves here as `McpFailure`, without what the server was given to keep.
The context must be entered and left by one task; calls may come from any.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, cast

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import FileUrl

from holdfast_daemon.execution.foreign_code import is_cancelled
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.manifest import HttpServer
from holdfast_daemon.extensions.mcp_content import block_of, outcome_of, resource_of
from holdfast_daemon.extensions.mcp_http import EVENT_BYTES_MAX, http_client
from holdfast_daemon.extensions.mcp_stdio import LastWords, stdio_transport
from holdfast_daemon.extensions.mcp_values import (
    CallOutcome,
    Elicit,
    Elicitation,
    McpFailure,
    Offer,
    RemotePrompt,
    RemoteResource,
    RemoteTool,
    Secrets,
    secrets_of,
)
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import Json

PAGES_MAX: Final = 16
ITEMS_MAX: Final = 256
"""Tools, resources or prompts of one server; what comes after is not listed."""

_CLIENT: Final = types.Implementation(name="holdfast", version="1")
_LOST_CODES: Final = frozenset({types.CONNECTION_CLOSED})
_SESSION_OVER: Final = "Session terminated"  # The SDK's words for a 404 on a session it had.

_Page = TypeVar("_Page", bound=types.PaginatedResult)


class Connection:
    """A server that answered.

    Attributes:
        changed: set when the server said that what it offers changed; whoever lists anew replaces it.
        lost: set when the connection is of no use any more.
    """

    def __init__(self, client: Client, last_words: LastWords) -> None:
        self.changed = anyio.Event()
        self.lost = last_words.lost
        self._client = client
        self._last_words = last_words

    @property
    def version(self) -> str:
        """Which revision of the protocol is spoken."""
        return self._client.protocol_version

    async def offer(self) -> Offer:
        """List what the server offers now.

        Raises:
            McpFailure: it cannot.
        """
        has = self._client.server_capabilities
        with _failures(self._last_words):
            return Offer(
                tools=await self._tools() if has.tools else (),
                resources=await self._resources() if has.resources else (),
                prompts=await self._prompts() if has.prompts else (),
            )

    async def call(self, tool: str, tool_input: dict[str, Json]) -> CallOutcome:
        """Call a tool; a cancellation is passed on to the server.

        Raises:
            McpFailure: there is no outcome.
        """
        with _failures(self._last_words):
            return outcome_of(await self._client.call_tool(tool, tool_input))

    async def read(self, uri: str) -> tuple[ContentBlock, ...]:
        """Read a resource.

        Raises:
            McpFailure: it cannot be read.
        """
        with _failures(self._last_words):
            result = await self._client.read_resource(uri, cache_mode="bypass")
            return tuple(resource_of(item) for item in result.contents)

    async def prompt(self, name: str, arguments: dict[str, str]) -> tuple[ContentBlock, ...]:
        """Give a prompt's content, all its messages one after the other.

        Raises:
            McpFailure: there is none.
        """
        with _failures(self._last_words):
            result = await self._client.get_prompt(name, arguments)
            return tuple(block_of(message.content) for message in result.messages)

    async def _tools(self) -> tuple[RemoteTool, ...]:
        pages = await _pages(self._client.list_tools)
        tools = [tool for page in pages for tool in page.tools]
        return tuple(
            RemoteTool(name=tool.name, description=tool.description or "", input_schema=tool.input_schema)
            for tool in tools[:ITEMS_MAX]
        )

    async def _resources(self) -> tuple[RemoteResource, ...]:
        pages = await _pages(self._client.list_resources)
        found = [_resource(item, item.uri) for page in pages for item in page.resources]
        return tuple((found + await self._templates())[:ITEMS_MAX])

    async def _templates(self) -> list[RemoteResource]:
        try:
            pages = await _pages(self._client.list_resource_templates)
        except MCPError as error:
            if error.code != types.METHOD_NOT_FOUND:  # Servers may have resources and no templates.
                raise
            return []
        return [_resource(item, item.uri_template) for page in pages for item in page.resource_templates]

    async def _prompts(self) -> tuple[RemotePrompt, ...]:
        pages = await _pages(self._client.list_prompts)
        prompts = [prompt for page in pages for prompt in page.prompts]
        return tuple(_prompt(prompt) for prompt in prompts[:ITEMS_MAX])


def _resource(item: types.Resource | types.ResourceTemplate, uri: str) -> RemoteResource:
    return RemoteResource(
        uri=uri,
        name=item.name,
        description=item.description or "",
        mime_type=item.mime_type,
        template=isinstance(item, types.ResourceTemplate),
    )


def _prompt(item: types.Prompt) -> RemotePrompt:
    arguments = item.arguments or []
    return RemotePrompt(
        name=item.name,
        description=item.description or "",
        arguments=tuple(argument.name for argument in arguments),
        required=tuple(argument.name for argument in arguments if argument.required),
    )


class Callbacks:
    """What a server may ask of us.

    Args:
        server: its name.
        roots: directories it is told of.
        elicit: asks people; None: the server is told that there are none to ask.
        waiting: called with True when a person is asked, and with False afterwards.
    """

    def __init__(
        self, server: str, roots: tuple[str, ...], elicit: Elicit | None, waiting: Callable[[bool], None]
    ) -> None:
        self._server = server
        self._roots = roots
        self._elicit = elicit
        self._waiting = waiting
        self.can_elicit = elicit is not None

    async def elicit(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        """Pass a question on."""
        del context
        assert self._elicit is not None
        match params:
            case types.ElicitRequestFormParams():
                schema = params.requested_schema
                asked = Elicitation(server=self._server, message=params.message, schema=dict(schema))
            case types.ElicitRequestURLParams():
                asked = Elicitation(server=self._server, message=params.message, url=params.url)
        self._waiting(True)
        try:
            answer = await self._elicit(asked)
        finally:
            self._waiting(False)
        accepted = answer.content if answer.action == "accept" else None
        content: Any = accepted
        return types.ElicitResult(action=answer.action, content=content)

    async def roots(self, context: ClientRequestContext) -> types.ListRootsResult:
        """Tell the roots."""
        del context
        found = [
            types.Root(uri=FileUrl(f"file://{root}"), name=root.rpartition("/")[2]) for root in self._roots
        ]
        return types.ListRootsResult(roots=found)


@asynccontextmanager
async def stdio_connection(
    argv: tuple[str, ...], place: ChildPlace, callbacks: Callbacks, secrets: Secrets
) -> AsyncGenerator[Connection]:
    """Start a server and connect to it.

    Args:
        argv: the program, absolute, and its arguments.
        place: where it runs.
        callbacks: what it may ask of us.
        secrets: what it was given to keep.

    Raises:
        McpFailure: it cannot be started, or does not answer as an MCP server.
    """
    last_words = LastWords(secrets)
    async with _connection(stdio_transport(argv, place, last_words), callbacks, last_words) as connection:
        yield connection


@asynccontextmanager
async def http_connection(entry: HttpServer, callbacks: Callbacks) -> AsyncGenerator[Connection]:
    """Connect to a server at an address.

    Raises:
        McpFailure: it cannot be reached, or does not answer as an MCP server.
    """
    last_words = LastWords(secrets_of(entry))
    async with http_client(entry.headers) as http:
        transport = streamable_http_client(entry.url, http_client=http, max_sse_event_size=EVENT_BYTES_MAX)
        async with _connection(transport, callbacks, last_words) as connection:
            yield connection


@asynccontextmanager
async def _connection(
    transport: Any, callbacks: Callbacks, last_words: LastWords
) -> AsyncGenerator[Connection]:
    connection: Connection | None = None

    async def heard(message: types.ServerNotification | Exception) -> None:
        if connection is not None and isinstance(message, _LIST_CHANGES):
            connection.changed.set()

    client = Client(
        transport,
        client_info=_CLIENT,
        message_handler=heard,
        elicitation_callback=callbacks.elicit if callbacks.can_elicit else None,
        list_roots_callback=callbacks.roots,
        cache=None,
    )
    with _failures(last_words):
        async with client, anyio.create_task_group() as group:
            connection = Connection(client, last_words)
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                group.start_soon(_follow_changes, client, connection, last_words)
            yield connection
            group.cancel_scope.cancel()


_LIST_CHANGES: Final = (
    types.ToolListChangedNotification,
    types.ResourceListChangedNotification,
    types.PromptListChangedNotification,
)


async def _follow_changes(client: Client, connection: Connection, last_words: LastWords) -> None:
    """Hear of changes where the revision has them behind a subscription."""
    has = client.server_capabilities
    try:
        async with client.listen(
            tools_list_changed=has.tools is not None,
            prompts_list_changed=has.prompts is not None,
            resources_list_changed=has.resources is not None,
        ) as subscription:
            async for _ in subscription:
                connection.changed.set()
    except MCPError as error:
        if _is_lost(error):
            last_words.lose(str(error))
        return  # It has no subscriptions: then it has no changes.
    except SubscriptionLost:
        last_words.lose("it broke off the stream of its changes")


async def _pages(fetch: Callable[..., Awaitable[_Page]]) -> list[_Page]:
    pages: list[_Page] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await fetch(cursor=cursor)
        pages.append(page)
        cursor = page.next_cursor
        if not cursor:
            break
    return pages


@contextmanager
def _failures(last_words: LastWords) -> Generator[None]:
    """Turn whatever foreign code raises into `McpFailure`; a cancellation of ours stays one."""
    try:
        yield
    except McpFailure:
        raise
    except BaseException as error:
        if is_cancelled(error):
            raise
        raise _failure(error, last_words) from error


def _failure(error: BaseException, last_words: LastWords) -> McpFailure:
    cause = _first(error)
    if isinstance(cause, McpFailure):
        return cause
    struck = last_words.secrets.struck
    if last_words.reason is not None or _is_lost(cause):
        last_words.lose(str(cause) or type(cause).__name__)
        said = last_words.stderr.strip()
        reason = struck(last_words.reason or "")
        return McpFailure(f"{reason}; it said: {said[-1024:]}" if said else reason, lost=True)
    if isinstance(cause, MCPError):
        return McpFailure(struck(cause.message)[:8192])
    if isinstance(cause, OSError):
        return McpFailure(struck(cause.strerror or str(cause)))
    return McpFailure(struck(f"{type(cause).__name__}: {cause}")[:8192])


def _is_lost(error: BaseException) -> bool:
    return isinstance(error, MCPError) and (error.code in _LOST_CODES or error.message == _SESSION_OVER)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
