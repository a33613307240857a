"""The SDK `openai`. The one module that imports it: import this one on first use, in a thread.

The SDK gives authentication, addresses and the types of its errors. It retries nothing, and the environment
configures nothing here: what it would read is removed when it is opened (the key is not: it is read for us).
"""

import logging
import os
import time
from typing import Final, cast

import httpx2
import openai

from holdfast_daemon.models import http
from holdfast_daemon.models.errors import Fault, refusal
from holdfast_daemon.models.sdk import Post

_READ_BEHIND_OUR_BACK: Final = (
    "OPENAI_ADMIN_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_CUSTOM_HEADERS",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
)


class OpenaiSdk:
    """See `OpenedSdk`."""

    read_errors = http.ERRORS

    def __init__(self) -> None:
        self._http = http.make_client(openai.DefaultAioHttpClient)

    async def post(self, request: Post) -> httpx2.Response:
        """Send; see `OpenedSdk.post`."""
        # Made for one request, so that no object keeps a key; costs a fraction of a millisecond.
        client = openai.AsyncOpenAI(
            api_key=request.key,
            base_url=request.base_url,
            max_retries=0,
            timeout=http.timeouts(),
            http_client=self._http,
        )
        try:
            answer = await client.post(
                request.path,
                cast_to=httpx2.Response,
                content=http.pieces(request.body),
                options={"headers": http.headers(request.body, request.headers)},
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
            return cast("httpx2.Response", answer)  # What `cast_to` says, of which the types know nothing.
        except openai.APIStatusError as error:
            refused = error.response
            fault = refusal(refused.status_code, refused.headers, refused.content, time.time())
        except (openai.APIConnectionError, *http.ERRORS) as error:
            fault = http.fault_of(error)
        raise fault  # Out here, so that no context leads from it to a request with its key.

    def fault_of(self, error: Exception) -> Fault:
        """See `OpenedSdk.fault_of`."""
        return http.fault_of(error)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def open_sdk() -> OpenaiSdk:
    """Make a pool of connections."""
    for name in _READ_BEHIND_OUR_BACK:
        os.environ.pop(name, None)
    logging.getLogger("openai").setLevel(logging.WARNING)  # Below that it logs requests.
    return OpenaiSdk()
