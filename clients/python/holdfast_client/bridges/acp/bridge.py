"""An editor's messages: which are requests of what, who does it, and that each is answered once.

Messages are looked at one after another, as they came. A request that waits does so in a task of its own;
requests about one session are begun in order. A cancel waits for nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

import anyio
import msgspec
from anyio.abc import TaskGroup

from holdfast_client.aio.client import Client
from holdfast_client.bridges.acp import greeting
from holdfast_client.bridges.acp.content import blocks_of
from holdfast_client.bridges.acp.dialogs import Dialogs
from holdfast_client.bridges.acp.lanes import Lanes
from holdfast_client.bridges.acp.native import PREFIX, Native
from holdfast_client.bridges.acp.peer import Peer
from holdfast_client.bridges.acp.reach import Reach
from holdfast_client.bridges.acp.refusals import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    REQUEST_CANCELLED,
    Refusal,
    bad_params,
    no_session,
    refusal_of,
)
from holdfast_client.bridges.acp.turns import Turn
from holdfast_client.bridges.acp.window import Window
from holdfast_client.bridges.acp.windows import Opened, Windows
from holdfast_client.errors import ClientError
from holdfast_protocol.errors import RpcError
from holdfast_protocol.foreign.acp import handshake, sessions, tolerance
from holdfast_protocol.jsonrpc import Id, Notification, Request

_logger = logging.getLogger(__name__)

REQUESTS_MAX: Final = 512
"""Requests of one editor that are not answered."""

T = TypeVar("T")

MakeClient = Callable[[Mapping[str, Any], str], Client]
"""Gives a client that is not entered: with what answers requests, by kind, and the editor's name."""

Work = Callable[[], Awaitable[Any]]


class _Route(NamedTuple):
    """What a method takes, and who does it."""

    params: type[Any]
    handle: Callable[[Any], Awaitable[Any]]


