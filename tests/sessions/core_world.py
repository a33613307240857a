"""All of a daemon that works without a connection, on a given store; calls go straight to the dispatcher."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
from journal_world import WAIT_S, TappedStore, limits
from memory_store import MemoryStore
from outlets import FakeOutlet, Follower

from holdfast_daemon.agents.base import Agent
from holdfast_daemon.agents.catalogue import builtin_agents
from holdfast_daemon.config import Config
from holdfast_daemon.execution.executor import Executor
from holdfast_daemon.execution.hooks import Hooks
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.extensions.trust import MemoryTable
from holdfast_daemon.hub.hub import Hub
from holdfast_daemon.journal.journal import Journal
from holdfast_daemon.journal.store import Store
from holdfast_daemon.methods.dispatcher import Dispatcher
from holdfast_daemon.methods.idempotency import InFlight
from holdfast_daemon.methods.services import Caller, Reply, Services
from holdfast_daemon.models.catalogue import Catalogue
from holdfast_daemon.net.auth import Tokens
from holdfast_daemon.sessions.extensions import Extensions
from holdfast_daemon.sessions.registry import Registry
from holdfast_daemon.sessions.rules import Rules
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_daemon.sessions.session import Session
from holdfast_daemon.stored_tokens import StoredTokens
from holdfast_daemon.tools.base import Tool
from holdfast_daemon.tools.builtin import builtin_tools
from holdfast_protocol import events
from holdfast_protocol.capabilities import ClientCapabilities, Role
from holdfast_protocol.methods.daemon import DaemonState, NetStatistics


def text(content: str) -> list[dict[str, str]]:
    """Give a prompt's content."""
    return [{"type": "text", "text": content}]


class FakeLifecycle:
    """A daemon's own state, for handlers that ask."""

    state: DaemonState = "serving"
    endpoints: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def drain(self, *, cancel: bool) -> None:
        self.asked.append(("drain", cancel))

    def shutdown(self, grace_s: float) -> None:
        self.asked.append(("shutdown", grace_s))

    def net_statistics(self) -> NetStatistics:
        return NetStatistics(connections=0, unauthenticated=0, accepted=0, refused=0, requests=0)


class Client:
    """An authenticated connection."""

    def __init__(self, core: "Core", client_id: str, role: Role, outlet: FakeOutlet) -> None:
        self.outlet = outlet
        self._core = core
        self._caller = Caller(
            client_id=client_id, role=role, capabilities=ClientCapabilities(), outlet=outlet
        )

    async def call(self, method: str, **params: Any) -> Any:
        """Call, and have done what follows the answer; give the result as a client sees it."""
        dispatcher = self._core.dispatcher
        with anyio.fail_after(WAIT_S):
            answer = dispatcher.immediate(self._caller, method, params)
            if answer is None:
                answer = await dispatcher.call(self._caller, method, params)
        after: Callable[[], None] = lambda: None  # noqa: E731 - nothing follows most answers
        if isinstance(answer, Reply):
            answer, after = answer.result, answer.after
        result = msgspec.json.decode(msgspec.json.encode(answer))
        if method == "session/subscribe":
            self.outlet.follow(params["sessionId"], result["from"] - 1)
        after()
        return result

    async def create(self, session_id: str = "s", cwd: str = "/", **params: Any) -> Any:
        params.setdefault("mode", "auto")  # Permissions are tested elsewhere.
        return await self.call("session/create", sessionId=session_id, cwd=cwd, **params)

    async def prompt(self, content: str, session_id: str = "s", **params: Any) -> Any:
        return await self.call("session/prompt", sessionId=session_id, content=text(content), **params)

    async def run(self, content: str, session_id: str = "s") -> Any:
        """Prompt, and wait for the end of the run; give how it ended."""
        admitted = await self.prompt(content, session_id)
        return await self.wait(admitted["runId"], session_id)

    async def wait(self, run_id: str, session_id: str = "s") -> Any:
        ended = await self.call("session/wait", sessionId=session_id, runId=run_id)
        assert ended["done"]
        return ended

    async def follow(self, session_id: str = "s", after: Any = "start", **params: Any) -> Follower:
        await self.call("session/subscribe", sessionId=session_id, after=after, **params)
        return self.outlet.followers[session_id]


