"""The blocking client library: the async one in a thread of its own, for programs without an event loop.

    with holdfast_client.blocking.connect() as client:
        result = client.run("say hello", cwd="/home/me/project")
        print(result.text)

Reading order: `twin` (how a method is made), `client`, `session`, `streams`.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec

from holdfast_client import aio
from holdfast_client.aio import (
    Answer,
    Answerer,
    Answers,
    Ask,
    Notified,
    RunResult,
    Statistics,
    Tool,
    TreeEvent,
)
from holdfast_client.blocking.client import Client
from holdfast_client.blocking.rpc import Rpc
from holdfast_client.blocking.session import Session
from holdfast_client.blocking.streams import EventStream, EventTree, NotificationStream, Run

__all__ = [
    "Answer",
    "Answerer",
    "Answers",
    "Ask",
    "Client",
    "EventStream",
    "EventTree",
    "NotificationStream",
    "Notified",
    "Rpc",
    "Run",
    "RunResult",
    "Session",
    "Statistics",
    "Tool",
    "TreeEvent",
    "connect",
]

P = ParamSpec("P")


def _twin_of(connect: Callable[P, aio.Client]) -> Callable[P, Client]:
    @functools.wraps(connect)
    def call(*args: P.args, **kwargs: P.kwargs) -> Client:
        return Client(lambda: connect(*args, **kwargs))

    return call


connect = _twin_of(aio.connect)
