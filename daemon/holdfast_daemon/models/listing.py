"""Asks a provider which models it has: the one request that costs nothing.

All providers answer it in one form: `{"data": [{"id": …}, …]}`. The HTTP client is imported on first use.
"""

import importlib
from typing import Any, Final, Protocol, cast

import anyio.to_thread
import msgspec

from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.providers import ANTHROPIC, MODEL_ID
from holdfast_daemon.models.wire import Provider

BODY_BYTES_MAX: Final = 1024 * 1024
MODELS_MAX: Final = 256
"""Of one provider; those behind are left out."""

_ANTHROPIC_VERSION: Final = "2026-10-21"  # The one the SDK speaks.


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model a provider says it has.

    Attributes:
        context_tokens: its window, where the provider says it (vLLM, Moonshot, Anthropic).
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


class _HttpGet(Protocol):
    async def get(self, url: str, headers: dict[str, str], *, timeout_s: float, bytes_max: int) -> bytes: ...


async def list_models(provider: Provider, key: str | None, timeout_s: float) -> tuple[ListedModel, ...]:
    """Ask for the models, at most `MODELS_MAX`, in the provider's order.

    Args:
        provider: who is asked, once.
        key: sent if there is one; can be sent (`keys.complaint`).
        timeout_s: for the request, without the time an import takes.

    Raises:
        Fault: there was no answer, or it is no such list.
    """
    module = await anyio.to_thread.run_sync(importlib.import_module, "holdfast_daemon.models.http_get")
    http_get = cast("_HttpGet", module)
    headers = {"accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    path = "/models"
    if provider.name == ANTHROPIC.name:
        path = "/v1/models?limit=1000"
        headers["anthropic-version"] = _ANTHROPIC_VERSION
    return _listed(
        await http_get.get(provider.base_url + path, headers, timeout_s=timeout_s, bytes_max=BODY_BYTES_MAX)
    )


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
