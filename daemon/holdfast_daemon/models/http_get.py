"""One GET with a bounded answer. Imports an HTTP client: import this one on first use, in a thread."""

import functools
import time
from collections.abc import Mapping

import anyio
import anyio.to_thread
import httpx2

from holdfast_daemon.models import http
from holdfast_daemon.models.errors import Fault, refusal


async def get(url: str, headers: Mapping[str, str], *, timeout_s: float, bytes_max: int) -> bytes:
    """Give the body of a successful answer. Redirects are not followed.

    Args:
        url: https, or http to this machine.
        headers: of the request.
        timeout_s: for all of it.
        bytes_max: of the body; more is no answer.

    Raises:
        Fault: there was no answer, or it is no success.
    """
    make = functools.partial(http.make_plain_client, tls=url.startswith("https:"))
    try:
        with anyio.fail_after(timeout_s):
            # In a thread: it reads the certificates of all authorities.
            async with (
                await anyio.to_thread.run_sync(make) as client,
                client.stream("GET", url, headers=dict(headers)) as response,
            ):
                return await _body(response, bytes_max)
    except TimeoutError:
        fault = Fault("timeout")
    except http.ERRORS as error:
        fault = http.fault_of(error)
    raise fault  # Out here, so that no context leads from it to a request with its key.


async def _body(response: httpx2.Response, bytes_max: int) -> bytes:
    if not response.is_success:
        body = await response.aread()  # Bounded: see `http`.
        raise refusal(response.status_code, response.headers, body, time.time())
    pieces: list[bytes] = []
    left = bytes_max
    async for piece in response.aiter_raw():
        left -= len(piece)
        if left < 0:
            raise Fault("garbage")
        pieces.append(piece)
    return b"".join(pieces)
