"""Runs tool calls: checks the input, bounds time, number and size, keeps one call's error from all else.

Knows nothing of sessions, permissions or events: whoever calls decides whether a prepared call may run, and
turns results into events. Cancelling a call ends everything it started before the cancellation goes on.
"""

import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec

from holdfast_daemon.config import ExecutionLimits
from holdfast_daemon.execution.bounded_result import bound_result
from holdfast_daemon.execution.excerpt import excerpt, sayable
from holdfast_daemon.execution.foreign_code import is_cancelled
from holdfast_daemon.execution.input_schema import BadInput, convert_input, input_schema, parse_input
from holdfast_daemon.execution.kept_results import WholeResult
from holdfast_daemon.execution.seen_files import SeenFiles
from holdfast_daemon.models.base import ToolSpec
from holdfast_daemon.tools.base import Tool, ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import ErrorInfo, Json, Location, ToolKind

_MESSAGE_BYTES_MAX: Final = 8 * 1024  # An error's message is shown whole in every client.

_log = logging.getLogger(__name__)


class PreparedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose tool exists and whose input fits it.

    Attributes:
        tool: what runs.
        tool_input: an instance of the tool's input type.
        raw_input: the same as JSON, for the log and for people.
        title: what the call does, in a few words.
        kind: the tool's kind.
        locations: the places it looks at or changes.
        timeout_s: how long it may run.
    """

    tool: Tool
    tool_input: Any
    raw_input: Json
    title: str
    kind: ToolKind
    locations: tuple[Location, ...]
    timeout_s: float


class ToolRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A call that cannot run: kind `unknown_tool` or `invalid_input`.

    Attributes:
        tool: the name the model used.
        raw_input: the input as JSON; as a string where it is none.
        error: why, in words the model can act on.
    """

    tool: str
    raw_input: Json
    error: ErrorInfo


class ExecutorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How full the executor is, or one session's share of it."""

    running: int
    running_max: int
    waiting: int


class Executor:
    """All tools of the daemon and the limits their calls share.

    Args:
        tools: each name once; or how to get them when the first session is made: they and their schemas take
            a good part of a start.
        limits: see `ExecutionLimits`.

    Raises:
        ValueError: two tools have one name.
        TypeError: a tool's input type has no plain schema.
    """

    def __init__(self, tools: Sequence[Tool] | Callable[[], Sequence[Tool]], limits: ExecutionLimits) -> None:
        self._make = tools if callable(tools) else lambda: tools
        self._limits = limits
        self._slots = anyio.CapacityLimiter(limits.calls_max)
        if not callable(tools):
            self.specs()

    @functools.cached_property
    def _tools(self) -> dict[str, Tool]:
        made = self._make()
        tools = {tool.name: tool for tool in made}
        if len(tools) != len(made):
            raise ValueError("two tools have one name")
        return tools

    @functools.cached_property
    def _specs(self) -> tuple[ToolSpec, ...]:
        return tuple(
            ToolSpec(name=t.name, description=t.description, input_schema=input_schema(t.input_type))
            for t in self._tools.values()
        )

    def specs(self) -> tuple[ToolSpec, ...]:
        """Give the tools as models are told of them, always in the same order."""
        return self._specs

    def kind_of(self, tool_name: str) -> ToolKind:
        """Give the kind of a tool of `specs`."""
        return self._tools[tool_name].kind

    def statistics(self) -> ExecutorStatistics:
        """Give how many calls run and how many wait for the daemon-wide limit."""
        return _statistics(self._slots)

    def prepare(
        self, tool_name: str, input_json: str, cwd: str, hosted: Mapping[str, Tool] | None = None
    ) -> PreparedCall | ToolRefusal:
        """Check a call. Has no effect.

        Args:
            tool_name: as the model wrote it.
            input_json: as the model wrote it; empty means `{}`.
            cwd: the session's directory, absolute; relative locations start there.
            hosted: tools that clients run for the session; they come before the daemon's.
        """
        raw_input: Json = input_json
        tool = (hosted or {}).get(tool_name) or self._tools.get(tool_name)
        try:
            raw_input = parse_input(input_json)
            if tool is None:
                names = (*self._tools, *(hosted or ()))
                return _refusal(tool_name, raw_input, "unknown_tool", _unknown(tool_name, names))
            tool_input = convert_input(raw_input, tool.input_type)
            timeout_s = self._timeout_s(tool, tool_input)
        except BadInput as error:
            return _refusal(tool_name, raw_input, "invalid_input", str(error))
        return PreparedCall(
            tool=tool,
            tool_input=tool_input,
            raw_input=raw_input,
            title=tool.title(tool_input),
            kind=tool.kind,
            locations=tool.locations(tool_input, cwd),
            timeout_s=timeout_s,
        )

    def session(self, results: Path | None = None) -> "SessionExecutor":
        """Give a new session's share. The executor keeps no reference to it.

        Args:
            results: where results are kept of which the model is shown a part; None keeps none.
        """
        return SessionExecutor(self._slots, self._limits, results)

    def _timeout_s(self, tool: Tool, tool_input: Any) -> float:
        """Give the time-out a call asks for in a field `timeout_s`, or the tool's own, or the default."""
        asked: float | None = getattr(tool_input, "timeout_s", None)
        if asked is None:
            own: float | None = getattr(tool, "timeout_s", None)
            return self._limits.timeout_s if own is None else min(own, self._limits.timeout_s_max)
        if not 0 < asked <= self._limits.timeout_s_max:
            raise BadInput(f"Expected 0 < timeout_s <= {self._limits.timeout_s_max:g} - at `$.timeout_s`")
        return asked


