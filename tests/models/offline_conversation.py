"""Talks to the offline model as a run's loop does: responses, tool results, the next response."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from holdfast_daemon.execution.executor import Executor, PreparedCall
from holdfast_daemon.models.base import (
    AssistantMessage,
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Message,
    ModelOptions,
    StepCompleted,
    StepEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.offline import OfflineModel
from holdfast_daemon.tools.base import ToolContext, ToolResult
from holdfast_protocol.content import TextBlock


def prompt(text: str) -> UserMessage:
    return UserMessage(content=(TextBlock(text=text),))


def stream(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncIterator[StepEvent]:
    return OfflineModel().stream(tuple(messages), tuple(tools), "", ModelOptions())


async def respond(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[StepEvent]:
    return [event async for event in stream(messages, tools)]


def check(events: Sequence[StepEvent]) -> None:
    """Assert that a stream is well formed: start, deltas, end per block, and completion last."""
    still_open: set[int] = set()
    started: set[int] = set()
    for event in events[:-1]:
        match event:
            case BlockStarted():
                assert event.index not in started
                started.add(event.index)
                still_open.add(event.index)
            case BlockDelta():
                assert event.index in still_open
                assert event.text
            case BlockEnded():
                still_open.remove(event.index)
            case StepCompleted():
                raise AssertionError("completed before the end")
    assert not still_open
    assert isinstance(events[-1], StepCompleted)


def message_of(events: Sequence[StepEvent]) -> AssistantMessage:
    """Build the message a response becomes in the history."""
    starts = [event for event in events if isinstance(event, BlockStarted)]
    return AssistantMessage(parts=tuple(_part(start, events) for start in starts))


def _part(start: BlockStarted, events: Sequence[StepEvent]) -> TextPart | ThinkingPart | ToolCallPart:
    text = "".join(e.text for e in events if isinstance(e, BlockDelta) and e.index == start.index)
    match start.kind:
        case "text":
            return TextPart(text=text)
        case "thinking":
            return ThinkingPart(text=text)
        case "tool_input":
            assert start.tool is not None
            return ToolCallPart(tool_call_id=f"call-{start.index}", tool=start.tool, input_json=text)


def text_of(message: AssistantMessage) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


async def converse(text: str, executor: Executor, cwd: Path, steps_max: int = 50) -> list[Message]:
    """Run a prompt to its end, with the executor's real tools."""
    messages: list[Message] = [prompt(text)]
    for _ in range(steps_max):
        events = await respond(messages, executor.specs())
        check(events)
        response = message_of(events)
        messages.append(response)
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        if not calls:
            return messages
        results = [await _call(executor, call, cwd) for call in calls]
        messages.append(ToolResultsMessage(results=tuple(results)))
    raise AssertionError(f"more than {steps_max} steps")


async def _call(executor: Executor, call: ToolCallPart, cwd: Path) -> ToolResultPart:
    prepared = executor.prepare(call.tool, call.input_json, str(cwd))
    if not isinstance(prepared, PreparedCall):
        return _failed(call, prepared.error.message)
    context = ToolContext(
        tool_call_id=call.tool_call_id,
        cwd=str(cwd),
        roots=(str(cwd),),
        env={"PATH": "/usr/bin:/bin"},
        output=_ignore,
    )
    outcome = await executor.session().run(prepared, context)
    if not isinstance(outcome, ToolResult):
        return _failed(call, outcome.message)
    return ToolResultPart(tool_call_id=call.tool_call_id, tool=call.tool, content=outcome.content)


def _failed(call: ToolCallPart, message: str) -> ToolResultPart:
    content = (TextBlock(text=message),)
    return ToolResultPart(tool_call_id=call.tool_call_id, tool=call.tool, content=content, is_error=True)


async def _ignore(text: str) -> None:
    del text
