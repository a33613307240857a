"""The daemon: builds the parts, owns the top task group, and takes all down in order.

    state directory → journal → hub → sessions → connections

Each stands on those before it and is entered after, left before them. Nothing here knows what a request or
an event means.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from holdfast_daemon.agents.catalogue import builtin_agents
from holdfast_daemon.config import Config, SandboxSettings
from holdfast_daemon.config_servers import mcp_server_of
from holdfast_daemon.endpoints import Endpoints
from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.executor import Executor
from holdfast_daemon.execution.hooks import Hooks
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.leftovers import end_left_behind
from holdfast_daemon.execution.mount_points import MountPoints
from holdfast_daemon.execution.process import become_subreaper
from holdfast_daemon.execution.sandbox import Sandbox
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.idle_exit import IdleExit
from holdfast_daemon.journal.ballast import Ballast
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.sqlite import SQLiteStore
from holdfast_daemon.journal.state_dir import StateDir, StateDirError
from holdfast_daemon.methods.daemon import server_info
from holdfast_daemon.methods.dispatcher import Dispatcher
from holdfast_daemon.methods.idempotency import InFlight
from holdfast_daemon.methods.services import Services
from holdfast_daemon.models.catalogue import Catalogue
from holdfast_daemon.models.provider_source import ProviderSource
from holdfast_daemon.net.auth import OWNER, Principal, Tokens, load_owner_token
from holdfast_daemon.net.listener import BindError
from holdfast_daemon.net.stdio import serve_stdio
from holdfast_daemon.server import Server
from holdfast_daemon.sessions.extensions import Extensions
from holdfast_daemon.sessions.registry import Registry
from holdfast_daemon.sessions.rules import Rules
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.stored_tokens import StoredTokens
from holdfast_daemon.stored_trust import StoredTrust
from holdfast_daemon.tools.base import Tool
from holdfast_protocol.discovery import Record, locations
from holdfast_protocol.methods.daemon import DaemonState, DaemonStateParams, NetStatistics

if TYPE_CHECKING:
    from holdfast_daemon.models.providers import KnownModel

_logger = logging.getLogger(__name__)


class Core(NamedTuple):
    """Everything that works without a connection."""

    services: Services
    tokens: Tokens
    authority: StoredTokens
    owner_token: str


class App:
    """One daemon. Implements `Lifecycle` for the handlers.

    Args:
        config: its settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._state: DaemonState = "serving"
        self._stop = anyio.Event()
        self._server: Server | None = None
        self._hub: Hub | None = None
        self._runs: RunFactory | None = None
        self._endpoints: Endpoints | None = None
        self._drained: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None

    async def run(self, on_ready: Callable[[Record], None], stdio: tuple[int, int] | None = None) -> None:
        """Serve until told to stop.

        Args:
            on_ready: called once with the discovery record when connections are taken.
            stdio: private copies of stdin and stdout, for a sidecar.

        Raises:
            StateDirError: the state directory cannot be used, or another daemon uses it.
            StoreError: the log cannot be opened.
            BindError: an endpoint cannot be opened.
        """
        become_subreaper()
        refusal: Exception | None = None
        try:
            await self._run(on_ready, stdio)
        except* (StateDirError, BindError) as group:
            # It came through the task groups of the parts that were up already.
            refusal = _first(group)
        if refusal is not None:
            raise refusal

    async def _run(self, on_ready: Callable[[Record], None], stdio: tuple[int, int] | None) -> None:
        with StateDir(Path(self._config.state_dir)) as state:
            async with AsyncExitStack() as stack:
                core = await stack.enter_async_context(self._core(state))
                services = core.services
                tasks = await stack.enter_async_context(anyio.create_task_group())
                self._tasks = tasks
                server = self._serve(core, tasks)
                info = server_info(services)
                self._endpoints = endpoints = Endpoints(
                    self._config, server, info, core.tokens, core.owner_token
                )
                stack.enter_context(endpoints)
                endpoints.open(tasks)
                if stdio is not None:
                    tasks.start_soon(self._serve_stdio, server, stdio)
                elif self._config.idle_exit_s is not None:
                    idle = IdleExit(self._config.idle_exit_s, endpoints, server, services.runs)
                    tasks.start_soon(idle.watch, self.stop)
                await tasks.start(self._watch_signals)
                on_ready(endpoints.record)
                await self._stop.wait()
                await self._take_down(services, server)
                tasks.cancel_scope.cancel()

    # Lifecycle -----------------------------------------------------------------------------------------

    @property
    def state(self) -> DaemonState:
        """What the daemon does."""
        return self._state

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it listens, as `unix:PATH` and `tcp:HOST:PORT`; `stdio` for a sidecar."""
        listening = self._endpoints.names if self._endpoints else ()
        return (*(("stdio",) if self._config.stdio else ()), *listening)

    def net_statistics(self) -> NetStatistics:
        """Count connections and requests."""
        assert self._server is not None
        return self._server.statistics()

    def drain(self, *, cancel: bool) -> None:
        """Stop when the last run has ended; or take that back."""
        assert self._tasks is not None
        if self._drained is not None:
            self._drained.cancel()
            self._drained = None
        self._announce("serving" if cancel else "draining")
        if not cancel:
            self._drained = anyio.CancelScope()
            self._tasks.start_soon(self._stop_when_idle, self._drained)

    def shutdown(self, grace_s: float) -> None:
        """Stop after `grace_s`."""
        assert self._tasks is not None
        assert self._runs is not None
        self._runs.draining = True
        self._announce("stopping")
        self._tasks.start_soon(self._stop_after, grace_s)

    def stop(self) -> None:
        """Stop now, in order."""
        self._stop.set()

    def _announce(self, state: DaemonState) -> None:
        if state != self._state:
            self._state = state
            assert self._hub is not None
            self._hub.broadcast("daemon/state", DaemonStateParams(state=state))

    async def _stop_when_idle(self, scope: anyio.CancelScope) -> None:
        assert self._runs is not None
        with scope:
            await self._runs.idle()
            self.stop()

    async def _stop_after(self, grace_s: float) -> None:
        assert self._runs is not None
        with anyio.move_on_after(grace_s):
            await self._runs.idle()
        self.stop()

    # Building ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _core(self, state: StateDir) -> AsyncGenerator[Core]:
        """Build everything that works without a connection; recovery is done when this is entered."""
        config, limits = self._config, self._config.journal
        store = SQLiteStore(
            state.path,
            spill_bytes=limits.spill_bytes,
            checkpoint_bytes=limits.checkpoint_bytes,
            truncate_bytes=limits.truncate_bytes,
        )
        ballast = Ballast(state.path / "ballast", limits.ballast_bytes)
        ballast.restore()
        token = load_owner_token(state.path / "token")
        journal = Journal(store, limits, ballast=ballast)
        hub = Hub(journal, config.hub)
        launcher = await _launcher(state.path, config.sandbox, _hidden(config))
        providers = ProviderSource(os.environ, config.base_urls.given(), _declared_models)
        runs = RunFactory(
            journal,
            Catalogue(config.default_model, source=providers),
            builtin_agents(),
            Executor(lambda: _tools(config, launcher), config.execution),
            launcher,
            Hooks(config.hooks, config.execution.hooks_max),
            _extensions(config, StoredTrust(journal), launcher),
            config.sessions,
            hidden=_hidden(config),
            results=state.path / "results",
        )
        registry = Registry(journal, hub, runs, Rules(journal), config.sessions)
        tokens = Tokens(
            token,
            failures_max=config.net.auth_failures_max,
            window_s=config.net.auth_failures_window_s,
            clock=time.monotonic,
        )
        authority = StoredTokens(journal, tokens)
        self._hub, self._runs = hub, runs
        services = Services(
            config=config,
            journal=journal,
            hub=hub,
            registry=registry,
            runs=runs,
            lifecycle=self,
            tokens=authority,
            instance_id=token_hex(8),
            started_at=int(time.time() * 1000),
            in_flight=InFlight(),
            launcher=launcher,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(providers.aclose)  # Last: nothing streams any more.
            for part in (journal, hub, registry):
                await stack.enter_async_context(part.running())
            await authority.load()
            yield Core(services, tokens, authority, token)

    def _serve(self, core: Core, tasks: TaskGroup) -> Server:
        services = core.services
        self._server = Server(
            Dispatcher(services),
            services.hub,
            core.tokens,
            self._config.net,
            tasks,
            services.registry.connection_lost,
        )
        core.authority.closing(self._server.close_token)
        return self._server

    async def _serve_stdio(self, server: Server, descriptors: tuple[int, int]) -> None:
        """Serve the parent until it closes its end; then what runs is interrupted and the daemon ends."""
        peer = server.peer(Principal(OWNER, "controller"))
        await serve_stdio(peer, descriptors, self._config.net)
        await peer.last_answered.wait()
        self.stop()

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        """The first signal stops in order, a second one at once."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()  # From here on: nobody is told that the daemon is ready before.
            signalled = False  # A stop for another reason does not make the first signal a second one.
            async for number in signals:
                if signalled:
                    os._exit(128 + number)
                signalled = True
                _logger.info("stopping on signal %d", number)
                self.shutdown(0)

    async def _take_down(self, services: Services, server: Server) -> None:
        """Close what is open, from the outside in; each run gets its end in the log."""
        services.runs.draining = True
        if self._endpoints is not None:
            self._endpoints.close()
        await services.registry.stop("shutdown", self._config.shutdown_grace_s)
        server.close_all()
        with anyio.move_on_after(1):
            await server.gone()


