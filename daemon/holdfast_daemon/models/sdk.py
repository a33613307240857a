"""Opens the vendors' SDKs: each imported on first use, in a thread, and kept with its pool of connections."""

import importlib
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol, cast

import anyio.to_thread
import msgspec

from holdfast_daemon.models import wire
from holdfast_daemon.models.circuit import Circuits
from holdfast_daemon.models.errors import Fault

_MODULES: Final[Mapping[wire.Sdk, str]] = {
    "anthropic": "holdfast_daemon.models.sdk_anthropic",
    "openai": "holdfast_daemon.models.sdk_openai",
}


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Holds the key: never kept, never logged, shown without it."""

    base_url: str
    path: str
    key: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Post({self.path!r})"


class Response(Protocol):
    """A response with status 2xx whose body is still to be read."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any letters."""
        ...

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Give the body as it comes."""
        ...

    async def aclose(self) -> None:
        """Let go of it; closes the connection if the body was not read to its end."""
        ...


class OpenedSdk(Protocol):
    """An SDK with a pool of connections."""

    async def post(self, request: Post) -> Response:
        """Send a request, wait for the head of its response.

        Raises:
            Fault: there was none, or it is no success.
        """
        ...

    def fault_of(self, error: Exception) -> Fault:
        """Say what an error while the body was read means."""
        ...

    @property
    def read_errors(self) -> tuple[type[Exception], ...]:
        """What reading a body may raise."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class _SdkModule(Protocol):
    def open_sdk(self) -> OpenedSdk: ...


class Sdks:
    """The SDKs of one daemon. One owner calls `aclose` when nothing streams any more.

    Attributes:
        circuits: which providers fail; known to all models that send through here.
    """

    def __init__(self) -> None:
        self.circuits = Circuits()
        self._opened: dict[wire.Sdk, OpenedSdk] = {}

    async def get(self, name: wire.Sdk) -> OpenedSdk:
        """Give an SDK; the first time takes as long as importing it."""
        if name not in self._opened:
            module = await anyio.to_thread.run_sync(importlib.import_module, _MODULES[name])
            if name not in self._opened:  # Another task may have been waiting for the import, too.
                self._opened[name] = cast("_SdkModule", module).open_sdk()
        return self._opened[name]

    async def aclose(self) -> None:
        """Close all connections; an SDK asked for later is opened anew."""
        while self._opened:
            _, opened = self._opened.popitem()
            await opened.aclose()
