"""The one place that makes HTTP clients for the SDKs. Imports httpx2 and aiohttp: import it on first use.

A client follows no redirects (one would carry the key away), asks the environment for no proxy, asks for no
compression (so that no answer can grow on its way in), and reads only the beginning of what is no success.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, cast

import aiohttp
import httpx2

from holdfast_daemon.models.errors import BODY_BYTES_MAX, Fault

CONNECT_TIMEOUT_S: Final = 10.0

ERRORS: Final = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, Fault)
"""What the client raises, beside what the SDKs make of it: not all of aiohttp's is translated."""

_PIECE_BYTES: Final = 128 * 1024
"""A body is given to the connection in pieces of this size: one of many megabytes would hold up the loop."""

_CONNECTIONS_MAX: Final = 256
_KEPT_ALIVE_MAX: Final = 32


def make_client(kind: Callable[..., httpx2.AsyncClient]) -> httpx2.AsyncClient:
    """Make a client.

    Args:
        kind: the SDK's class on aiohttp, which costs a third of the default one for each chunk.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # Below that it logs each request.
    return kind(
        trust_env=False,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        limits=httpx2.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_KEPT_ALIVE_MAX),
        event_hooks={"response": [_bound]},
    )


def make_plain_client(*, tls: bool) -> httpx2.AsyncClient:
    """Make a client for one request that is no SDK's; it waits as long as it is let.

    Args:
        tls: it is for https; otherwise the authorities' certificates need not be read.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return httpx2.AsyncClient(
        verify=tls,
        trust_env=False,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        timeout=None,
        event_hooks={"response": [_bound]},
    )


def timeouts() -> httpx2.Timeout:
    """Give the client's own time-outs: to connect. The others are `exchange`'s, which sees the stream."""
    return httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)


def headers(body: bytes, own: Mapping[str, str]) -> dict[str, str]:
    """Give the headers of a request; with the length, which a body in pieces does not tell by itself."""
    return {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "content-length": str(len(body)),
        **own,
    }


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """Give a body in pieces."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


def fault_of(error: BaseException) -> Fault:
    """Tell a time-out from a broken connection. The client's own types do not: follow the causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Fault):
            return cause
        if isinstance(cause, TimeoutError):
            return Fault("timeout")
        cause = cause.__cause__
    return Fault("transport")


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Fault("garbage", status=response.status_code)
    if not response.is_success:
        response.stream = _Beginning(cast("httpx2.AsyncByteStream", response.stream))


class _Beginning(httpx2.AsyncByteStream):
    """The first bytes of a body. The rest stays unread, and the connection goes with it."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = BODY_BYTES_MAX
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
