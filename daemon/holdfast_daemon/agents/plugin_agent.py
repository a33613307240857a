"""An agent whose class a plugin brings, as an agent of ours: its code runs in a process of its own.

The process sees the session's directories and changes nothing in them, has no network and no keys: models are
asked and tools are run here, on its behalf, as for any agent. What a step used is what the models said, not
what the process says. When the run ends, however it does, the process and all it started are gone.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import anyio
import msgspec

from holdfast_daemon.agents.agent_process import IDLE_S, MESSAGE_CHARACTERS_MAX, AgentProcess, agent_failure
from holdfast_daemon.agents.agent_responses import AgentResponse, Spent
from holdfast_daemon.agents.agent_wire import (
    BadLine,
    Begin,
    CallTools,
    Close,
    Ended,
    Next,
    Open,
    Reply,
    Shown,
    step_event,
    wire_event,
)
from holdfast_daemon.agents.base import Agent, BudgetExhausted, RunContext, StepsExhausted
from holdfast_daemon.agents.told import ToldConversation
from holdfast_daemon.extensions.agent_classes import AgentClass
from holdfast_daemon.extensions.child import ChildPlace
from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    ModelError,
    RetryScheduled,
    StepCompleted,
    StepEvent,
)
from holdfast_protocol.events import ErrorInfo, StopReason, Usage

STREAMS_MAX: Final = 8
"""Responses of models under way at once, in one run."""

EVENTS_PER_STEP_MAX: Final = 1_000_000
"""A model that writes a token at a time, for hours, gives no more."""

NAME_MAX: Final = 256
"""Characters of the name of a tool or a provider."""


class PluginAgent(Agent[AgentClass]):
    """See the module.

    Args:
        context: which class, and what it is made with.
        place: where its process runs, `SessionExtensions.agent_place`; None: it can be looked at only.
        name: what sessions call it.
        idle_s: see `agent_process.IDLE_S`.
    """

    def __init__(
        self, context: AgentClass, place: ChildPlace | None, *, name: str, idle_s: float = IDLE_S
    ) -> None:
        super().__init__(context, name=name, description=context.description)
        self.model_override = context.model
        self.tool_patterns = context.tools
        self.mode_override = context.mode
        self._place = place
        self._idle_s = idle_s

    async def run(self, session: RunContext, /) -> AsyncGenerator[StepEvent]:
        """See `Agent.run`."""
        assert self._place is not None
        process = await AgentProcess.start(self.name, self.context.folder, self._place, self._idle_s)
        run = _Run(self, session, process)
        try:
            await process.tell(run.begin())
            await run.reply(Reply(id=0))
            async with aclosing(run.events()) as events:
                async for event in events:
                    yield event
        finally:
            with anyio.CancelScope(shield=True):
                await run.aclose()
                await process.end()


class _Run:
    """One run of one agent."""

    def __init__(self, agent: PluginAgent, session: RunContext, process: AgentProcess) -> None:
        self._agent = agent
        self._session = session
        self._process = process
        self._told = ToldConversation(session, agent.may_use)
        self._spent = Spent()
        self._streams: dict[int, AgentResponse] = {}
        self._opened = 0  # Responses of models the agent wanted.
        self._asked = 0  # Of these, for which a model was asked.
        self._budget_kept = False  # And no model was asked since.
        self._steps = 0  # That ended.
        self._events = 0  # Of the step under way; 0: none is.
        self._given_up = False  # The response that is waited for is wanted no more.

    def begin(self) -> Begin:
        session, declared = self._session, self._agent.context
        return Begin(
            target=declared.target,
            context=declared.context,
            model=session.model.info,
            options=session.options,
            steps_max=session.steps_max,
            resumed=session.resumed,
            instructions=session.instructions,
            cwd=session.cwd,
        )

    async def reply(self, reply: Reply) -> None:
        """Answer, after telling what is new in the conversation."""
        await self._process.tell(*self._told.news(), reply)

    async def aclose(self) -> None:
        """Let go of all models."""
        while self._streams:
            await self._streams.popitem()[1].aclose()

    async def events(self) -> AsyncGenerator[StepEvent]:
        """Give what the agent yields, and last what models used that it did not tell of."""
        try:
            async with aclosing(self._yielded()) as events:
                async for event in events:
                    yield event
        except ModelError as error:
            usage, cost = self._spent.take(error.usage, error.cost)
            raise ModelError(error.info, usage if usage != Usage() else None, cost) from error
        except (StepsExhausted, BudgetExhausted) as end:
            if self._events:  # In the middle of a step there is no place for another.
                end.usage, end.cost = self._spent.take()
            else:
                for event in self._spent.rest("end_turn"):
                    yield event
            raise

    async def _yielded(self) -> AsyncGenerator[StepEvent]:
        stop_reason: StopReason = "end_turn"
        while True:
            match await self._process.hear():
                case Shown() as shown:
                    event = self._event(shown)
                    yield event
                    if isinstance(event, StepCompleted):
                        stop_reason = event.stop_reason
                        await self.reply(Reply(id=shown.id))
                case Open() as line:
                    self._open(line)
                case Next() as line:
                    await self._next(line)
                case Close() as line:
                    await self._close(line.stream)
                case CallTools() as line:
                    count = await self._session.call_tools()
                    self._budget_kept = count > 0
                    await self.reply(Reply(id=line.id, count=count))
                case Ended() as line:
                    self._check_end(line)
                    for event in self._spent.rest(stop_reason):
                        yield event
                    return

    def _event(self, shown: Shown) -> StepEvent:
        """Check an event and count it; give it with what was really used."""
        event = self._made(shown)
        if not self._events and self._steps >= self._session.steps_max:
            raise StepsExhausted
        self._events += 1
        if self._events > EVENTS_PER_STEP_MAX:
            raise self._nonsense(f"more than {EVENTS_PER_STEP_MAX} events in one step")
        match event:
            case RetryScheduled():  # What it used is counted with the step.
                return msgspec.structs.replace(event, error=_bounded(event.error), usage=None, cost=None)
            case StepCompleted():
                self._events = 0
                self._steps += 1
                usage, cost = self._spent.take()
                detail = event.detail[:MESSAGE_CHARACTERS_MAX] if event.detail is not None else None
                return msgspec.structs.replace(event, usage=usage, cost=cost, detail=detail)
            case BlockStarted(tool=str(name)) | BlockEnded(provider=str(name)) if len(name) > NAME_MAX:
                raise self._nonsense(f"a name of {len(name)} characters")
            case _:
                return event

    def _made(self, shown: Shown) -> StepEvent:
        try:
            return step_event(shown.event)
        except BadLine as error:
            raise self._nonsense(str(error)) from error

    def _check_end(self, line: Ended) -> None:
        if line.error is not None:
            raise ModelError(_bounded(line.error))
        if line.bug is not None:
            raise agent_failure("agent_failed", f"{self._agent.name}: {line.bug}")
        if line.exhausted:
            raise StepsExhausted
        if self._events:
            raise self._nonsense("it ended in the middle of a step")

    def _nonsense(self, why: str) -> ModelError:
        return agent_failure("protocol", f"{self._agent.name} did what makes no sense: {why}.")

    # Models --------------------------------------------------------------------------------------------

    def _open(self, line: Open) -> None:
        if line.stream in self._streams or len(self._streams) >= STREAMS_MAX:
            raise self._nonsense(f"more than {STREAMS_MAX} responses at once, or one twice")
        if self._opened >= self._session.steps_max:
            raise StepsExhausted
        self._opened += 1
        try:
            messages, tools = self._told.messages(line.messages), self._told.tools(line.tools)
        except BadLine as error:
            raise self._nonsense(str(error)) from error
        wanted = AgentResponse(self._session.model, messages, tools, line.system, line.options)
        self._streams[line.stream] = wanted

    async def _next(self, line: Next) -> None:
        """Answer with the next event of a response, unless the agent wants it no more."""
        stream = self._streams.get(line.stream)
        if stream is None:
            raise self._nonsense("it wants more of a response that is over")
        if not stream.begun:
            await self._keep_to_budget()
            stream.begin()
            self._asked += 1
            self._budget_kept = False
        reply: Reply | None = None
        self._given_up = False
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, line.stream, group.cancel_scope)
                reply = await self._pulled(line, stream)
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            raise _sole(failures) from None
        if self._given_up or reply is None or reply.event is None:
            await self._close(line.stream)
        if reply is not None:
            await self._process.tell(reply)

    async def _keep_to_budget(self) -> None:
        """Before a model is asked: wait until the run may; nothing was used before the first time."""
        if self._budget_kept or not (self._asked or self._session.resumed):
            return
        shown = self._steps + (1 if self._events else 0)
        await self._session.keep_to_budget(self._spent.unshown(max(0, self._asked - shown)))

    async def _pulled(self, line: Next, stream: AgentResponse) -> Reply:
        try:
            event = await stream.next()
        except ModelError as error:
            stream.over = True
            self._spent.add(error.usage, error.cost)
            return Reply(id=line.id, error=error.info)
        match event:
            case None:
                stream.over = True
                return Reply(id=line.id)
            case StepCompleted():
                stream.over = True
                self._spent.add(event.usage, event.cost)
            case RetryScheduled():
                self._spent.add(event.usage, event.cost)
            case BlockDelta():
                stream.characters += len(event.text)
            case _:
                pass
        return Reply(id=line.id, event=wire_event(event))

    async def _watch(self, waits_for: int, scope: anyio.CancelScope) -> None:
        """While a model is waited for: see the process end, or close that response or another."""
        while True:
            line = await self._process.hear_whenever()
            if not isinstance(line, Close):
                raise self._nonsense("it spoke while an answer was due")
            if line.stream == waits_for:
                self._given_up = True
                scope.cancel()
                return
            await self._close(line.stream)

    async def _close(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None:
            await stream.aclose()
            if stream.begun and not stream.over:
                self._spent.guess(stream.estimate())


def _bounded(error: ErrorInfo) -> ErrorInfo:
    """Give an error as the process tells it, short enough for every client."""
    return ErrorInfo(
        kind=error.kind[:NAME_MAX],
        message=error.message[:MESSAGE_CHARACTERS_MAX],
        retryable=error.retryable,
        retry_after_ms=error.retry_after_ms,
        provider=error.provider[:NAME_MAX] if error.provider is not None else None,
        status=error.status,
        request_id=error.request_id[:NAME_MAX] if error.request_id is not None else None,
    )


def _sole(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the one failure of a group, or the first that is a failure of the run."""
    errors = [error for error in failures.exceptions if isinstance(error, ModelError)]
    return (errors or failures.exceptions)[0]
