"""Answers requests to people on behalf of whoever sits at this client.

A callback is asked for each request of the sessions that are attended. Its dialog is cancelled when somebody
else answers first, and survives lost connections: the request waits in the session's log.
"""

import contextlib
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, get_args

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from holdfast_client.aio.caller import Caller
from holdfast_client.aio.event_stream import Follow
from holdfast_client.aio.event_tree import EventTree
from holdfast_client.aio.foreign_code import foreign_code
from holdfast_client.aio.rpc import Rpc
from holdfast_client.errors import ClientError, ConnectionLost, LogChanged, NoAnswer
from holdfast_protocol import events
from holdfast_protocol.capabilities import RequestKind
from holdfast_protocol.errors import InvalidParams, NotFound, RpcError
from holdfast_protocol.events import Json, RequestOpened
from holdfast_protocol.methods.request import Scope

_logger = logging.getLogger(__name__)

DIALOGS_MAX: Final = 64

_TRIES_MAX: Final = 5
_RETRY_MS: Final = 200

"""Dialogs open at once; further requests wait for one to close."""

_TYPES: Final = (
    "request_opened",
    "request_resolved",
    "agent_started",
    "agent_completed",
    "agent_failed",
    "session_ended",
)

_Key = tuple[str, str]
"""Session and request."""


