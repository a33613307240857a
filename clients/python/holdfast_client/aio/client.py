"""A program's connection to its daemon: what `connect` gives."""

import logging
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast_client.aio.answers import Answers, Attendance, by_kind
from holdfast_client.aio.caller import OUTSIDE, Caller, Statistics
from holdfast_client.aio.event_stream import Follow
from holdfast_client.aio.event_tree import EventTree
from holdfast_client.aio.follower import Follower
from holdfast_client.aio.hosting import Hosting
from holdfast_client.aio.keeper import Keeper
from holdfast_client.aio.notifications import NotificationStream, Notified
from holdfast_client.aio.parts import Parts, make_tree
from holdfast_client.aio.rpc import Rpc
from holdfast_client.aio.run import Run
from holdfast_client.aio.session import Content, Session
from holdfast_client.core.run_result import RunResult
from holdfast_client.errors import ClientClosed
from holdfast_protocol.events import Mode, Thinking, Unattended
from holdfast_protocol.jsonrpc import Notification
from holdfast_protocol.methods.connection import InitializeResult
from holdfast_protocol.methods.daemon import DaemonStateParams, DaemonStatusResult
from holdfast_protocol.methods.extension import McpServerSpec
from holdfast_protocol.methods.session import SessionInfo

_logger = logging.getLogger(__name__)