class Core:
    """The parts, running."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.journal = services.journal
        self.hub = services.hub
        self.registry = services.registry
        self.dispatcher = Dispatcher(services)

    def client(self, client_id: str = "c", *, role: Role = "controller", **options: Any) -> Client:
        """Connect."""
        outlet = FakeOutlet(**options)
        self.hub.attach(outlet)
        return Client(self, client_id, role, outlet)

    def live(self, session_id: str = "s") -> Session:
        session = self.registry.live(session_id)
        assert session is not None
        return session

    async def log(self, session_id: str = "s") -> list[events.Event]:
        """Give a session's log as it is stored."""
        row = await self.journal.query(self.journal.store.find_session, session_id)
        assert row is not None
        page = await self.journal.query(
            self.journal.store.read, row.key, 0, 2**31, limit=2**31, bytes_max=2**31
        )
        decoded = [events.decode(row.body) for row in page.rows]
        assert [event.seq for event in decoded] == list(range(1, len(decoded) + 1))
        return decoded  # pyright: ignore[reportReturnType] - no unknown events among our own

    async def types(self, session_id: str = "s") -> list[str]:
        return [events.type_of(event) for event in await self.log(session_id)]

    async def stop(self, cause: str = "shutdown") -> None:
        """Interrupt what runs, as a daemon does before it ends."""
        await self.registry.stop(cause, WAIT_S)


@asynccontextmanager
async def core_running(
    store: Store | None = None,
    *,
    config: Config | None = None,
    agents: Sequence[Agent] = (),
    tools: Sequence[Tool] = (),
    catalogue: Catalogue | None = None,
    directory: Path | None = None,
    results: Path | None = None,
) -> AsyncIterator[Core]:
    """Run everything but the connections.

    Args:
        store: in memory if none is given.
        config: settings; only limits matter.
        agents: beside the daemon's own.
        tools: beside the daemon's own.
        catalogue: of models; the daemon's own if none is given.
        directory: stands for the state directory in `config`.
        results: where whole results are kept.
    """
    config = config or Config(state_dir=str(directory or "/"), journal=limits())
    if catalogue is not None:
        config = msgspec.structs.replace(config, default_model=catalogue.default)
    journal = Journal(store or TappedStore(MemoryStore()), config.journal)
    hub = Hub(journal, config.hub)
    executor = Executor([*builtin_tools(config.execution), *tools], config.execution)
    known = {**builtin_agents(), **{agent.name: agent for agent in agents}}
    hooks = Hooks(config.hooks)
    launcher = Launcher()
    extensions = Extensions(
        Path(config.state_dir, "none"), Path.home(), MemoryTable(), launcher, config.execution
    )
    runs = RunFactory(
        journal,
        catalogue or Catalogue(),
        known,
        executor,
        launcher,
        hooks,
        extensions,
        config.sessions,
        results=results,
    )
    registry = Registry(journal, hub, runs, Rules(journal), config.sessions)
    tokens = Tokens("owner", failures_max=10, window_s=60, clock=time.monotonic)
    services = Services(
        config=config,
        journal=journal,
        hub=hub,
        registry=registry,
        runs=runs,
        lifecycle=FakeLifecycle(),
        tokens=StoredTokens(journal, tokens),
        instance_id="instance",
        started_at=0,
        in_flight=InFlight(),
        launcher=launcher,
    )
    async with journal.running(), hub.running(), registry.running():
        try:
            yield Core(services)
        finally:
            with anyio.CancelScope(shield=True):
                await registry.stop("shutdown", WAIT_S)
