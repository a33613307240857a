"""The process an agent of a plugin runs in; started by `agent_process`, nothing of the daemon is in here.

    agent_worker FOLDER        says what classes are, as `extensions.skill_worker` says it of functions:
                               {"do": "describe", "agents": [{target, context}]}
                               → {"described": [{description} | {error, path}]}
    agent_worker FOLDER run    drives one run by the lines of `agent_wire` and ends

Whatever the agent prints goes nowhere but the first of it, which is shown if the process ends too early.
"""

import asyncio
import contextlib
import importlib
import inspect
import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, BinaryIO, Final, cast

import msgspec

from holdfast_daemon.agents.agent_wire import (
    Begin,
    CallTools,
    Close,
    Ended,
    FromAgent,
    Next,
    Open,
    Reply,
    Shown,
    ToAgent,
    Told,
    WireMessage,
    message_of,
    step_event,
    wire_event,
    wire_message,
)
from holdfast_daemon.agents.base import Agent, StepsExhausted, Unshown, context_type
from holdfast_daemon.extensions import skill_worker
from holdfast_daemon.models.base import Message, ModelError, ModelOptions, StepCompleted, StepEvent, ToolSpec
from holdfast_protocol.methods.catalogue import ModelInfo

_PRINTED_BYTES_MAX: Final = 32 * 1024  # What a pipe holds that nobody reads.
_DESCRIPTION_CHARACTERS_MAX: Final = 4096
_LINE_BYTES_MAX: Final = 1024**3  # Of the daemon's lines, which are trusted.
_TO_AGENT: Final = msgspec.json.Decoder(ToAgent)


class BadAgent(Exception):
    """A class cannot be an agent; `path` is where in its context the mistake is, as `.words`."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


def main(folder: str, *, runs: bool) -> None:
    """Serve as the module says."""
    if not runs:
        skill_worker.main(folder, _described)
        return
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    _take_prints()
    os.register_at_fork(after_in_child=lambda: (os.close(requests), os.close(answers)))
    sys.path.insert(0, folder)
    asyncio.run(_run(os.fdopen(requests, "rb", closefd=False), answers))


def _take_prints() -> None:
    """Let the agent print without end: the first of it goes to stderr, the rest nowhere."""
    printed, printing = os.pipe()
    shown = os.dup(2)
    os.set_blocking(shown, False)
    os.dup2(printing, 1)
    os.dup2(printing, 2)
    os.close(printing)

    def take() -> None:
        room = _PRINTED_BYTES_MAX
        while data := os.read(printed, 65536):
            with contextlib.suppress(OSError):
                os.write(shown, data[:room])
            room -= len(data[:room])

    threading.Thread(target=take, daemon=True).start()


def _write(descriptor: int, data: bytes) -> None:
    """Write all of it; waits for the daemon, which is what slows an agent down that is too fast."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


# What a class is -------------------------------------------------------------------------------------------


def _described(request: dict[str, Any]) -> dict[str, Any]:
    return {"described": [_described_one(each["target"], each["context"]) for each in request["agents"]]}


def _described_one(target: str, context: dict[str, Any]) -> dict[str, Any]:
    try:
        agent = made(target, context)
        description = inspect.getdoc(type(agent)) or ""
    except BadAgent as error:
        return {"error": str(error), "path": error.path}
    except BaseException as error:  # noqa: BLE001 - foreign code runs while it is imported and made
        return {"error": skill_worker.told(error)}
    own = agent.description or description.partition("\n\n")[0]
    return {"description": " ".join(own.split())[:_DESCRIPTION_CHARACTERS_MAX]}


def made(target: str, context: dict[str, Any]) -> Agent[Any]:
    """Import a class and make an agent of it.

    Raises:
        BadAgent: it is none, or the context is not its.
    """
    module_name, _, name = target.partition(":")
    found = getattr(importlib.import_module(module_name), name, None)
    if found is None:
        raise BadAgent(f"the module {module_name} has no `{name}`")
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise BadAgent(f"`{name}` is no class that stands on `holdfast_daemon.agents.base.Agent`")
    agent = cast("type[Agent[Any]]", found)
    if inspect.isabstract(agent):
        raise BadAgent(f"`{name}` has no `run`")
    if inspect.iscoroutinefunction(agent.run):
        raise BadAgent(f"`{name}.run` yields nothing")
    return agent(_context(agent, context))


def _context(agent: type[Agent[Any]], raw: dict[str, Any]) -> msgspec.Struct:
    wanted = context_type(agent)
    known = wanted.__struct_encode_fields__
    for key in raw:
        if key not in known:
            raise BadAgent(f"unknown key; there are: {', '.join(known) or 'none'}", f".{key}")
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise BadAgent(message, place.rstrip("`")) from error


# A run -----------------------------------------------------------------------------------------------------


async def _run(reading: BinaryIO, answers: int) -> None:
    """Drive the run, say how it ended, and end the process."""
    reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reading)
    channel = _Channel(reader, answers)
    channel.say(await _ended(channel))
    os._exit(0)  # Tasks and threads the agent left are waited for by nobody.