class Ask(NamedTuple):
    """A request that waits for an answer.

    Attributes:
        session_id: whose.
        request: what is asked: `kind`, `title`, `detail`, `options`.
    """

    session_id: str
    request: RequestOpened


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer.

    Attributes:
        outcome: `allow` or `deny` for a permission, or the id of one of the request's options.
        scope: how far it reaches.
        message: for the model, or the answer in words.
        values: what a form is filled in with, by the names of its fields.
    """

    outcome: str
    scope: Scope = "once"
    message: str | None = None
    values: dict[str, Json] | None = None


Reply = Answer | str | None
"""An answer, or just its outcome, or None: leave it to others."""

Answerer = Callable[[Ask], Reply | Awaitable[Reply]]
"""Asked once for each request. A sync one runs in a thread. May wait as long as a person takes; is cancelled
(a sync one: not listened to any more) when the request is resolved elsewhere. What it raises ends the client.
"""

Answers = Answerer | Mapping[RequestKind, Answerer]
"""One callback for all kinds of requests, or one for each kind that can be answered."""

MakeTree = Callable[[Follow], EventTree]


def by_kind(answers: Answers | None) -> dict[RequestKind, Answerer]:
    """Give the callback for each kind that can be answered."""
    if answers is None:
        return {}
    if callable(answers):
        kinds: tuple[RequestKind, ...] = get_args(RequestKind)
        return dict.fromkeys(kinds, answers)
    return dict(answers)


class Attendance:
    """The sessions of one client whose requests it answers. One owner.

    Args:
        answerers: the callback for each kind.
        caller: the client's.
        rpc: the client's.
        make_tree: makes an event tree.
        tasks: where dialogs run.
    """

    def __init__(
        self,
        answerers: Mapping[RequestKind, Answerer],
        caller: Caller,
        rpc: Rpc,
        make_tree: MakeTree,
        tasks: TaskGroup,
    ) -> None:
        self._answerers = answerers
        self._caller = caller
        self._rpc = rpc
        self._make_tree = make_tree
        self._tasks = tasks
        self._attended: dict[str, anyio.Event] = {}  # Set once the session is subscribed to.
        self._trees: dict[str, EventTree] = {}
        self._dialogs: dict[_Key, anyio.CancelScope] = {}
        self._places = anyio.CapacityLimiter(DIALOGS_MAX)

    @property
    def dialogs(self) -> int:
        """How many requests are being answered."""
        return len(self._dialogs)

    async def attend(self, session_id: str) -> None:
        """Answer a session's requests from now on, and those that wait; does nothing without callbacks.

        Raises:
            NotFound: there is no such session.
        """
        if not self._answerers:
            return
        present = self._attended.get(session_id)
        if present is not None:
            await present.wait()
            return
        present = self._attended[session_id] = anyio.Event()
        try:
            tree = await self._begin(session_id)
        except BaseException:
            del self._attended[session_id]
            present.set()
            raise
        present.set()
        self._trees[session_id] = tree
        self._tasks.start_soon(self._attend, session_id, tree)

    def leave(self, session_id: str) -> None:
        """Answer a session's requests no more, nor those of its sub-agents; open dialogs are cancelled."""
        tree = self._trees.pop(session_id, None)
        if tree is None:
            return
        del self._attended[session_id]
        for key in [key for key in self._dialogs if key[0] in tree.session_ids]:
            self._dialogs.pop(key).cancel()  # Popped, so that whoever comes back is asked again.
        tree.close()

    async def restore(self) -> None:
        """Be here on a new connection before any call passes that may ask for it. Never raises."""
        for tree in list(self._trees.values()):
            with contextlib.suppress(RpcError, ClientError):  # Its own task finds out the same way.
                await tree.resume()

    async def _begin(self, session_id: str) -> EventTree:
        """Subscribe; what was open before is asked for, what comes after is in the events."""
        found = await self._rpc.session_get(session_id=session_id)
        epoch = found.session.epoch
        tree = self._make_tree(Follow(session_id, found.snapshot.head, epoch=epoch, types=_TYPES))
        await tree.settle()
        for waiting in (await self._rpc.request_list(session_id=session_id)).requests:
            self._open(session_id, waiting.request)
        return tree

    async def _attend(self, session_id: str, tree: EventTree) -> None:
        """Open and close dialogs as the session's log says, until the session is gone."""
        try:
            while True:
                try:
                    async for item in tree:
                        self._take(item.session_id, item.event)
                except (ConnectionLost, NoAnswer):
                    await self._caller.wait_connected()
                else:
                    return
        except (NotFound, LogChanged) as gone:
            _logger.info("session %s is not attended any more: %s", session_id, gone)
        finally:
            tree.close()
            if self._trees.get(session_id) is tree:  # Else it was left, and perhaps attended again.
                del self._trees[session_id]
                del self._attended[session_id]

    def _take(self, session_id: str, event: Any) -> None:
        match event:
            case events.RequestOpened():
                self._open(session_id, event)
            case events.RequestResolved():
                self._close((session_id, event.request_id))
            case events.SessionEnded():
                for key in [key for key in self._dialogs if key[0] == session_id]:
                    self._close(key)
            case _:
                pass

    def _open(self, session_id: str, request: RequestOpened) -> None:
        answerer = self._answerers.get(request.kind)
        key = (session_id, request.request_id)
        if answerer is not None and key not in self._dialogs:
            self._dialogs[key] = scope = anyio.CancelScope()
            self._tasks.start_soon(self._dialog, answerer, Ask(session_id, request), scope)

    def _close(self, key: _Key) -> None:
        scope = self._dialogs.get(key)
        if scope is not None:
            scope.cancel()

    async def _dialog(self, answerer: Answerer, ask: Ask, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                async with self._places:
                    with foreign_code():
                        reply = await _call(answerer, ask)
                if reply is not None:
                    await self._respond(ask, Answer(outcome=reply) if isinstance(reply, str) else reply)
        finally:
            key = (ask.session_id, ask.request.request_id)
            if self._dialogs.get(key) is scope:
                del self._dialogs[key]

    async def _respond(self, ask: Ask, answer: Answer) -> None:
        """Give the answer, over as many connections as it takes; one that comes too late changes nothing."""
        tries = _TRIES_MAX
        while True:
            try:
                result = await self._rpc.request_respond(
                    session_id=ask.session_id,
                    request_id=ask.request.request_id,
                    outcome=answer.outcome,
                    scope=answer.scope,
                    message=answer.message,
                    values=answer.values,
                )
            except (ConnectionLost, NoAnswer):
                await self._caller.wait_connected()
            except InvalidParams:  # The program's own mistake.
                raise
            except RpcError as refused:
                if not refused.data.retryable or not tries:
                    _logger.warning("request %s could not be answered: %s", ask.request.request_id, refused)
                    return
                tries -= 1
                await anyio.sleep((refused.data.retry_after_ms or _RETRY_MS) / 1000)
            else:
                if not result.accepted:
                    _logger.info("request %s was answered by %s", ask.request.request_id, result.by)
                return


async def _call(answerer: Answerer, ask: Ask) -> Reply:
    if inspect.iscoroutinefunction(answerer) or inspect.iscoroutinefunction(
        getattr(answerer, "__call__", None)  # noqa: B004 - its kind is wanted, not whether it has one
    ):
        return await answerer(ask)  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    reply: Any = await anyio.to_thread.run_sync(functools.partial(answerer, ask), abandon_on_cancel=True)
    return await reply if inspect.isawaitable(reply) else reply
