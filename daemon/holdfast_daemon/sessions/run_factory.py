"""Makes drivers of runs: everything a run needs that is the daemon's, in one place."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.config import SessionLimits
from holdfast_daemon.execution.executor import Executor, SessionExecutor
from holdfast_daemon.execution.hooks import Hooks
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.redactor import Redactor
from holdfast_daemon.models.base import ModelOptions
from holdfast_daemon.models.catalogue import Catalogue
from holdfast_daemon.sessions.compaction import Compaction
from holdfast_daemon.sessions.delegation import Children, Delegation
from holdfast_daemon.sessions.driver import Driver, ResumedRun
from holdfast_daemon.sessions.extension_slot import SlotHooks
from holdfast_daemon.sessions.extensions import Extensions
from holdfast_daemon.sessions.model_output import ModelOutput
from holdfast_daemon.sessions.run_hooks import RunHooks
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.sessions.run_setup import RunSetup
from holdfast_daemon.sessions.session_parts import SessionParts
from holdfast_daemon.sessions.tool_admission import ToolAdmission
from holdfast_daemon.sessions.tool_calls import ToolCalls
from holdfast_daemon.sessions.tool_hooks import ToolHooks
from holdfast_daemon.sessions.workspace import Workspace
from holdfast_protocol.errors import Draining, NotFound, Overloaded
from holdfast_protocol.events import RunStarted, SandboxInfo
from holdfast_protocol.view import Settings

if TYPE_CHECKING:
    from holdfast_daemon.extensions.session_extensions import SessionPlace


class RunFactory:
    """The daemon's means for runs, and how many runs there are.

    `hidden` are the daemon's own directories, which no tool touches; in `results` are whole results of which
    models were shown a part, None keeps none.

    Attributes:
        draining: no run is started any more.
        active: runs that were started and have not ended.
    """

    def __init__(
        self,
        journal: Journal,
        catalogue: Catalogue,
        agents: dict[str, Agent[Any]],
        executor: Executor,
        launcher: Launcher,
        hooks: Hooks,
        extensions: Extensions,
        limits: SessionLimits,
        hidden: tuple[str, ...] = (),
        results: Path | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.agents = agents
        self.extensions = extensions
        self.executor = executor
        self.children: Children | None = None  # The registry, which is made with this.
        self.draining = False
        self.active = 0
        self._ended = anyio.Event()  # Replaced whenever a run ends.
        self._journal = journal
        self._launcher = launcher
        self._hooks = hooks
        self._limits = limits
        self._hidden = hidden
        self._results = results

    def started(self) -> None:
        """Count a run that starts."""
        self.active += 1

    def ended(self) -> None:
        """Count a run that has ended."""
        self.active -= 1
        self._ended.set()
        self._ended = anyio.Event()

    async def idle(self) -> None:
        """Wait until no run is active."""
        while self.active:
            await self._ended.wait()

    def session_executor(self, key: int) -> SessionExecutor:
        """Give the share of the executor of the session with this key."""
        return self.executor.session(self._results_of(key))

    async def forget_results(self, key: int) -> None:
        """Remove the results kept for a session that is deleted."""
        directory = self._results_of(key)
        if directory is not None:
            await anyio.to_thread.run_sync(_remove, directory)

    def _results_of(self, key: int) -> Path | None:
        return None if self._results is None else self._results / str(key)

    def check_serving(self) -> None:
        """Refuse new work while draining.

        Raises:
            Draining: the daemon finishes what runs.
        """
        if self.draining:
            raise Draining("The daemon is finishing its runs and takes no new ones.")

    def check_room(self) -> None:
        """Refuse a new run.

        Raises:
            Draining: the daemon finishes what runs.
            Overloaded: too many runs are active.
        """
        self.check_serving()
        limit = self._limits.active_runs_max
        if self.active >= limit:
            raise Overloaded("Too many runs are active.", limit="active_runs_max", limit_value=limit)

    def check_names(self, *, agent: str | None, model: str | None) -> None:
        """Refuse names that are not in the catalogues.

        Raises:
            NotFound: naming the resource.
        """
        of_a_plugin = agent is not None and ":" in agent  # Found, or not, when the run has its plugins.
        if agent is not None and agent not in self.agents and not of_a_plugin:
            raise NotFound(f"No such agent: {agent}.", resource="agent", id=agent, path="$.agent")
        if model is not None and self.catalogue.get(model) is None:
            raise NotFound(f"No such model: {model}.", resource="model", id=model, path="$.model")

    def driver(
        self,
        started: RunStarted,
        settings: Settings,
        parts: SessionParts,
        *,
        resumed: ResumedRun | None = None,
    ) -> Driver:
        """Make the driver of a run that is about to start.

        Raises:
            NotFound: its agent or model is gone since the session was made.
        """
        self.check_names(agent=started.agent, model=started.model)
        model = self.catalogue.get(started.model)
        assert model is not None
        log = RunLog(self._journal, parts.log, started.run_id or "")
        redactor = Redactor()
        hooks = parts.extensions.hooks(self._hooks)
        delegation = self._delegation(started, settings, parts, log)
        driver = Driver(
            log,
            lambda: self._agents_of(parts),
            started.agent,
            self.catalogue.get,
            model,
            ModelOptions(thinking=settings.thinking, cache_key=_cache_key(parts.log.session_id)),
            started.prompt_id,
            RunSetup(log, self.extensions, parts.extensions, parts.consent, settings.cwd),
            RunHooks(parts.log.session_id, log, hooks),
            Compaction(log, model, self._limits.compact_at_percent),
            parts.tools,
            settings.cwd,
            self._limits.steps_per_run_max,
            self._output(log, started.model, redactor),
            self._calls(settings, parts, log, hooks, redactor, delegation),
            parts.consent,
            started.budget,
            resumed=resumed,
        )
        delegation.serve(driver)
        return driver

    def _output(self, log: RunLog, model: str, redactor: Redactor) -> ModelOutput:
        limits = self._limits
        return ModelOutput(
            log,
            model,
            redactor,
            block_bytes_max=limits.block_bytes_max,
            calls_max=limits.tool_calls_per_step_max,
        )

    def _calls(
        self,
        settings: Settings,
        parts: SessionParts,
        log: RunLog,
        hooks: SlotHooks,
        redactor: Redactor,
        delegation: Delegation,
    ) -> ToolCalls:
        workspace = Workspace(
            session_id=parts.log.session_id,
            cwd=settings.cwd,
            roots=(settings.cwd, *settings.roots),
            hidden=self._hidden,
            env=parts.env,
            sandboxed=self._launcher.confines,
        )
        tool_hooks = ToolHooks(log, hooks, parts.consent, workspace)
        admission = ToolAdmission(log.run_id, parts.tools, tool_hooks, parts.consent, workspace)
        return ToolCalls(log, admission, parts.executor, tool_hooks, redactor, workspace, delegation.run)

    def _delegation(
        self, started: RunStarted, settings: Settings, parts: SessionParts, log: RunLog
    ) -> Delegation:
        assert self.children is not None
        return Delegation(
            parts.log.session_id,
            log,
            self.children,
            lambda: self._agents_of(parts),
            parts.consent,
            settings,
            started.model,
            parts.stored_env,
            parts.servers,
        )

    def _agents_of(self, parts: SessionParts) -> dict[str, Agent[Any]]:
        return {**self.agents, **parts.extensions.agents()}

    async def ready(self) -> None:
        """Find out what confines commands and which models there are, before a run begins."""
        await self._launcher.ready()
        await self.catalogue.ready()

    @property
    def sandbox(self) -> SandboxInfo:
        """What confines the processes of tools; after `ready`."""
        return self._launcher.sandbox

    def place(self, settings: Settings, env: dict[str, str]) -> "SessionPlace":
        """Give where a session's plugins and servers run."""
        from holdfast_daemon.extensions.session_extensions import SessionPlace  # noqa: PLC0415 - on first use

        roots = (settings.cwd, *settings.roots)
        return SessionPlace(cwd=settings.cwd, roots=roots, env=env, hidden=self._hidden)


def _remove(directory: Path) -> None:
    import shutil  # noqa: PLC0415 - when a session is deleted

    shutil.rmtree(directory, ignore_errors=True)


def _cache_key(session_id: str) -> str:
    """Give a name of the conversation that tells a provider nothing: clients choose ids."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]
