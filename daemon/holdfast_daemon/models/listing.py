"""Asks a provider which models it has: the one request that costs nothing. Imports an HTTP client: on first use.

All providers answer `GET …/models` in one form: `{"data": [{"id": …}, …]}`.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import anyio
import anyio.to_thread
import httpx2
import msgspec

from holdfast_daemon.models import http
from holdfast_daemon.models.errors import Fault, refusal
from holdfast_daemon.models.providers import MODEL_ID

BODY_BYTES_MAX: Final = 1024 * 1024
MODELS_MAX: Final = 256
"""Of one provider; those behind are left out."""


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model a provider says it has.

    Attributes:
        context_tokens: its window, where the server says it (vLLM, Moonshot, Anthropic).
    """

    id: str
    context_tokens: int | None = None


class _Model(msgspec.Struct):
    id: str
    max_model_len: Any = None
    context_length: Any = None
    max_input_tokens: Any = None


class _List(msgspec.Struct):
    data: list[_Model]


_LIST: Final = msgspec.json.Decoder(_List)


async def list_models(url: str, headers: Mapping[str, str], timeout_s: float) -> tuple[ListedModel, ...]:
    """Ask for the models, at most `MODELS_MAX`, in the server's order.

    Args:
        url: of the list; asked once, redirects are not followed.
        headers: with the key, where one is wanted.
        timeout_s: for all of it.

    Raises:
        Fault: there was no answer, or it is no such list.
    """
    try:
        with anyio.fail_after(timeout_s):
            return _listed(await _get(url, headers))
    except TimeoutError:
        fault = Fault("timeout")
    except http.ERRORS as error:
        fault = http.fault_of(error)
    raise fault  # Out here, so that no context leads from it to a request with its key.


async def _get(url: str, headers: Mapping[str, str]) -> bytes:
    # In a thread: it reads the certificates of all authorities.
    async with await anyio.to_thread.run_sync(http.make_plain_client) as client:
        async with client.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                body = await response.aread()  # Bounded: see `http`.
                raise refusal(response.status_code, response.headers, body, time.time())
            return await _bounded(response)


async def _bounded(response: httpx2.Response) -> bytes:
    pieces: list[bytes] = []
    left = BODY_BYTES_MAX
    async for piece in response.aiter_raw():
        left -= len(piece)
        if left < 0:
            raise Fault("garbage")
        pieces.append(piece)
    return b"".join(pieces)


def _listed(body: bytes) -> tuple[ListedModel, ...]:
    try:
        found = _LIST.decode(body).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Fault("garbage") from error
    fit = [model for model in found if MODEL_ID.fullmatch(model.id)]
    return tuple(ListedModel(id=model.id, context_tokens=_window(model)) for model in fit[:MODELS_MAX])


def _window(model: _Model) -> int | None:
    said = (model.max_model_len, model.context_length, model.max_input_tokens)
    return next((tokens for tokens in said if type(tokens) is int and tokens > 0), None)
