"""The way to the daemon: a client of the library, made in the background and again whenever it is wanted."""

import logging
from collections.abc import Callable

import anyio

from holdfast_client.aio.client import Client
from holdfast_client.errors import ClientError
from holdfast_protocol.errors import RpcError

_logger = logging.getLogger(__name__)


class Reach:
    """The bridge's client. One owner, who runs it in a task of its own.

    Args:
        make: gives a client that is not entered. Called again after a failure.
    """

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._client: Client | None = None
        self._failure: Exception | None = None
        self._wanted = anyio.Event()
        self._settled = anyio.Event()

    async def run(self) -> None:
        """Connect, and stay so; if that fails, try again when somebody asks."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            try:
                async with self._make() as self._client:
                    self._settle(None)
                    await anyio.sleep_forever()
            except (ClientError, RpcError) as error:
                _logger.warning("no daemon: %s", error)
                self._client = None
                self._settle(error)

    def want(self) -> None:
        """Begin to connect, if that is not done."""
        if self._client is None:
            self._wanted.set()

    async def client(self) -> Client:
        """Wait for the client.

        Raises:
            ClientError, RpcError: there is no daemon, and none could be started.
        """
        if self._client is None or not self._settled.is_set():
            self.want()
            if self._failure is not None:  # Of an earlier attempt.
                self._failure, self._settled = None, anyio.Event()
            await self._settled.wait()
        if self._failure is not None:
            raise self._failure
        assert self._client is not None
        return self._client

    def _settle(self, failure: Exception | None) -> None:
        self._failure = failure
        self._settled.set()