class Bridge:
    """One editor's bridge. One owner, who gives it the peer to serve.

    Args:
        peer: the editor.
        make_client: makes clients.
        tasks: where everything runs.
    """

    def __init__(self, peer: Peer, make_client: MakeClient, tasks: TaskGroup) -> None:
        self._peer = peer
        self._make_client = make_client
        self._tasks = tasks
        self._lanes = Lanes()
        self._scopes: dict[Id, anyio.CancelScope] = {}  # Of requests that are not answered.
        self._answered = anyio.Event()  # One of them was; then replaced.
        self._prompts: dict[Id, tuple[Window, Turn]] = {}  # The prompts among them.
        self._windows: Windows | None = None  # Since `initialize`.
        self._native: Native | None = None
        self._routes: dict[str, _Route] = {}

    # Messages ------------------------------------------------------------------------------------------

    def take_request(self, request: Request) -> None:
        """See `peer.Handler`."""
        try:
            if request.method == "initialize":
                self._initialize(request)
            else:
                self._begin(request)
        except Refusal as refusal:
            self._peer.refuse(request.id, refusal)

    def take_notification(self, notification: Notification) -> None:
        """See `peer.Handler`. What is not known or does not fit is ignored, as the protocol has it."""
        try:
            match notification.method:
                case "session/cancel":
                    self._cancel(tolerance.convert(notification.params, sessions.OfSession))
                case "$/cancel_request":
                    self._cancel_request(tolerance.convert(notification.params, sessions.CancelRequest))
                case _:
                    pass
        except msgspec.ValidationError as error:
            _logger.info("%s: %s", notification.method, error)

    async def quiet(self) -> None:
        """See `peer.Handler`: prompts are not waited for."""
        while self._scopes.keys() - self._prompts.keys():
            await self._answered.wait()

    def _cancel(self, params: sessions.OfSession) -> None:
        window = self._windows.get(params.session_id) if self._windows is not None else None
        if window is not None:
            window.cancel()

    def _cancel_request(self, params: sessions.CancelRequest) -> None:
        """Cancel a request of the editor's; a prompt as `session/cancel` does."""
        call_id = cast(Id, params.request_id)
        if call_id in self._prompts:
            window, turn = self._prompts[call_id]
            window.cancel_turn(turn)
        elif call_id in self._scopes:
            self._scopes[call_id].cancel()

    # The first request ---------------------------------------------------------------------------------

    def _initialize(self, request: Request) -> None:
        if not greeting.is_answerable(request.params):
            raise bad_params("`protocolVersion` is a number from 0 to 65535.")
        hello = _params(request, handshake.InitializeRequest)
        if self._peer.first_is_answered:
            self._peer.first_is_answered = False
        else:
            self._peer.answer(request.id, greeting.facts())
        if self._windows is None:
            self._connect(hello)

    def _connect(self, hello: handshake.InitializeRequest) -> None:
        """Begin to connect: the editor's next request is likely to need it."""
        capabilities, info = hello.client_capabilities, hello.client_info
        name = (info.title or info.name)[:100] if info is not None else ""
        reach = Reach(lambda: self._make_client(answers, name))
        self._windows = windows = Windows(self._peer, reach, capabilities, self._tasks)
        self._native = Native(self._peer, lambda: self._make_client({}, name), self._tasks)
        self._routes = _routes(windows)
        ask = Dialogs(self._peer, capabilities.elicitation, windows.showing).ask
        answers: dict[str, Any] = {"permission": ask, "question": ask}
        if capabilities.elicitation is not None and capabilities.elicitation.form is not None:
            answers["form"] = ask
        self._tasks.start_soon(reach.run)
        reach.want()

    # Requests ------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        """Do at once what may not wait for requests before it, and start the rest.

        Raises:
            Refusal: it cannot be begun.
        """
        if self._windows is None or self._native is None:
            raise Refusal(INVALID_REQUEST, "The first request is `initialize`.")
        if len(self._scopes) >= REQUESTS_MAX or request.id in self._scopes:
            message = f"At most {REQUESTS_MAX} requests, with ids of their own, are open at once."
            raise Refusal(INVALID_REQUEST, message)
        native, route = self._native, self._routes.get(request.method)
        if request.method == "session/prompt":
            self._begin_prompt(request, self._windows)
        elif request.method.startswith(PREFIX):
            self._start(request, lambda: native.call(request.method, request.params))
        elif route is not None:
            params = _params(request, route.params)
            session_id = getattr(params, "session_id", None)
            self._start(request, lambda: self._in_order(session_id, lambda: route.handle(params)))
        else:
            raise Refusal(METHOD_NOT_FOUND, f"There is no method {request.method!r}.")

    def _begin_prompt(self, request: Request, windows: Windows) -> None:
        """Make the turn now, so that a cancel right behind it finds it."""
        params = _params(request, sessions.Prompt)
        content = blocks_of(params.prompt)
        window = windows.get(params.session_id)
        if window is None:
            raise no_session(params.session_id)
        turn = window.begin()
        self._prompts[request.id] = window, turn

        async def work() -> sessions.PromptEnded:
            await self._in_order(params.session_id, lambda: window.admit(turn, content))
            return await turn.ended()

        self._start(request, work)

    async def _in_order(self, session_id: str | None, work: Work) -> Any:
        async with self._lanes.into(session_id):
            return await work()

    def _start(self, request: Request, work: Work) -> None:
        scope = self._scopes[request.id] = anyio.CancelScope()
        self._tasks.start_soon(self._serve, request, work, scope)

    async def _serve(self, request: Request, work: Work, scope: anyio.CancelScope) -> None:
        """Do what a request asks for, and answer it, once."""
        result: Any = Refusal(REQUEST_CANCELLED, "The request was cancelled.")
        try:
            with scope:
                result = await _outcome(work, request.method)
        finally:
            del self._scopes[request.id]
        match result:
            case Refusal():
                self._peer.refuse(request.id, result)
            case Opened():
                self._peer.answer(request.id, result.answer)
                result.window.open()
            case _:
                self._peer.answer(request.id, result)
        if request.id in self._prompts:
            window, turn = self._prompts.pop(request.id)
            window.finish(turn)
        self._answered.set()
        self._answered = anyio.Event()


async def _outcome(work: Work, method: str) -> Any:
    """Give a request's result, or how it is refused."""
    try:
        return await work()
    except (Refusal, RpcError, ClientError) as error:
        return refusal_of(error)
    except Exception as bug:
        _logger.exception("%s", method)
        return refusal_of(bug)


def _params(request: Request, kind: type[T]) -> T:
    params: Any = {} if request.params is None else request.params
    try:
        return tolerance.convert(params, kind)
    except msgspec.ValidationError as error:
        raise bad_params(str(error)) from None


def _routes(windows: Windows) -> dict[str, _Route]:
    old, of_session = sessions.OldSession, sessions.OfSession
    return {
        "authenticate": _Route(handshake.AuthenticateRequest, windows.authenticate),
        "session/new": _Route(sessions.NewSession, windows.new),
        "session/load": _Route(old, windows.load),
        "session/resume": _Route(old, windows.resume),
        "session/fork": _Route(old, windows.fork),
        "session/list": _Route(sessions.ListSessions, windows.list),
        "session/close": _Route(of_session, windows.close),
        "session/delete": _Route(of_session, windows.delete),
        "session/set_mode": _Route(sessions.SetMode, windows.set_mode),
        "session/set_config_option": _Route(sessions.SetConfigOption, windows.set_option),
        "session/set_title": _Route(sessions.SetTitle, windows.set_title),
        "session/archive": _Route(of_session, windows.archive),
        "session/unarchive": _Route(of_session, windows.unarchive),
        "session/status": _Route(of_session, windows.status),
        "_session/steering": _Route(sessions.Prompt, windows.steer),
    }
