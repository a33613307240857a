"""A program's connection to its daemon, for programs without an event loop: what `blocking.connect` gives."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from holdfast_client import aio
from holdfast_client.aio.session import Content
from holdfast_client.blocking.iteration import each
from holdfast_client.blocking.rpc import Rpc
from holdfast_client.blocking.session import Session
from holdfast_client.blocking.streams import NotificationStream, Run
from holdfast_client.blocking.twin import twin, wait_for
from holdfast_client.errors import ClientClosed
from holdfast_protocol.events import Mode, Thinking, Unattended
from holdfast_protocol.methods.connection import InitializeResult
from holdfast_protocol.methods.extension import McpServerSpec
from holdfast_protocol.methods.session import SessionInfo


class Client:
    """One connection to a daemon, over as many as it takes. Use it as a context manager. See `aio.Client`.

    It lives in a thread of its own. Its methods may be called from any thread, each iteration from one.

    Args:
        make: makes the original; called in its thread.
    """

    def __init__(self, make: Callable[[], aio.Client]) -> None:
        self._make = make
        self._stack = ExitStack()
        self._open: tuple[BlockingPortal, aio.Client, Rpc] | None = None

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            DaemonNotRunning, DaemonUnreachable, VersionMismatch, AuthRequired, UnsupportedVersion.
        """
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            original = portal.call(self._make)
            stack.enter_context(portal.wrap_async_context_manager(original))
            self._open = portal, original, Rpc(portal, original.rpc)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._open = None
        return self._stack.__exit__(kind, error, traceback)

    @property
    def _entered(self) -> tuple[BlockingPortal, aio.Client, Rpc]:
        if self._open is None:
            raise ClientClosed("Use the client inside its `with` block.")
        return self._open

    @property
    def portal(self) -> BlockingPortal:
        """To the thread where the original lives."""
        return self._entered[0]

    @property
    def original(self) -> aio.Client:
        """The async client; not to be used from other threads."""
        return self._entered[1]

    @property
    def rpc(self) -> Rpc:
        """Every call of the protocol, typed."""
        return self._entered[2]

    @property
    def server(self) -> InitializeResult:
        """What the daemon said about itself on the present, or last, connection."""
        return self.original.server

    @property
    def connected(self) -> bool:
        """Whether calls pass now."""
        return self.original.connected

    def statistics(self) -> aio.Statistics:
        """Count connections and calls."""
        return self.original.statistics()

    wait_connected = twin(aio.Client.wait_connected)
    call = twin(aio.Client.call)
    notify = twin(aio.Client.notify)
    run = twin(aio.Client.run)
    status = twin(aio.Client.status)

    def notifications(self, *methods: str) -> NotificationStream:
        """Iterate notifications as they come, from now on: all, or only those of some methods."""

        async def make() -> aio.NotificationStream:
            return self.original.notifications(*methods)

        return NotificationStream(self.portal, wait_for(self.portal, make))

    def create_session(
        self,
        cwd: str,
        *,
        session_id: str | None = None,
        roots: tuple[str, ...] = (),
        agent: str | None = None,
        model: str | None = None,
        thinking: Thinking = "off",
        mode: Mode = "ask",
        unattended: Unattended = "wait",
        title: str | None = None,
        env: dict[str, str] | None = None,
        mcp_servers: tuple[McpServerSpec, ...] = (),
        meta: Any = None,
    ) -> Session:
        """Make a session. See `aio.Client.create_session`."""
        original = wait_for(
            self.portal,
            self.original.create_session,
            cwd,
            session_id=session_id,
            roots=roots,
            agent=agent,
            model=model,
            thinking=thinking,
            mode=mode,
            unattended=unattended,
            title=title,
            env=env,
            mcp_servers=mcp_servers,
            meta=meta,
        )
        return Session(self.portal, original)

    def session(self, session_id: str) -> Session:
        """Give a handle of a session; whether there is one shows when it is used."""
        return Session(self.portal, self.original.session(session_id))

    def sessions(
        self, *, cwd: str | None = None, parent: str | None = None, archived: bool = False
    ) -> Iterator[SessionInfo]:
        """Iterate the sessions, most recently used first: a `parent`'s sub-agents, or all but sub-agents."""
        return each(self.portal, lambda: self.original.sessions(cwd=cwd, parent=parent, archived=archived))

    @contextmanager
    def stream(
        self, content: Content, *, cwd: str, model: str | None = None, mode: Mode = "ask", deltas: bool = True
    ) -> Generator[Run]:
        """Make a session, send it a prompt, and give its run, to be iterated."""
        session = self.create_session(cwd, model=model, mode=mode)
        with session.stream(content, deltas=deltas) as made:
            yield made
