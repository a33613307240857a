"""The async client library, on asyncio or trio.

    async with holdfast_client.connect() as client:
        result = await client.run("say hello", cwd="/home/me/project")
        print(result.text)

Reading order: `client` (what a program sees), `session`, `run`, `event_stream`; below them `keeper` (one
connection over as many as it takes), `link` (one connection), `routes` and `sidecar` (to a daemon).
"""

import os
from collections.abc import Mapping
from typing import Literal

from holdfast_client.aio.answers import Answer, Answerer, Answers, Ask, by_kind
from holdfast_client.aio.caller import CALL_TIMEOUT_S, Caller, Statistics
from holdfast_client.aio.client import Client
from holdfast_client.aio.event_stream import EventStream
from holdfast_client.aio.event_tree import EventTree, TreeEvent
from holdfast_client.aio.keeper import GIVE_UP_S, Keeper
from holdfast_client.aio.notifications import NotificationStream, Notified
from holdfast_client.aio.routes import Dialled, Fixed, Route, Shared
from holdfast_client.aio.rpc import Rpc, new_id
from holdfast_client.aio.run import Run
from holdfast_client.aio.session import Session
from holdfast_client.aio.sidecar import Auto, Sidecar
from holdfast_client.core.hosted import Tool
from holdfast_client.core.requirement import Requirement
from holdfast_client.core.run_result import RunResult
from holdfast_protocol import discovery, version
from holdfast_protocol.capabilities import ClientCapabilities
from holdfast_protocol.methods.connection import ClientInfo, InitializeParams

__all__ = [
    "Answer",
    "Answerer",
    "Answers",
    "Ask",
    "Client",
    "Dialled",
    "EventStream",
    "EventTree",
    "NotificationStream",
    "Notified",
    "Route",
    "Rpc",
    "Run",
    "RunResult",
    "Session",
    "Statistics",
    "Tool",
    "TreeEvent",
    "connect",
]

EndpointMode = Literal["auto", "attach", "spawn"]


def connect(
    mode: EndpointMode = "auto",
    *,
    require: str | None = None,
    answer: Answers | None = None,
    client_id: str | None = None,
    name: str = "",
    autostart: bool = True,
    endpoint: str | None = None,
    token: str | None = None,
    locations: discovery.Locations | None = None,
    state: "str | os.PathLike[str] | None" = None,
    daemon: str | None = None,
    daemon_arguments: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    route: Route | None = None,
    give_up_s: float = GIVE_UP_S,
    call_timeout_s: float = CALL_TIMEOUT_S,
) -> Client:
    """Make a client, not connected yet: enter it (`async with`).

    Args:
        mode: `attach`: the user's daemon, found by its discovery record. `spawn`: a private one, a child
            process on stdin and stdout that ends with this program. `auto`: the user's if one runs, else a
            private one.
        require: the daemon's version, as `holdfast>=0.1,<0.2`.
        answer: asked for each request (permission, question, form) of the sessions this client makes or
            prompts: one callback, or one for each kind. Says to the daemon that somebody is here.
        client_id: stable over restarts of this program if it is to make calls of its earlier life again.
        name: for people: who did what.
        autostart: with `attach`: start the daemon if none answers, also if it is lost later.
        endpoint: attach to `unix:PATH`, `tcp:HOST:PORT` or `ws://HOST:PORT/` and look for no record.
        token: to show at `endpoint`.
        locations: the directories of the daemon to attach to; None: this user's.
        state: with `spawn`: the private daemon's state directory, which no other may use at the same time;
            None: a temporary one, and its sessions go with it.
        daemon: with `spawn`: the path of `holdfastd`; None: looked for beside Python and on the PATH.
        daemon_arguments: with `spawn`: further arguments for it.
        environ: with `spawn`: its environment; None: this program's.
        route: another way to a daemon; replaces `mode` and all that goes with it.
        give_up_s: how long calls wait when the daemon is lost; then they raise `ConnectionLost`.
        call_timeout_s: how long a call may take in all, `session/wait` apart; then it raises `NoAnswer`.

    Raises:
        ValueError: `require` or `endpoint` cannot be read.
    """
    hello = InitializeParams(
        protocol=version.PROTOCOL,
        versions=version.PROTOCOL_VERSIONS,
        client=ClientInfo(id=client_id or new_id(), name=name or "holdfast_client", version=version.VERSION),
        capabilities=ClientCapabilities(answers=tuple(by_kind(answer))),
    )

    def sidecar() -> Sidecar:
        return Sidecar(state, program=daemon, arguments=daemon_arguments, environ=environ)

    def chosen() -> Route:
        if endpoint is not None:
            return Fixed(endpoint, token)
        match mode:
            case "spawn":
                return sidecar()
            case "attach":
                return Shared(locations, may_start=autostart)
            case "auto":
                return Auto(Shared(locations, may_start=False), sidecar)

    caller = Caller(call_timeout_s)
    keeper = Keeper(
        caller,
        route or chosen(),
        hello,
        require=Requirement.parse(require) if require is not None else None,
        give_up_s=give_up_s,
    )
    return Client(caller, keeper, answer)
