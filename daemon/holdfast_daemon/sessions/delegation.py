"""Sub-agents of one run: child sessions with a log of their own, and no more rights than the run has.

    tool call → child session → agent_started → its run → agent_completed or agent_failed → result of the call

The parent's cancel ends them: whoever waits here is cancelled, cancels the child and sees it end.
"""

from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any, Final, Protocol

import anyio

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.sessions.commands import Prompt
from holdfast_daemon.sessions.consent import Consent, narrowest
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.tools.base import ToolFailure
from holdfast_protocol import events
from holdfast_protocol.content import ContentBlock, TextBlock
from holdfast_protocol.errors import RpcError
from holdfast_protocol.events import Budget, Cost, ErrorInfo, Usage
from holdfast_protocol.methods.prompt import SessionPromptResult
from holdfast_protocol.view import Settings

DEPTH_MAX: Final = 2
"""Sub-agents may have sub-agents; these have none."""

CHILDREN_MAX: Final = 32
"""Of one run."""

_END_S: Final = 5.0
"""How long a cancelled child may take to end; its processes are gone long before."""


Terminal = events.RunCompleted | events.RunFailed | events.RunCancelled | events.RunInterrupted
"""How a run ended."""


class Child(Protocol):
    """A child session, as a delegation needs it; `Session` is one."""

    id: str

    @property
    def epoch(self) -> str:
        """Of its log."""
        ...

    @property
    def finished(self) -> Terminal | None:
        """How its last run ended, if none is active or waits."""
        ...

    def run_over(self) -> anyio.Event:
        """Give the event that is set when next a run ended."""
        ...

    async def submit(self, command: Prompt) -> SessionPromptResult:
        """Have a command carried out."""
        ...

    def stop_child(self, by: str) -> None:
        """Cancel its run and whatever waits."""
        ...

    async def freed(self) -> None:
        """Wait until no run is active."""
        ...

    async def last_text(self) -> str:
        """Give what its agent said last."""
        ...


class Children(Protocol):
    """Who makes child sessions; the registry does."""

    async def spawn(self, parent: str, started: events.SessionStarted, env: str, servers: str) -> Child:
        """Make a child session; durable when it returns.

        Raises:
            RpcError: there is none.
        """
        ...

    def depth(self, session_id: str) -> int:
        """Give how many sessions stand above one."""
        ...

    def child_spent(self, session_id: str, usage: Usage, cost: Cost | None) -> None:
        """Count what a child of a session used, for its run and for those of all sessions above."""
        ...


class Parent(Protocol):
    """The run that delegates, as it stands now; its driver is one."""

    def remaining(self) -> Budget | None:
        """Give what the run's budget leaves."""
        ...