class SessionExecutor:
    """One session's share of an executor: its limit on calls at once, and what its tools have seen.

    Dropped with the session.
    """

    def __init__(
        self, daemon_slots: anyio.CapacityLimiter, limits: ExecutionLimits, results: Path | None = None
    ) -> None:
        self._daemon_slots = daemon_slots
        self._results = results
        self._limits = limits
        self._slots = anyio.CapacityLimiter(limits.calls_per_session_max)
        self._seen = SeenFiles(limits.seen_files_max)

    def statistics(self) -> ExecutorStatistics:
        """Give how many of the session's calls run or wait for the daemon, and how many wait here."""
        return _statistics(self._slots)

    async def run(self, prepared: PreparedCall, context: ToolContext) -> ToolResult | ErrorInfo:
        """Run a call that `prepare` gave, once there is room for it.

        A failed call is an `ErrorInfo`: the tool's own kind, `timeout`, or `tool_failed` for a bug in it.
        The time-out counts from the start, not from the wait for room. When cancelled, raises only after
        the tool has cleaned up.
        """
        async with self._place(prepared.tool):
            whole = WholeResult(self._results, context.tool_call_id, self._limits)
            output = _KeptOutput(context.output, self._limits.output_kept_chars_max, whole)
            context = msgspec.structs.replace(
                context,
                output=output.take,
                seen=self._seen,
                results=str(self._results) if self._results is not None else None,
            )
            try:
                outcome = await self._run_now(prepared, context, whole)
                await output.note_dropped()
                return _with_rest(outcome, await whole.keep())
            finally:
                await whole.drop()

    async def forget(self, tool_call_id: str) -> None:
        """Remove the whole of a call's result: what is shown of it is something else now."""
        if self._results is not None:
            whole = WholeResult(self._results, tool_call_id, self._limits)
            await anyio.to_thread.run_sync(whole.remove)

    @contextlib.asynccontextmanager
    async def _place(self, tool: Tool) -> AsyncGenerator[None]:
        """Wait for a place; a tool that only waits for others' calls takes none of theirs."""
        if getattr(tool, "waits", False):
            yield
            return
        borrower = object()  # Not the task: a tool may run other calls.
        async with _holding(self._slots, borrower), _holding(self._daemon_slots, borrower):
            yield

    async def _run_now(
        self, prepared: PreparedCall, context: ToolContext, whole: WholeResult
    ) -> ToolResult | ErrorInfo:
        try:
            with anyio.move_on_after(prepared.timeout_s):
                result = await prepared.tool.run(prepared.tool_input, context)
                bounded = bound_result(result, self._limits.result_bytes_max)
                if bounded.content != result.content and not whole.length:
                    await whole.take(_text_of(result))  # What was streamed is there already.
                return bounded
        except ToolFailure as failure:
            return ErrorInfo(kind=failure.kind, message=excerpt(str(failure), _MESSAGE_BYTES_MAX))
        except BaseException as bug:
            if is_cancelled(bug):
                raise
            _log.exception("tool %s failed", prepared.tool.name)
            message = f"the tool {prepared.tool.name} has a bug: {type(bug).__name__}"
            return ErrorInfo(kind="tool_failed", message=message)
        message = f"stopped after {prepared.timeout_s:g} s; a call may ask for more, up to "
        return ErrorInfo(kind="timeout", message=f"{message}{self._limits.timeout_s_max:g} s")


class _KeptOutput:
    """Passes a call's output on up to a limit and counts the rest."""

    def __init__(self, output: Callable[[str], Awaitable[None]], chars_max: int, whole: WholeResult) -> None:
        self._output = output
        self._whole = whole
        self._room = chars_max
        self._dropped = 0

    async def take(self, text: str) -> None:
        await self._whole.take(text)
        kept = sayable(text[: self._room])
        self._room -= len(kept)
        self._dropped += len(text) - len(kept)
        if kept:
            await self._output(kept)

    async def note_dropped(self) -> None:
        if self._dropped:
            await self._output(f"\n[{self._dropped} more characters of output were not kept]\n")


def _text_of(result: ToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextBlock))


def _with_rest(outcome: ToolResult | ErrorInfo, rest: str | None) -> ToolResult | ErrorInfo:
    """Say how the rest can be read, if there is one."""
    if rest is None:
        return outcome
    note = f"[all of it is kept: read `{rest}`, by lines]"
    if isinstance(outcome, ErrorInfo):
        return msgspec.structs.replace(outcome, message=f"{outcome.message} {note}")
    return msgspec.structs.replace(outcome, content=(*outcome.content, TextBlock(text=note)), truncated=True)


@contextlib.asynccontextmanager
async def _holding(limiter: anyio.CapacityLimiter, borrower: object) -> AsyncGenerator[None]:
    await limiter.acquire_on_behalf_of(borrower)
    try:
        yield
    finally:
        limiter.release_on_behalf_of(borrower)


def _unknown(tool_name: str, names: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415 - only after a mistake

    near = difflib.get_close_matches(tool_name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
    return f"there is no tool {tool_name[:128]!r}; {hint}"


def _statistics(slots: anyio.CapacityLimiter) -> ExecutorStatistics:
    return ExecutorStatistics(
        running=slots.borrowed_tokens,
        running_max=int(slots.total_tokens),
        waiting=slots.statistics().tasks_waiting,
    )


def _refusal(tool: str, raw_input: Json, kind: str, message: str) -> ToolRefusal:
    error = ErrorInfo(kind=kind, message=excerpt(message, _MESSAGE_BYTES_MAX))
    return ToolRefusal(tool=tool, raw_input=raw_input, error=error)
