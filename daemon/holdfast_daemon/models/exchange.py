"""One request and its stream of events: time-outs, limits, closing the connection. The same for all APIs."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import anyio
import msgspec

from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.sdk import OpenedSdk, Post, Response
from holdfast_daemon.models.sse import EVENT_BYTES_MAX, LINE_BYTES_MAX, SseDecoder, SseEvent, SseTooLarge

_T = TypeVar("_T")

_LINGER_S: Final = 0.1
"""How long the end of the body is waited for after the last event: then the connection can be used again."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange may take. Times in seconds.

    Attributes:
        first_byte_s: until the head of the response; a local server computes the whole prompt before.
        idle_s: between two pieces of the body; comments and pings count as life.
        total_s: of the whole exchange: pings do not keep it alive for ever.
        body_bytes_max: of the stream.
    """

    first_byte_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 1800.0
    line_bytes_max: int = LINE_BYTES_MAX
    event_bytes_max: int = EVENT_BYTES_MAX
    body_bytes_max: int = 64 * 1024 * 1024


class Exchange:
    """A response under way.

    Attributes:
        request_id: the provider's name for it, if it gave one.
    """

    def __init__(self, sdk: OpenedSdk, response: Response, limits: Limits, ends_at: float) -> None:
        self._sdk = sdk
        self._response = response
        self._limits = limits
        self._ends_at = ends_at
        self._body = response.aiter_raw()
        headers = response.headers
        self.request_id = headers.get("request-id") or headers.get("x-request-id")

    async def events(self) -> AsyncGenerator[list[SseEvent]]:
        """Give the events of each piece of the body, until it ends.

        Raises:
            Fault: `timeout`, `transport` or `garbage`.
        """
        decoder = SseDecoder(
            line_bytes_max=self._limits.line_bytes_max, event_bytes_max=self._limits.event_bytes_max
        )
        left = self._limits.body_bytes_max
        while chunk := await self._read():
            left -= len(chunk)
            if left < 0:
                raise Fault("garbage")
            try:
                found = decoder.feed(chunk)
            except SseTooLarge as error:
                raise Fault("garbage") from error
            if found:
                yield found

    async def linger(self) -> None:
        """After the last event: read what little is left, so that the connection can serve again."""
        with anyio.move_on_after(_LINGER_S):
            try:
                while await anext(self._body, b""):
                    pass
            except self._sdk.read_errors:
                pass  # The response is whole; what becomes of its connection changes nothing.

    async def _read(self) -> bytes:
        try:
            with anyio.fail_after(min(self._limits.idle_s, self._ends_at - anyio.current_time())):
                return await anext(self._body, b"")
        except TimeoutError:
            raise Fault("timeout") from None
        except self._sdk.read_errors as error:
            raise self._sdk.fault_of(error) from None


@asynccontextmanager
async def exchange(sdk: OpenedSdk, post: Post, limits: Limits) -> AsyncGenerator[Exchange]:
    """Send a request; leaving the block closes its connection unless the body was read to its end.

    Raises:
        Fault: there is no response, or it is no stream of events.
    """
    ends_at = anyio.current_time() + limits.total_s
    response = await _within(min(limits.first_byte_s, limits.total_s), sdk.post, post)
    try:
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            raise Fault("garbage")
        yield Exchange(sdk, response, limits, ends_at)
    finally:
        with anyio.CancelScope(shield=True):  # Does not wait for the provider.
            await response.aclose()


async def _within(seconds: float, function: Callable[[Post], Awaitable[_T]], post: Post) -> _T:
    try:
        with anyio.fail_after(seconds):
            return await function(post)
    except TimeoutError:
        raise Fault("timeout") from None
