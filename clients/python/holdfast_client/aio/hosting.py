"""Runs the tools this client hosts for sessions: registers them, takes calls, sends output and results.

A call belongs to the connection it came over: if that is lost, the daemon has failed it, and what runs here
is cancelled. Tools are registered again on the next connection before any other call passes.
"""

import functools
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from holdfast_client.aio.caller import Caller
from holdfast_client.aio.foreign_code import foreign_code
from holdfast_client.aio.rpc import Rpc, decode_result
from holdfast_client.core.back_off import BackOff
from holdfast_client.core.hosted import Function, HostedFunction, Tool, content_of
from holdfast_client.errors import ClientError
from holdfast_protocol.content import ContentBlock
from holdfast_protocol.errors import Conflict, RpcError
from holdfast_protocol.methods.catalogue import (
    ToolCallParams,
    ToolCompleteParams,
    ToolOutputParams,
    ToolOutputResult,
    ToolRegisterParams,
    ToolRegisterResult,
)

_logger = logging.getLogger(__name__)

CALLS_MAX: Final = 64
"""Calls run at once; more wait. The daemon itself makes fewer at a time."""

OUTPUT_CHARS_MAX: Final = 262_144
"""Of one `tool/output`; longer pieces are sent in several."""

ERROR_CHARS_MAX: Final = 16_384

TAKE_OVER_TRIES: Final = 8
"""How often a name is asked for that our own lost connection may still hold in the daemon's eyes."""

_END: Final = object()

_call_decoder = msgspec.json.Decoder(ToolCallParams)

_Key = tuple[str, str]
"""Session and tool call."""

current_call: ContextVar[ToolCallParams | None] = ContextVar("current_call", default=None)
"""The call a hosted tool is running for, in the tool's own context; None elsewhere."""


