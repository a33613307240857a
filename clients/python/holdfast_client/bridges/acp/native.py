"""Our own methods, for an editor that knows them: `_holdfast/session/read` is `session/read`.

They go over a connection of their own, so that an editor may subscribe without getting in the way of a
window. Notifications of that connection come back as `_holdfast/…`.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from holdfast_client.aio.client import Client
from holdfast_client.bridges.acp.peer import Peer
from holdfast_client.bridges.acp.reach import Reach
from holdfast_client.bridges.acp.refusals import METHOD_NOT_FOUND, Refusal
from holdfast_client.errors import ClientError, NotificationsLost
from holdfast_protocol.errors import RpcError
from holdfast_protocol.methods import CALLS

_logger = logging.getLogger(__name__)

PREFIX: Final = "_holdfast/"


class Native:
    """The other connection, made when it is first used. One owner.

    Args:
        peer: the editor.
        make: gives a client that is not entered.
        tasks: where notifications are forwarded.
    """

    def __init__(self, peer: Peer, make: Callable[[], Client], tasks: TaskGroup) -> None:
        self._peer = peer
        self._reach = Reach(make)
        self._tasks = tasks
        self._is_begun = False  # Notifications are forwarded, or about to be.
        self._is_served = False

    async def call(self, method: str, params: Any) -> Any:
        """Make a call of ours; give its plain result.

        Raises:
            Refusal: there is no such method.
            RpcError, ClientError: as of the call.
        """
        name = method.removeprefix(PREFIX)
        if name not in CALLS or name == "initialize":
            raise Refusal(METHOD_NOT_FOUND, f"There is no method {method!r}.")
        if not self._is_begun:
            if not self._is_served:
                self._tasks.start_soon(self._reach.run)
            self._is_begun = self._is_served = True
            self._tasks.start_soon(self._forward)
        client = await self._reach.client()
        return await client.call(name, params or {})

    async def _forward(self) -> None:
        try:
            stream = (await self._reach.client()).notifications()
        except (RpcError, ClientError):
            self._is_begun = False  # The next call tries anew, and says what is wrong.
            return
        while True:
            try:
                notified = await stream.receive()
                if notified is None:
                    return
                self._peer.notify(PREFIX + notified.method, notified.raw)
            except NotificationsLost as lost:
                _logger.warning("%s", lost)
            await self._peer.flow()
            await anyio.lowlevel.checkpoint()