async def _ended(channel: "_Channel") -> Ended:
    """Drive the run; give how it ended."""
    try:
        begin = await channel.receive()
        assert isinstance(begin, Begin)
        await channel.answer(0)
        agent = made(begin.target, begin.context)
        async with aclosing(agent.run(_Session(begin, channel))) as stream:
            async for event in stream:
                await channel.show(event)
    except ModelError as error:
        return Ended(error=error.info)
    except StepsExhausted:
        return Ended(exhausted=True)
    except BaseException as error:  # noqa: BLE001 - foreign code; whatever it raises is how it ended
        return Ended(bug=skill_worker.told(error))
    return Ended()


class _Channel:
    """The lines. One exchange at a time: who waits for an answer keeps all others from speaking."""

    def __init__(self, reader: asyncio.StreamReader, answers: int) -> None:
        self.messages: list[Message] = []
        self.tools: tuple[ToolSpec, ...] = ()
        self._reader = reader
        self._answers = answers
        self._turn = asyncio.Lock()
        self._numbers = 0

    def number(self) -> int:
        """Give a number nothing else has."""
        self._numbers += 1
        return self._numbers

    async def receive(self) -> ToAgent:
        """Give the daemon's next line."""
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            os._exit(0)  # The daemon is gone; so is the run.
        return _TO_AGENT.decode(line)

    def say(self, line: FromAgent) -> None:
        """Say something that has no answer."""
        _write(self._answers, msgspec.json.encode(line) + b"\n")

    async def speak(self, line: FromAgent) -> None:
        """Say something that has no answer, in turn."""
        async with self._turn:
            self.say(line)

    async def exchange(self, line: Shown | Next | CallTools) -> Reply:
        """Say something and wait for its answer."""
        async with self._turn:
            self.say(line)
            return await self.answer(line.id)

    async def answer(self, number: int) -> Reply:
        """Wait for an answer; takes what the daemon tells before it."""
        while True:
            match await self.receive():
                case Told() as told:
                    del self.messages[told.keep :]
                    self.messages.extend(map(message_of, told.messages))
                    self.tools = self.tools if told.tools is None else told.tools
                case Reply() as reply if reply.id == number:
                    return reply
                case _:
                    pass  # The answer to somebody who waits no more.

    async def show(self, event: object) -> None:
        """Show an event the agent yielded; a step's end only once it is in the log."""
        if not isinstance(event, StepEvent):
            raise TypeError(f"an agent yields step events, not {type(event).__name__}")
        if isinstance(event, StepCompleted):
            await self.exchange(Shown(event=wire_event(event), id=self.number()))
        else:
            await self.speak(Shown(event=wire_event(event)))


class _Session:
    """The run as the agent sees it. Implements `RunContext`."""

    def __init__(self, begin: Begin, channel: _Channel) -> None:
        self.model = _Model(begin.model, channel)
        self.options = begin.options
        self.steps_max = begin.steps_max
        self.resumed = begin.resumed
        self.instructions = begin.instructions
        self.cwd = begin.cwd
        self._channel = channel

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self._channel.tools

    def messages(self) -> tuple[Message, ...]:
        return tuple(self._channel.messages)

    async def call_tools(self) -> int:
        return (await self._channel.exchange(CallTools(id=self._channel.number()))).count

    async def keep_to_budget(self, unshown: Unshown) -> None:
        """Nothing: the daemon does, before each response, and knows better what was used."""


class _Model:
    """The run's model, which the daemon asks. Implements `Model`."""

    def __init__(self, info: ModelInfo, channel: _Channel) -> None:
        self.info = info
        self._channel = channel

    async def stream(
        self, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], system: str, options: ModelOptions
    ) -> AsyncGenerator[StepEvent]:
        channel = self._channel
        stream = channel.number()
        opened = Open(
            stream=stream,
            messages=_by_number(messages, channel.messages),
            tools=_by_name(tools, channel.tools),
            system=system,
            options=options,
        )
        await channel.speak(opened)
        reply: Reply | None = None
        try:
            while True:
                reply = None
                reply = await channel.exchange(Next(id=channel.number(), stream=stream))
                if reply.error is not None:
                    raise ModelError(reply.error)
                if reply.event is None:
                    return
                yield step_event(reply.event)
        finally:
            if reply is None or reply.event is not None:
                channel.say(Close(stream=stream))


def _by_number(messages: tuple[Message, ...], told: list[Message]) -> tuple[int | WireMessage, ...]:
    """Name messages the daemon has by their numbers, which only ever grow."""
    numbers = {id(message): at for at, message in enumerate(told)}
    found: list[int | WireMessage] = []
    last = -1
    for message in messages:
        at = numbers.get(id(message), -1)
        found.append(at if at > last else wire_message(message))
        last = max(at, last)
    return tuple(found)


def _by_name(tools: tuple[ToolSpec, ...], told: tuple[ToolSpec, ...]) -> tuple[str | ToolSpec, ...]:
    known = {tool.name: tool for tool in told}
    return tuple(tool.name if known.get(tool.name) == tool else tool for tool in tools)


if __name__ == "__main__":
    main(sys.argv[1], runs=sys.argv[2:] == ["run"])