class Hosting:
    """One client's hosted tools. One owner.

    Args:
        caller: the client's.
        rpc: the client's.
        tasks: where calls run.
    """

    def __init__(self, caller: Caller, rpc: Rpc, tasks: TaskGroup) -> None:
        self._caller = caller
        self._rpc = rpc
        self._tasks = tasks
        self._sessions: dict[str, dict[str, HostedFunction]] = {}  # Those that were ever hosted for.
        self._running: dict[_Key, anyio.CancelScope] = {}
        self._places = anyio.CapacityLimiter(CALLS_MAX)
        self._threads = anyio.CapacityLimiter(CALLS_MAX)

    @property
    def running(self) -> int:
        """How many calls run."""
        return len(self._running)

    async def host(self, session_id: str, tools: Mapping[str, Tool | Function]) -> int:
        """Host tools for a session; replaces those this client hosted there. None of them: host no more.

        Raises:
            TypeError: a function cannot be a tool.
            RpcError: the daemon refuses them: another client hosts one of that name, or there are too many.
        """
        functions = {name: HostedFunction(name, tool) for name, tool in tools.items()}
        params = _registration(session_id, functions)
        before = self._sessions.get(session_id)
        self._sessions[session_id] = functions
        try:
            return (await self._rpc.perform("tool/register", params, ToolRegisterResult)).registered
        except RpcError:
            if before is None:
                del self._sessions[session_id]
            else:
                self._sessions[session_id] = before
            raise

    async def restore(self, number: int) -> None:
        """Register everything on a new connection. Never raises: a session that is gone has no tools."""
        for session_id, functions in list(self._sessions.items()):
            if not functions:
                continue
            try:
                await self._register_again(_registration(session_id, functions), number)
            except RpcError as error:
                _logger.warning("the tools of session %s are not hosted any more: %s", session_id, error)
                self._sessions[session_id] = {}
            except ClientError:
                return  # The connection is gone; the next one restores.

    def lost(self) -> None:
        """The connection is gone: so are its calls."""
        for scope in self._running.values():
            scope.cancel()

    def take_call(self, params: msgspec.Raw) -> None:
        """Take a `tool/call`; one of a tool that the program registered by itself is the program's."""
        call = _call_decoder.decode(params)
        if call.session_id not in self._sessions:
            return
        key = (call.session_id, call.tool_call_id)
        running = self._running.get(key)
        if call.cancelled:
            if running is not None:
                running.cancel()
        elif running is None:
            self._running[key] = scope = anyio.CancelScope()
            self._tasks.start_soon(self._run, call, self._caller.number, scope)

    # Registering ---------------------------------------------------------------------------------------

    async def _register_again(self, params: ToolRegisterParams, number: int) -> None:
        back_off = BackOff(random.random)
        for tries_left in reversed(range(TAKE_OVER_TRIES)):
            try:
                await self._caller.perform("tool/register", params, bound_to=number, early=True)
            except Conflict:
                if not tries_left:
                    raise
                await anyio.sleep(back_off.next_s())
            else:
                return

    # Running -------------------------------------------------------------------------------------------

    async def _run(self, call: ToolCallParams, number: int, scope: anyio.CancelScope) -> None:
        """Run one call to its end; the daemon is told, unless it took the call back."""
        current_call.set(call)  # The task is this call's alone.
        try:
            with scope:
                async with self._places:
                    done = await self._outcome(call, number)
                await self._complete(done, number)
        finally:
            del self._running[call.session_id, call.tool_call_id]

    async def _outcome(self, call: ToolCallParams, number: int) -> ToolCompleteParams:
        function = self._sessions.get(call.session_id, {}).get(call.tool)
        if function is None:
            return _failed(call, f"This client does not host {call.tool}.")
        try:
            with foreign_code():
                result = await self._call(function, function.bind(call.input), call, number)
        except Exception as error:
            _logger.info("tool %s failed", call.tool, exc_info=error)
            return _failed(call, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        return ToolCompleteParams(session_id=call.session_id, tool_call_id=call.tool_call_id, result=result)

    async def _call(
        self, function: HostedFunction, arguments: dict[str, Any], call: ToolCallParams, number: int
    ) -> tuple[ContentBlock, ...]:
        if function.streams:
            pieces: list[str] = []
            async for piece in self._pieces(function, arguments):
                pieces.append(str(piece))
                if not await self._output(call, pieces[-1], number):
                    break
            return content_of("".join(pieces))
        if function.is_async:
            return content_of(await function.function(**arguments))
        return content_of(await self._in_thread(functools.partial(function.function, **arguments)))

    async def _pieces(self, function: HostedFunction, arguments: dict[str, Any]) -> AsyncIterator[Any]:
        """Iterate a generator of either kind; a sync one step by step in a thread."""
        if function.streams_async:
            generator: AsyncGenerator[Any, None] = function.function(**arguments)
            try:
                async for piece in generator:
                    yield piece
            finally:
                await generator.aclose()
            return
        steps: Iterator[Any] = function.function(**arguments)
        while (piece := await self._in_thread(functools.partial(next, steps, _END))) is not _END:
            yield piece

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """Run sync code; if its call is cancelled it goes on, and nobody looks at what it gives."""
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)

    async def _output(self, call: ToolCallParams, text: str, number: int) -> bool:
        """Send output; False if nobody wants more."""
        for start in range(0, len(text), OUTPUT_CHARS_MAX):
            params = ToolOutputParams(
                session_id=call.session_id,
                tool_call_id=call.tool_call_id,
                text=text[start : start + OUTPUT_CHARS_MAX],
            )
            answer = await self._caller.perform("tool/output", params, bound_to=number)
            if not decode_result("tool/output", answer, ToolOutputResult).running:
                return False
        return True

    async def _complete(self, done: ToolCompleteParams, number: int) -> None:
        try:
            await self._caller.perform("tool/complete", done, bound_to=number)
        except RpcError as refused:
            if done.error is None:  # Too large, for example: the model is told so.
                await self._complete(_failed(done, f"The result was refused: {refused.message}"), number)
            else:
                _logger.info("the end of tool call %s was refused: %s", done.tool_call_id, refused)
        except ClientError as lost:
            _logger.info("tool call %s ended without a connection: %s", done.tool_call_id, lost)


def _registration(session_id: str, functions: Mapping[str, HostedFunction]) -> ToolRegisterParams:
    tools = tuple(function.registration for function in functions.values())
    return ToolRegisterParams(session_id=session_id, tools=tools)


def _failed(call: ToolCallParams | ToolCompleteParams, why: str) -> ToolCompleteParams:
    return ToolCompleteParams(
        session_id=call.session_id, tool_call_id=call.tool_call_id, error=why[:ERROR_CHARS_MAX]
    )
