"""Drives one run: the agent's step events into the log, tool calls, and the one terminal event.

Whatever ends the run (its end, an error, a cancellation, the daemon's stop), the driver closes what is open
and appends exactly one terminal event, in one transaction.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from enum import Enum
from secrets import token_hex
from typing import Any, NamedTuple

import anyio

from holdfast_daemon.agents.base import Agent, BudgetExhausted, StepsExhausted, Unshown
from holdfast_daemon.models.base import Message, Model, ModelError, ModelOptions, ToolSpec
from holdfast_daemon.sessions.budgets import (
    GO_ON,
    Allowance,
    Spent,
    budget_request,
    budget_request_id,
    numbered,
)
from holdfast_daemon.sessions.compaction import Compaction
from holdfast_daemon.sessions.consent import Consent, Unattended
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.model_output import Call, ModelOutput
from holdfast_daemon.sessions.plans import plan_request
from holdfast_daemon.sessions.run_hooks import RunHooks
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.sessions.run_setup import RunSetup
from holdfast_daemon.sessions.session_tools import SessionTools
from holdfast_daemon.sessions.summing_up import Around
from holdfast_daemon.sessions.tool_calls import ToolCalls
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable, TooLarge
from holdfast_protocol.events import Budget, Cost, ErrorInfo, Usage

_log = logging.getLogger(__name__)


class Stop(Enum):
    """Why a run was stopped from outside."""

    CANCEL = "cancel"
    INTERRUPT = "interrupt"


class ResumedRun(NamedTuple):
    """Where a run stood that waited for people when the daemon stopped; `waiting`: which tool calls do."""

    step: int
    usage: Usage
    cost: Cost | None
    waiting: tuple[str, ...] = ()


class Driver:
    """One run, from its start in the log to its terminal event. Implements `RunContext` for the agent.

    Args:
        log: the run's way into the log.
        agents: gives those there are, by name, once the run is set up.
        agent: the name of the one that drives it.
        models: gives a model by its name.
        model: answers it, if the agent wants no other.
        options: what the session asks of the model.
        prompt_id: of the prompt the run carries.
        setup: what comes before the agent.
        hooks: see its prompt and its end.
        compaction: keeps the conversation within the model's window.
        tools: what the model may call.
        cwd: the session's directory.
        steps_max: after so many steps the run ends with `max_steps`.
        output: the model's output.
        calls: the tool calls.
        consent: the session's modes and people.
        budget: what the run may use before it asks.
        resumed: the run waited for people through a restart.
    """

    def __init__(
        self,
        log: RunLog,
        agents: Callable[[], Mapping[str, Agent[Any]]],
        agent: str,
        models: Callable[[str], Model | None],
        model: Model,
        options: ModelOptions,
        prompt_id: str,
        setup: RunSetup,
        hooks: RunHooks,
        compaction: Compaction,
        tools: SessionTools,
        cwd: str,
        steps_max: int,
        output: ModelOutput,
        calls: ToolCalls,
        consent: Consent,
        budget: Budget | None,
        *,
        resumed: ResumedRun | None = None,
    ) -> None:
        self.model = model
        self.options = options
        self.cwd = cwd
        self.steps_max = steps_max
        self._prompt_id = prompt_id
        self._setup = setup
        self._hooks = hooks
        self._compaction = compaction
        self._tools = tools
        self._log = log
        self._agents = agents
        self._agent_name = agent
        self._agent: Agent[Any] | None = None
        self._models = models
        self._output = output
        self._calls = calls
        self._consent = consent
        self._allowance = Allowance(budget)
        self._resumed = resumed
        calls.expect(resumed.waiting if resumed is not None else ())
        self._history: History | None = None
        self._scope = anyio.CancelScope()
        self._stop: tuple[Stop, str] | None = None
        self._children_usage = Usage()
        self._children_cost = 0.0
        self._budget_questions = Counter[str]()  # How many there were already of each name.
        self._started = time.monotonic()
        self._waited_before_s = consent.waited_s

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._log.run_id

    @property
    def resumed(self) -> bool:
        """See `RunContext.resumed`."""
        return self._resumed is not None

    # RunContext ----------------------------------------------------------------------------------------

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """See `RunContext.tools`; tools of clients and servers come and go between steps."""
        return self._tools.specs()

    @property
    def instructions(self) -> str:
        """See `RunContext.instructions`."""
        return self._history.instructions if self._history is not None else ""

    def messages(self) -> tuple[Message, ...]:
        """See `RunContext.messages`."""
        assert self._history is not None
        return self._history.messages()

    async def call_tools(self) -> int:
        """See `RunContext.call_tools`."""
        calls = self._output.calls
        if calls:
            await self._calls.run(calls, resumed=self.resumed)
        if calls or self.resumed:
            await self._keep_to_window(between_steps=True)
            await self.keep_to_budget(Unshown())
            await self._take_steers()
        return len(calls)

    # For the session -----------------------------------------------------------------------------------

    def cancel(self, by: str) -> None:
        """Cancel the run. Never waits; may come before `drive`. The first stop counts."""
        self._halt(Stop.CANCEL, by)

    def interrupt(self, cause: str) -> None:
        """End the run because the daemon or its disk stops."""
        self._halt(Stop.INTERRUPT, cause)

    def cancel_tool_call(self, tool_call_id: str) -> bool:
        """Cancel one call and let the run go on; False if it is not running."""
        return self._calls.cancel(tool_call_id)

    async def drive(self, load_history: Callable[[], Awaitable[History]]) -> None:
        """Run to the terminal event.

        Args:
            load_history: gives the session's conversation, kept up to date by the session.

        Raises:
            StorageUnavailable: the terminal event could not be stored; recovery appends it.
        """
        terminal = await self._terminal_event(load_history)
        self._consent.agent_mode = None
        with anyio.CancelScope(shield=True):
            await self._log.commit(
                *self._output.closing_events(),
                *self._calls.closing_events(),
                *self._consent.closing_events(self.run_id, self._stop[1] if self._stop else "daemon"),
                terminal,
            )

    def _halt(self, stop: Stop, reason: str) -> None:
        if self._stop is None:
            self._stop = (stop, reason)
            self._scope.cancel()

    async def _terminal_event(self, load_history: Callable[[], Awaitable[History]]) -> events.Event:
        with self._scope:
            terminal = await self._run(load_history)
            await self._hooks.completed(terminal)
            return terminal
        if self._stop is not None and self._stop[0] is Stop.CANCEL:
            return events.RunCancelled(
                run_id=self.run_id,
                by=self._stop[1],
                usage=self._output.usage,
                cost=self._output.cost,
                duration_ms=self._duration_ms(),
            )
        return events.RunInterrupted(
            run_id=self.run_id,
            cause=self._stop[1] if self._stop else "stopped",
            usage=self._output.usage,
            cost=self._output.cost,
            duration_ms=self._duration_ms(),
        )

    async def _run(self, load_history: Callable[[], Awaitable[History]]) -> events.Event:
        try:
            await self._prepare(await load_history())
            plan_asked = self.resumed and await self._consent.asked_before(self._plan_request_id)
            while True:
                if not plan_asked:
                    await self._run_agent()
                if not await self._end_plan(asked=plan_asked):
                    break
                plan_asked = False
                self._resumed = None
        except ModelError as error:
            await self._output.spent(error.usage, error.cost)
            return self._failed(error.info)
        except (StepsExhausted, BudgetExhausted) as end:
            await self._output.spent(end.usage, end.cost)
            return self._completed("max_steps" if isinstance(end, StepsExhausted) else "budget")
        except Unattended:
            message = "The run needed an answer, and nobody was there to give it."
            return self._failed(ErrorInfo(kind="unattended", message=message))
        except TooLarge as error:
            return self._failed(ErrorInfo(kind=error.kind, message=error.message))
        except StorageUnavailable:
            raise
        except Exception:  # noqa: BLE001 - the session task's place: a bug of an agent ends its run
            incident = token_hex(4)
            _log.exception("run %s failed, incident %s", self.run_id, incident)
            message = f"A bug in the daemon; its log has incident {incident}."
            return self._failed(ErrorInfo(kind="internal_error", message=message))
        return self._completed(self._output.stop_reason)

    async def _prepare(self, history: History) -> None:
        self._history = history
        self._take_up(history)
        await self._setup.ready(history, resumed=self.resumed)
        self._take_agent()
        if self._resumed is None or not self._resumed.step:  # Else what follows came before the restart.
            await self._hooks.prompted(history, self._prompt_id)
            if not history.messages():  # The prompt that is to be continued was refused.
                raise ModelError(ErrorInfo(kind="bad_request", message="There is nothing to go on with."))
            await self._keep_to_window(between_steps=False)

    def _take_agent(self) -> None:
        """Find the agent, which a plugin may bring, and what it wants other than the session has.

        Raises:
            ModelError: there is no such agent, or no such model.
        """
        agents = self._agents()
        agent = agents.get(self._agent_name)
        if agent is None:
            raise _not_found(f"There is no agent {self._agent_name}; there are: {', '.join(agents)}.")
        self._agent = agent
        self._consent.agent_mode = agent.mode_override
        self._calls.limit_to(agent.may_use)
        if agent.model_override is not None and agent.model_override != self.model.info.name:
            model = self._models(agent.model_override)
            if model is None:
                raise _not_found(f"The agent {agent.name} wants the model {agent.model_override}.")
            self.model = model
            self._output.model_is(model.info.name)
            self._compaction.model_is(model)

    async def _take_steers(self) -> None:
        """Let steering prompts enter the conversation, those that the hooks let pass."""
        if waiting := self._consent.steers():
            passed = await self._hooks.steered(waiting)
            await self._consent.deliver_steers(self.run_id, self._output.step + 1, passed)

    async def _run_agent(self) -> None:
        assert self._agent is not None
        async with aclosing(self._agent.run(self)) as stream:
            async for event in stream:
                await self._output.receive(event)

    def _take_up(self, history: History) -> None:
        """Set the output to where a run that waited through a restart stood."""
        if self._resumed is None:
            return
        step = self._resumed.step
        calls = [Call(part.tool_call_id, part.tool, part.input_json, step) for part in history.unanswered()]
        self._output.resume(step, calls, self._resumed.usage, self._resumed.cost)

    # The model's window ---------------------------------------------------------------------------------

    async def _keep_to_window(self, *, between_steps: bool) -> None:
        """Sum the conversation up if it nears the model's window: all of it, or what came before the run."""
        history = self._history
        assert history is not None
        if not self._compaction.due(history):
            return
        upto = history.position if between_steps else history.run_seq - 1
        usage, cost = await self._compaction.compact(history, self._output.step, self._around(), upto=upto)
        self._output.add(usage, cost)

    def _around(self) -> Around:
        agent = self._agent
        assert agent is not None
        tools = tuple(tool for tool in self.tools if agent.may_use(tool.name))
        return Around(agent.system(self), tools, self.options)

    # Budget --------------------------------------------------------------------------------------------

    async def keep_to_budget(self, unshown: Unshown) -> None:
        """See `RunContext.keep_to_budget`."""
        for limit in self._allowance.limits:
            name = budget_request_id(self.run_id, self._output.step, limit)
            request_id = numbered(name, self._budget_questions[name])
            spent = self._spent(unshown)
            if not (self.resumed and await self._consent.asked_before(request_id)):
                exceeded = self._allowance.exceeded(limit, spent)
                if exceeded is None:
                    continue
                await self._consent.open(budget_request(self.run_id, request_id, exceeded))
            self._budget_questions[name] += 1
            _request, answer = await self._consent.answer(request_id)
            if answer.outcome != GO_ON:
                raise BudgetExhausted
            self._allowance.extend(limit, spent)

    def _spent(self, unshown: Unshown) -> Spent:
        waited_ms = int((self._consent.waited_s - self._waited_before_s) * 1000)
        usage = self._output.usage + unshown.usage + self._children_usage
        known = [cost.amount for cost in (self._output.cost, unshown.cost) if cost is not None]
        cost = Cost(amount=sum(known) + self._children_cost) if known and not unshown.unpriced else None
        steps = self._output.step + unshown.responses
        return Spent(steps, usage, cost, self._duration_ms() - waited_ms)

    def remaining(self) -> Budget | None:
        """See `delegation.Parent.remaining`."""
        return self._allowance.remaining(self._spent(Unshown()))

    def child_spent(self, usage: Usage, cost: Cost | None) -> None:
        """Count what a sub-agent used: for the budget alone, for it is in the sub-agent's own log."""
        self._children_usage += usage
        self._children_cost += cost.amount if cost is not None else 0.0

    # Plan mode -----------------------------------------------------------------------------------------

    @property
    def _plan_request_id(self) -> str:
        return f"{self.run_id}-m{self._output.step}-plan"

    async def _end_plan(self, *, asked: bool) -> bool:
        """In plan mode, put the plan to people; tell whether the run goes on, with what they said."""
        if self._output.stop_reason != "end_turn":
            return False
        request_id = self._plan_request_id
        if not asked:
            if self._consent.mode != "plan" or self._consent.delegated:
                return False
            plan = "\n".join(self._output.texts)
            await self._log.commit(events.PlanGenerated(run_id=self.run_id, plan=plan))
            await self._consent.open(plan_request(self.run_id, request_id, plan))
        _request, answer = await self._consent.answer(request_id)
        goes_on = await self._consent.end_plan(self.run_id, self._output.step + 1, answer)
        if goes_on:
            await self._take_steers()
        return goes_on

    def _completed(self, stop_reason: events.StopReason) -> events.RunCompleted:
        return events.RunCompleted(
            run_id=self.run_id,
            stop_reason=stop_reason,
            usage=self._output.usage,
            cost=self._output.cost,
            duration_ms=self._duration_ms(),
            steps=self._output.step,
        )

    def _failed(self, error: ErrorInfo) -> events.RunFailed:
        return events.RunFailed(
            run_id=self.run_id,
            error=error,
            usage=self._output.usage,
            cost=self._output.cost,
            duration_ms=self._duration_ms(),
        )

    def _duration_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


def _not_found(message: str) -> ModelError:
    return ModelError(ErrorInfo(kind="not_found", message=message))