def _extensions(config: Config, trusted: StoredTrust, launcher: Launcher) -> Extensions:
    """Give what sessions get their plugins and servers with; the user's lie beside the configuration file."""
    servers = tuple(map(mcp_server_of, config.mcp_servers))
    return Extensions(_config_dir(), Path.home(), trusted, launcher, config.execution, servers)


def _declared_models() -> "tuple[KnownModel, ...]":
    from holdfast_daemon.plugin_models import declared_models  # noqa: PLC0415 - when somebody asks for models

    return declared_models(_config_dir())


def _config_dir() -> Path:
    return Path(locations(os.environ, str(Path.home()), sys.platform).config)


def _tools(config: Config, launcher: Launcher) -> tuple[Tool, ...]:
    from holdfast_daemon.tools.builtin import builtin_tools  # noqa: PLC0415 - with the first session

    return builtin_tools(config.execution, launcher, config.fetch)


async def _launcher(state_dir: Path, settings: SandboxSettings, own: tuple[str, ...]) -> Launcher:
    """End what a killed daemon left behind on this state, and give what starts processes from now on."""
    brands = await anyio.to_thread.run_sync(Brands.of_state, state_dir)
    await end_left_behind(brands)
    points = MountPoints(state_dir / "mount-points")
    await anyio.to_thread.run_sync(points.remove_left_behind)

    def detect() -> Sandbox:  # It runs a command: not before somebody has a session.
        from holdfast_daemon.execution.bubblewrap_sandbox import detect_sandbox  # noqa: PLC0415 - for the same

        return detect_sandbox(settings, points, Path.home(), os.environ.copy(), own)

    return Launcher(detect, brands, settings)


def _first(error: Exception) -> Exception:
    """Give the first error in a group of groups."""
    while inner := getattr(error, "exceptions", ()):
        error = inner[0]
    return error


def _hidden(config: Config) -> tuple[str, ...]:
    """Give the directories no tool touches: this daemon's, and those of the one this user shares."""
    shared = locations(os.environ, str(Path.home()), sys.platform)
    own = (config.state_dir, config.runtime_dir)
    return tuple(path for path in (*own, shared.state, shared.runtime, shared.config) if path)
