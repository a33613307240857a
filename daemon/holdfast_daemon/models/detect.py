"""Finds model servers on this machine: Ollama, LM Studio, llama.cpp, vLLM. Asks each which models it has.

Costs nothing, sends no key, and asks nobody but this machine. Who does not answer in time is not there.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import anyio
import msgspec

from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.listing import list_models
from holdfast_daemon.models.providers import PROVIDERS, KnownModel, checked_base_url, on_this_machine
from holdfast_daemon.models.wire import Provider, Target

TIMEOUT_S: Final = 1.0

_NO_CHAT: Final = re.compile(r"embed|rerank|whisper|(?:^|[/-])(?:bge|tts)-", re.IGNORECASE)
"""In names of models that do something else than talk."""


async def detect_local(
    base_urls: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
) -> tuple[KnownModel, ...]:
    """Ask all servers at once; gives what `providers.entry` makes catalogue entries of.

    The models stand in the order of the providers, and of each server's list; at most `MODELS_MAX` of each.

    Args:
        base_urls: by a provider's name, where it is not at its own address; one that is on another machine
            is not asked.
        timeout_s: for each server.
    """
    servers = [moved(provider, base_urls) for provider in PROVIDERS.values() if provider.local]
    asked = [server for server in servers if server is not None and on_this_machine(server.base_url)]
    found: dict[str, tuple[KnownModel, ...]] = {}
    async with anyio.create_task_group() as group:
        for server in asked:
            group.start_soon(_ask, server, timeout_s, found)
    return tuple(model for server in asked for model in found.get(server.name, ()))


def moved(provider: Provider, base_urls: Mapping[str, str] | None) -> Provider | None:
    """Give a provider where its base URL says; None if that is none to send anything to."""
    url = (base_urls or {}).get(provider.name)
    if url is None:
        return provider
    try:
        return msgspec.structs.replace(provider, base_url=checked_base_url(url))
    except ValueError:
        return None


async def _listens(server: Provider, timeout_s: float) -> bool:
    """Tell whether anybody listens there: nearly always nobody does, and then no HTTP client is imported."""
    parts = urlsplit(server.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with anyio.move_on_after(timeout_s):
        try:
            stream = await anyio.connect_tcp(parts.hostname or "", port)
        except OSError:
            return False
        await anyio.aclose_forcefully(stream)
        return True
    return False


async def _ask(server: Provider, timeout_s: float, found: dict[str, tuple[KnownModel, ...]]) -> None:
    if not await _listens(server, timeout_s):
        return
    try:
        listed = await list_models(server, None, timeout_s)
    except Fault:
        return  # Nobody is there, or somebody else.
    found[server.name] = tuple(
        KnownModel(
            target=Target(provider=server, id=model.id),
            description=f"Runs on this machine, by {server.name}.",
            context_tokens=model.context_tokens,
        )
        for model in listed
        if not _NO_CHAT.search(model.id)
    )