class Delegation:
    """One run's.

    Args:
        session_id: the parent's.
        log: the run's.
        children: makes child sessions.
        agents: gives those there are, by name.
        consent: the parent's mode.
        settings: the parent's, as the run began.
        model: the run's.
        env: the parent's environment, as stored.
        servers: the MCP servers its client asked for, as stored.
    """

    def __init__(
        self,
        session_id: str,
        log: RunLog,
        children: Children,
        agents: Callable[[], Mapping[str, Agent[Any]]],
        consent: Consent,
        settings: Settings,
        model: str,
        env: str,
        servers: str,
    ) -> None:
        self._session_id = session_id
        self._log = log
        self._children = children
        self._settings = settings
        self._env = env
        self._servers = servers
        self._agents = agents
        self._consent = consent
        self._model = model
        self._count = 0
        self._parent: Parent | None = None

    def serve(self, parent: Parent) -> None:
        """Say whose budget is used."""
        self._parent = parent

    async def run(self, agent: str, task: str, tool_call_id: str) -> tuple[ContentBlock, ...]:
        """Have a sub-agent do a task; give its last answer.

        Raises:
            ToolFailure: it could not begin, or ended without an answer.
            StorageUnavailable: the log is halted.
        """
        self._check_room()
        started = self._started(self._named(agent))
        try:
            child = await self._children.spawn(self._session_id, started, self._env, self._servers)
        except RpcError as error:
            raise ToolFailure(error.message, kind=error.kind) from None
        try:
            await self._log.commit(
                events.AgentStarted(
                    run_id=self._log.run_id,
                    agent=agent,
                    session_id=child.id,
                    epoch=child.epoch,
                    tool_call_id=tool_call_id,
                )
            )
            finished = await self._finish(child, agent, task)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._end(child, agent)
            raise
        return await self._concluded(child, agent, finished)

    async def _concluded(self, child: Child, agent: str, run: Terminal) -> tuple[ContentBlock, ...]:
        """Tell how a child ended, whatever becomes of the run meanwhile."""
        content: list[ContentBlock] = []
        with anyio.CancelScope(shield=True):
            content.extend(await self._conclude(child, agent, run))
        return tuple(content)

    def _check_room(self) -> None:
        if self._children.depth(self._session_id) >= DEPTH_MAX:
            raise ToolFailure(f"Sub-agents are at most {DEPTH_MAX} deep.", kind="too_deep")
        if self._count >= CHILDREN_MAX:
            raise ToolFailure(f"A run has at most {CHILDREN_MAX} sub-agents.", kind="too_many")
        self._count += 1

    def _named(self, name: str) -> Agent[Any]:
        agents = self._agents()
        agent = agents.get(name)
        if agent is None:
            raise ToolFailure(f"There is no agent {name}; there are: {', '.join(agents)}.", kind="not_found")
        return agent

    def _started(self, agent: Agent[Any]) -> events.SessionStarted:
        settings = self._settings
        assert self._parent is not None
        return events.SessionStarted(
            cwd=settings.cwd,
            roots=settings.roots,
            agent=agent.name,
            model=agent.model_override or self._model,
            thinking=settings.thinking,
            mode=narrowest(self._consent.mode, agent.mode_override),
            unattended=settings.unattended,
            budget=self._parent.remaining(),
            sandbox=settings.sandbox,
            parent=self._session_id,
        )

    async def _finish(self, child: Child, agent: str, task: str) -> Terminal:
        prompt = Prompt(
            self._session_id,
            (),
            content=(TextBlock(text=task),),
            prompt_id=f"task-{token_hex(4)}",
            delivery="queue",
            model=None,
        )
        try:
            await child.submit(prompt)
        except RpcError as error:
            await self._failed(child, agent, ErrorInfo(kind=error.kind, message=error.message))
            raise ToolFailure(error.message, kind=error.kind) from None
        while True:
            over = child.run_over()
            if (finished := child.finished) is not None:
                return finished
            await over.wait()

    async def _conclude(self, child: Child, agent: str, run: Terminal) -> tuple[ContentBlock, ...]:
        self._spent(run)
        if not isinstance(run, events.RunCompleted):
            error = _error(run)
            await self._failed(child, agent, error)
            raise ToolFailure(f"The sub-agent {agent} gave no result: {error.message}", kind="agent_failed")
        text = await child.last_text()
        await self._log.commit(
            events.AgentCompleted(run_id=self._log.run_id, agent=agent, result=text, session_id=child.id)
        )
        return (TextBlock(text=text or "The sub-agent is done and said nothing."),)

    async def _end(self, child: Child, agent: str) -> None:
        """Cancel a child and see it end."""
        child.stop_child(self._session_id)
        with anyio.move_on_after(_END_S):
            await child.freed()
        if child.finished is not None:
            self._spent(child.finished)
        await self._failed(child, agent, ErrorInfo(kind="cancelled", message="Its parent's run was cut."))

    def _spent(self, run: Terminal) -> None:
        self._children.child_spent(self._session_id, run.usage or Usage(), run.cost)

    async def _failed(self, child: Child, agent: str, error: ErrorInfo) -> None:
        await self._log.commit(
            events.AgentFailed(run_id=self._log.run_id, agent=agent, error=error, session_id=child.id)
        )


def _error(run: Terminal) -> ErrorInfo:
    match run:
        case events.RunFailed():
            return run.error
        case events.RunCancelled():
            return ErrorInfo(kind="cancelled", message=f"{run.by} cancelled it.")
        case _:
            return ErrorInfo(kind="interrupted", message="It was interrupted.")
