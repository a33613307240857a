"""Models, agents and tools that do what a test says."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import anyio
import msgspec

from holdfast_daemon.agents.base import Agent, NoContext, RunContext
from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Message,
    ModelOptions,
    StepCompleted,
    StepEvent,
    ToolSpec,
)
from holdfast_daemon.models.catalogue import Catalogue, CatalogueEntry
from holdfast_daemon.tools.base import ToolContext, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, StopReason, Usage
from holdfast_protocol.methods.catalogue import ModelInfo

NAME = "test/scripted"

USAGE = Usage(input=10, output=5)

Part = StepEvent | Callable[[], Awaitable[None]] | BaseException
"""What a step consists of: an event, something to wait for, or a failure."""


def done(stop_reason: StopReason = "end_turn") -> StepCompleted:
    return StepCompleted(stop_reason=stop_reason, usage=USAGE)


def block(text: str, index: int = 0, *, pieces: int = 1, kind: Any = "text") -> list[Part]:
    """Give a block that streams its text in so many deltas."""
    size = -(-len(text) // pieces) or 1
    deltas = [BlockDelta(index=index, text=text[at : at + size]) for at in range(0, len(text), size)]
    return [BlockStarted(index=index, kind=kind), *deltas, BlockEnded(index=index)]


def call(tool: str, tool_input: Any = None, index: int = 0) -> list[Part]:
    """Give a block that calls a tool."""
    text = msgspec.json.encode(tool_input or {}).decode()
    return [
        BlockStarted(index=index, kind="tool_input", tool=tool),
        BlockDelta(index=index, text=text),
        BlockEnded(index=index),
    ]


def say(text: str) -> list[Part]:
    """Give a step that says something and calls nothing."""
    return [*block(text), done()]


class ScriptedModel:
    """Plays steps one after the other, over all sessions and runs; then says `over`.

    Attributes:
        asked: the conversations it was shown, in order.
    """

    def __init__(self, *steps: Sequence[Part]) -> None:
        self.steps = list(steps)
        self.asked: list[tuple[Message, ...]] = []

    info = ModelInfo(name=NAME, provider="test", description="Plays what a test says.")

    async def stream(
        self,
        messages: tuple[Message, ...],
        _tools: tuple[ToolSpec, ...],
        _system: str,
        _options: ModelOptions,
    ) -> AsyncGenerator[StepEvent]:
        self.asked.append(messages)
        step = self.steps.pop(0) if self.steps else say("over")
        for part in step:
            if isinstance(part, BaseException):
                raise part
            if callable(part):
                await part()
            else:
                yield part

    def catalogue(self) -> Catalogue:
        return Catalogue(NAME, (CatalogueEntry(info=self.info, make=lambda: self),))


class FakeAgent(Agent[NoContext]):
    """An agent that does what a function says."""

    description = "For tests."

    def __init__(self, name: str, drive: Callable[[RunContext], AsyncGenerator[StepEvent]]) -> None:
        super().__init__(NoContext(), name=name)
        self._drive = drive

    def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        return self._drive(session)


class AnyInput(msgspec.Struct):
    """What a tool of the tests takes."""

    value: str = ""


class FakeTool:
    """A tool that does what a function says; keeps the contexts of its calls."""

    description = "For tests."
    kind: Any = "other"
    input_type = AnyInput

    def __init__(self, name: str, work: Callable[[AnyInput, ToolContext], Awaitable[str]]) -> None:
        self.name = name
        self.contexts: list[ToolContext] = []
        self._work = work

    def title(self, tool_input: AnyInput) -> str:
        return f"{self.name} {tool_input.value}"

    def locations(self, _tool_input: AnyInput, _cwd: str) -> tuple[Location, ...]:
        return ()

    async def run(self, tool_input: AnyInput, context: ToolContext) -> ToolResult:
        self.contexts.append(context)
        text = await self._work(tool_input, context)
        return ToolResult(content=(TextBlock(text=text),))


class Stage:
    """A place a script comes to and waits at until the test lets it go on."""

    def __init__(self) -> None:
        self._reached = anyio.Event()
        self._go = anyio.Event()
        self.cancelled = False

    async def __call__(self) -> None:
        self._reached.set()
        try:
            await self._go.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise

    async def reached(self) -> None:
        with anyio.fail_after(10):
            await self._reached.wait()

    def go(self) -> None:
        self._go.set()
