"""One MCP server of one session: a task that owns its connection and restarts it, while others call.

    starting → running ⇄ restarting (back-off) → failed (too often in a row, or told to stop)

Imports the SDK on first use, in a thread. Knows nothing of tools, sessions or events.
"""

import importlib
import logging
import math
import random
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Literal

import anyio
import anyio.to_thread
import msgspec

from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.extensions.loader import Scope
from holdfast_daemon.extensions.manifest import HttpServer, ServerEntry, StdioServer
from holdfast_daemon.extensions.mcp_values import CallOutcome, Elicit, McpFailure, Offer, secrets_of
from holdfast_daemon.extensions.program import program_path, source_of
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.events import Json

if TYPE_CHECKING:
    from holdfast_daemon.extensions.mcp_connection import Connection

_SDK: Final = "holdfast_daemon.extensions.mcp_connection"

McpStatus = Literal["starting", "running", "restarting", "failed"]

_log = logging.getLogger(__name__)


class McpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a server.

    Attributes:
        connect_timeout_s: until it has said what it offers.
        call_timeout_s: for one call, not counting the time a person is asked.
        wait_s: how long a call waits for a server that is being restarted.
        backoff_s: before the first restart; doubled for each next one.
        backoff_max_s: between restarts.
        failures_max: in a row; then it stays off until `restart`.
        steady_s: a connection that held for so long ends a row of failures.
    """

    connect_timeout_s: float = 30.0
    call_timeout_s: float = 60.0
    wait_s: float = 10.0
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    failures_max: int = 5
    steady_s: float = 60.0


class McpServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A server as people see it.

    Attributes:
        origin: where it was declared, as `plugin notes` or `configuration`.
        error: why it is not running.
        starts: how often it was started.
    """

    name: str
    type: Literal["stdio", "http"]
    origin: str
    status: McpStatus
    tools: int = 0
    resources: int = 0
    prompts: int = 0
    starts: int = 0
    error: str | None = None


class McpDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """A server somebody asked for.

    Attributes:
        folder: the plugin's, where a command that begins with `./` is looked for.
        scope: whose the plugin is; None: it is no plugin's.
    """

    entry: ServerEntry
    origin: str
    folder: str | None = None
    scope: Scope | None = None