class Client:
    """One connection to a daemon, over as many as it takes. Use it as an async context manager.

    Every method may raise the errors of its call as classes of `holdfast_protocol.errors`, `ConnectionLost`
    when no daemon came back in time, and `ClientClosed` outside of its `async with` block.

    Attributes:
        rpc: every call of the protocol, typed.
    """

    rpc: Rpc

    def __init__(self, caller: Caller, keeper: Keeper, answers: Answers | None) -> None:
        self._caller = caller
        self._keeper = keeper
        self._answers = answers
        self.rpc = Rpc(caller)
        self._follower = Follower(caller)
        self._tasks: TaskGroup | None = None
        self._parts: Parts | None = None
        self._streams: weakref.WeakSet[NotificationStream] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            DaemonNotRunning, DaemonUnreachable, VersionMismatch, AuthRequired, UnsupportedVersion.
        """
        try:
            await self._keeper.open()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._keeper.aclose()
            raise
        self._tasks = tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._parts = self._make_parts(tasks)
        tasks.start_soon(self._keeper.run, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        tasks = self._tasks
        assert tasks is not None
        tasks.cancel_scope.cancel()
        try:
            if isinstance(error, anyio.get_cancelled_exc_class()):  # Perhaps the group's own.
                return await tasks.__aexit__(kind, error, traceback)
            # An error of the block's own goes its way as it is, not in a group.
            await tasks.__aexit__(None, None, None)
            return None
        finally:
            self._parts = None
            for stream in self._streams:
                stream.close()
            with anyio.CancelScope(shield=True):
                await self._keeper.aclose()

    def _make_parts(self, tasks: TaskGroup) -> Parts:
        def tree(follow: Follow) -> EventTree:
            return make_tree(self.rpc, self._follower, follow)

        attendance = Attendance(by_kind(self._answers), self._caller, self.rpc, tree, tasks)
        hosting = Hosting(self._caller, self.rpc, tasks)
        return Parts(self._caller, self.rpc, self._follower, hosting, attendance)

    @property
    def _entered(self) -> Parts:
        if self._parts is None:
            raise ClientClosed(OUTSIDE)
        return self._parts

    # The connection ------------------------------------------------------------------------------------

    @property
    def server(self) -> InitializeResult:
        """What the daemon said about itself on the present, or last, connection."""
        return self._keeper.server

    @property
    def connected(self) -> bool:
        """Whether calls pass now; if not, the library is reconnecting or has given up until the next call."""
        return self._caller.connected

    async def wait_connected(self) -> None:
        """Wait until calls pass. Does not make the library try again once it gave up: calls do."""
        await self._caller.wait_connected()

    def statistics(self) -> Statistics:
        """Count connections and calls."""
        return self._caller.statistics()

    async def call(
        self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Any:
        """Make any call, with plain JSON in and out. Nothing is added to the params, no key either.

        It is sent again after a lost connection only if that changes nothing: it reads, or has a key.
        `session/subscribe` made so is yours to follow (`notifications`): do not mix it with `events`.
        """
        answer = await self._caller.perform(method, params or {}, timeout_s=timeout_s)
        return msgspec.json.decode(answer)

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification on the present connection."""
        await self._caller.notify(method, params or {})

    def notifications(self, *methods: str) -> NotificationStream:
        """Iterate notifications as they come, from now on: all, or only those of some methods."""
        stream = NotificationStream(methods)
        self._streams.add(stream)
        return stream

    # Sessions ------------------------------------------------------------------------------------------

    async def create_session(
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
        """Make a session. With a `session_id` of your own, asking twice gives the same session.

        Args:
            cwd: an absolute directory that exists.
            session_id: letters, digits and `_.:-`; None: the daemon chooses.
            roots: further absolute directories its tools may use.
            agent: None: the daemon's default.
            model: None: the daemon's default.
            thinking: how much the model may think.
            mode: what tools may do without asking.
            unattended: what becomes of a request when nobody is here to answer it.
            title: for people.
            env: environment for its tools; the daemon keeps allow-listed names.
            mcp_servers: started for it, beside those of the configuration and of plugins.
            meta: data of your own, given back as it is; at most 16 KiB of JSON.
        """
        made = await self.rpc.session_create(
            cwd=cwd,
            session_id=session_id,
            roots=roots,
            agent=agent,
            model=model,
            thinking=thinking,
            mode=mode,
            unattended=unattended,
            title=title,
            env=env or {},
            mcp_servers=mcp_servers,
            meta=meta,
        )
        session = Session(self._entered, made.session_id, made.epoch)
        await session.attend()
        return session

    def session(self, session_id: str) -> Session:
        """Give a handle of a session; whether there is one shows when it is used."""
        return Session(self._entered, session_id)

    async def sessions(
        self, *, cwd: str | None = None, parent: str | None = None, archived: bool = False
    ) -> AsyncIterator[SessionInfo]:
        """Iterate the sessions, most recently used first: a `parent`'s sub-agents, or all but sub-agents."""
        cursor: str | None = None
        while True:
            page = await self.rpc.session_list(cwd=cwd, parent=parent, archived=archived, cursor=cursor)
            for info in page.sessions:
                yield info
            cursor = page.next
            if cursor is None:
                return

    @asynccontextmanager
    async def stream(
        self, content: Content, *, cwd: str, model: str | None = None, mode: Mode = "ask", deltas: bool = True
    ) -> AsyncGenerator[Run]:
        """Make a session, send it a prompt, and give its run, to be iterated."""
        session = await self.create_session(cwd, model=model, mode=mode)
        async with session.stream(content, deltas=deltas) as run:
            yield run

    async def run(
        self, content: Content, *, cwd: str, model: str | None = None, mode: Mode = "ask"
    ) -> RunResult:
        """Make a session, send it a prompt, wait for the end of its run, and give what it came to."""
        session = await self.create_session(cwd, model=model, mode=mode)
        return await session.run(content)

    async def status(self) -> DaemonStatusResult:
        """Look at the daemon."""
        return await self.rpc.daemon_status()

    # Listener ------------------------------------------------------------------------------------------

    async def restore(self, number: int) -> None:
        """See `keeper.Listener`."""
        await self._entered.hosting.restore(number)
        await self._entered.attendance.restore()

    def lost(self) -> None:
        """See `keeper.Listener`."""
        self._follower.lost()
        if self._parts is not None:
            self._parts.hosting.lost()

    def notified(self, notification: Notification) -> None:
        """See `keeper.Listener`."""
        method, params = notification.method, notification.params
        for stream in self._streams:
            stream.put(Notified(method, params))
        try:
            self._take(method, params)
        except (
            msgspec.MsgspecError
        ) as error:  # Not understood, so not believed: readers find out from the log.
            _logger.warning("%s is not of its type: %s", method, error)

    def _take(self, method: str, params: msgspec.Raw) -> None:
        match method:
            case "session/events":
                self._follower.take_batch(params)
            case "session/gap":
                self._follower.take_gap(params)
            case "tool/call":
                self._entered.hosting.take_call(params)
            case "daemon/state":
                state = msgspec.json.decode(params, type=DaemonStateParams).state
                self._keeper.stopped_on_purpose = state == "stopping"
            case _:
                pass
