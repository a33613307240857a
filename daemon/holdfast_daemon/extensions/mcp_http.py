"""The HTTP client for MCP over streamable HTTP. Imports the SDK's client library: import it on first use.

No proxies or certificates of the daemon's environment, no redirects away from the server, bounded bodies.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx2

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of an answer that is not a stream of events."""

EVENT_BYTES_MAX: Final = 4 * 1024 * 1024

_TIMEOUT: Final = httpx2.Timeout(30.0, connect=10.0, read=300.0)


class BodyTooLarge(httpx2.TransportError):
    """A server sent more than `BODY_BYTES_MAX`."""


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        room = BODY_BYTES_MAX
        async for chunk in self._stream:
            room -= len(chunk)
            if room < 0:
                raise BodyTooLarge(f"the server sent more than {BODY_BYTES_MAX} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream") and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _BoundedStream(response.stream)
        return response


def http_client(headers: Mapping[str, str]) -> httpx2.AsyncClient:
    """Give a client for one server; enter and leave it as a context.

    Args:
        headers: sent with every request, to that server alone.
    """
    headers = {"Accept-Encoding": "identity", **headers}  # No small answer that grows.
    return httpx2.AsyncClient(
        headers=headers,
        timeout=_TIMEOUT,
        trust_env=False,
        follow_redirects=False,
        transport=_BoundedTransport(),
    )