class McpServer:
    """One server.

    Args:
        declaration: which.
        place: where a child process runs; its `env` is the session's.
        roots: directories the server is told of.
        limits: see `McpLimits`.
        elicit: asks people; None: nobody is asked.
        changed: called when the status or the offer changes; must not wait or raise.
    """

    def __init__(
        self,
        declaration: McpDeclaration,
        place: ChildPlace,
        roots: tuple[str, ...],
        limits: McpLimits,
        elicit: Elicit | None,
        changed: Callable[[], None],
    ) -> None:
        self.name = declaration.entry.name
        self.offer = Offer()  # Kept while it is being restarted: who calls then waits for it.
        self.secrets = secrets_of(declaration.entry)
        self.settled = anyio.Event()  # Set once it runs or has failed for the first time.
        self._declaration = declaration
        self._place = place
        self._roots = roots
        self._limits = limits
        self._elicit = elicit
        self._changed = changed
        self._connection: Connection | None = None
        self._status: McpStatus = "starting"
        self._error: str | None = None
        self._starts = 0
        self._available = anyio.Event()  # Set when it runs, or has failed for good; replaced when it is lost.
        self._restart = anyio.Event()
        self._patience = _Patience()

    @property
    def call_timeout_s(self) -> float:
        """How long a call may take."""
        return self._limits.call_timeout_s

    @property
    def source(self) -> str:
        """What its tools run, see `source_of`."""
        declaration, entry = self._declaration, self._declaration.entry
        scope = declaration.scope or declaration.origin
        if isinstance(entry, StdioServer):
            return source_of(scope, declaration.folder, "stdio", entry.command, entry.args)
        return source_of(scope, declaration.folder, "http", entry.url)

    def info(self) -> McpServerInfo:
        """Give what people see of it."""
        entry = self._declaration.entry
        return McpServerInfo(
            name=self.name,
            type="stdio" if isinstance(entry, StdioServer) else "http",
            origin=self._declaration.origin,
            status=self._status,
            tools=len(self.offer.tools),
            resources=len(self.offer.resources),
            prompts=len(self.offer.prompts),
            starts=self._starts,
            error=self._error,
        )

    def restart(self) -> None:
        """Start it anew, whatever it does now; also one that has failed for good."""
        self._restart.set()

    async def call(self, tool: str, tool_input: dict[str, Json]) -> CallOutcome:
        """Call a tool by the server's own name for it.

        Raises:
            McpFailure: there is no outcome; kinds `mcp_failed`, `mcp_lost`, `mcp_unavailable`, `timeout`.
        """
        async with self._calling() as connection:
            return await connection.call(tool, tool_input)

    async def read(self, uri: str) -> tuple[ContentBlock, ...]:
        """Read a resource.

        Raises:
            McpFailure: as for `call`.
        """
        async with self._calling() as connection:
            return await connection.read(uri)

    async def prompt(self, name: str, arguments: dict[str, str]) -> tuple[ContentBlock, ...]:
        """Give a prompt.

        Raises:
            McpFailure: as for `call`.
        """
        async with self._calling() as connection:
            return await connection.prompt(name, arguments)

    async def run(self) -> None:
        """Own the connection until cancelled; then the server is gone."""
        failures = 0
        while True:
            self._restart = anyio.Event()
            began = anyio.current_time()
            error = await self._once()
            steady = anyio.current_time() - began >= self._limits.steady_s
            failures = 0 if error is None else 1 if steady else failures + 1
            self._down(error, for_good=failures >= self._limits.failures_max)
            if error is not None:
                await self._wait(failures)
                failures = 0 if failures >= self._limits.failures_max else failures

    async def _once(self) -> str | None:
        """Connect and serve until the connection is lost, or somebody wants a restart. Give the error."""
        self._starts += 1
        try:
            with anyio.fail_after(self._limits.connect_timeout_s) as starting:
                async with self._connected() as connection:
                    self._up(connection, await connection.offer())
                    starting.deadline = math.inf
                    await self._serve(connection)
        except McpFailure as failure:
            return str(failure)
        except TimeoutError:
            return f"it did not answer within {self._limits.connect_timeout_s:g} s"
        return None if self._restart.is_set() else "the connection was lost"

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator["Connection"]:
        sdk = await anyio.to_thread.run_sync(importlib.import_module, _SDK)
        callbacks = sdk.Callbacks(self.name, self._roots, self._elicit, self._patience.waiting)
        entry = self._declaration.entry
        opened: AbstractAsyncContextManager[Connection]
        match entry:
            case StdioServer():
                argv = (self._program(entry.command), *entry.args)
                folder = self._declaration.folder
                place = self._place.showing(*([folder] if folder is not None else []))
                place = msgspec.structs.replace(place, env={**place.env, **entry.env})
                opened = sdk.stdio_connection(argv, place, callbacks, self.secrets)
            case HttpServer():
                opened = sdk.http_connection(entry, callbacks)
        async with opened as connection:
            yield connection

    def _program(self, command: str) -> str:
        try:
            return program_path(command, self._place.env, self._declaration.folder)
        except FileNotFoundError as error:
            raise McpFailure(str(error)) from error

    async def _serve(self, connection: "Connection") -> None:
        """Follow what the server offers until it is lost or to be restarted."""
        async with anyio.create_task_group() as group:

            async def until(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            group.start_soon(until, connection.lost)
            group.start_soon(until, self._restart)
            while True:
                await connection.changed.wait()
                connection.changed = anyio.Event()
                with anyio.move_on_after(self._limits.connect_timeout_s):
                    self._up(connection, await connection.offer())

    def _up(self, connection: "Connection", offer: Offer) -> None:
        self._connection = connection
        self.offer = offer
        self._status = "running"
        self._error = None
        self._tell()

    def _down(self, error: str | None, *, for_good: bool) -> None:
        self._forget()
        if for_good:
            self.offer = Offer()
        self._status = "failed" if for_good else "restarting"
        self._error = error
        if error is not None:
            _log.info("MCP server %s: %s", self.name, error)
        self._tell()

    def _forget(self) -> None:
        self._connection = None
        if self._available.is_set():
            self._available = anyio.Event()

    def _tell(self) -> None:
        self.settled.set()
        if self._status in ("running", "failed"):
            self._available.set()
        self._changed()

    async def _wait(self, failures: int) -> None:
        """Wait for the time of the next start, or for somebody who wants it now."""
        if self._status == "failed":
            await self._restart.wait()
            self._status = "restarting"
            self._available = anyio.Event()
            self._changed()
            return
        pause_s = min(self._limits.backoff_s * 2 ** (failures - 1), self._limits.backoff_max_s)
        with anyio.move_on_after(pause_s * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads starts
            await self._restart.wait()

    @asynccontextmanager
    async def _calling(self) -> AsyncGenerator["Connection"]:
        going = self._connection is not None and (self._connection.lost.is_set() or self._restart.is_set())
        if going:
            self._forget()  # Its owner has not come to it yet.
        with anyio.move_on_after(self._limits.wait_s):
            await self._available.wait()
        connection = self._connection
        if connection is None:
            reason = f": {self._error}" if self._error else ""
            raise McpFailure(f"the MCP server {self.name} is not running{reason}", kind="mcp_unavailable")
        timeout_s = self._limits.call_timeout_s
        with anyio.move_on_after(timeout_s) as scope, self._patience.of(scope):
            yield connection
        if scope.cancelled_caught:
            raise McpFailure(
                f"the MCP server {self.name} did not answer within {timeout_s:g} s", kind="timeout"
            )


class _Patience:
    """Time-outs that stand still while a person is asked."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._left_s: dict[anyio.CancelScope, float] = {}  # While a person is asked: what each still had.
        self._asked = 0

    def waiting(self, begins: bool) -> None:
        self._asked += 1 if begins else -1
        if begins and self._asked == 1:
            now = anyio.current_time()
            self._left_s = {scope: scope.deadline - now for scope in self._scopes}
            for scope in self._scopes:
                scope.deadline = math.inf
        elif not begins and self._asked == 0:
            for scope, left_s in self._left_s.items():
                scope.deadline = anyio.current_time() + left_s
            self._left_s = {}

    @contextmanager
    def of(self, scope: anyio.CancelScope) -> Generator[None]:
        self._scopes.add(scope)
        if self._asked:
            self._left_s[scope] = scope.deadline - anyio.current_time()
            scope.deadline = math.inf
        try:
            yield
        finally:
            self._scopes.discard(scope)
            self._left_s.pop(scope, None)
