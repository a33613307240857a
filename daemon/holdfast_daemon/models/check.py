"""Looks at each provider for a diagnosis, without spending money and without showing a key.

Without `online` nothing leaves this machine: variables are looked at, servers on it are asked. With it, each
provider whose key is set is asked which models it has, which is free, and tells whether the key is good.
"""

from collections.abc import Mapping
from typing import Final, Literal

import anyio
import msgspec

from holdfast_daemon.models.detect import TIMEOUT_S as LOCAL_TIMEOUT_S
from holdfast_daemon.models.detect import moved
from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.keys import complaint
from holdfast_daemon.models.listing import list_models
from holdfast_daemon.models.providers import PROVIDERS, on_this_machine
from holdfast_daemon.models.wire import Provider
from holdfast_protocol.events import ErrorInfo

TIMEOUT_S: Final = 10.0

State = Literal["answers", "key_set", "no_key", "unfit_key", "absent", "not_asked", "fails"]

_PREFIXES: Final[Mapping[str, str]] = {
    "anthropic": "sk-ant-",
    "openai": "sk-",
    "deepseek": "sk-",
    "moonshot": "sk-",
}
"""What a provider's own keys begin with; a gateway's may begin otherwise."""


class ProviderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one provider.

    Attributes:
        provider: its name.
        state: `answers` (with a list of models), `key_set` (and well formed; nobody was asked), `no_key`,
            `unfit_key` (no key of that provider looks so), `absent` (no server on this machine), `not_asked`
            (a server elsewhere, without `online`), `fails`.
        message: one sentence for a person; never a key or a part of one.
        key_variable: where its key is from, if it wants one.
        base_url: where it is reached.
        models: how many it lists, if it was asked.
        error: why it fails, as a run's error would say it.
    """

    provider: str
    state: State
    message: str
    key_variable: str | None
    base_url: str
    models: int | None = None
    error: ErrorInfo | None = None


async def check_providers(
    environ: Mapping[str, str],
    base_urls: Mapping[str, str] | None = None,
    *,
    online: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> tuple[ProviderCheck, ...]:
    """Look at all providers, at once; gives one check for each, in the order of `PROVIDERS`.

    Args:
        environ: keys are read from it now, and not kept.
        base_urls: by a provider's name, where it is not at its own address.
        online: ask those that are not on this machine.
        timeout_s: for each that is asked; those on this machine have a second at most.
    """
    found: dict[str, ProviderCheck] = {}

    async def check(provider: Provider) -> None:
        found[provider.name] = await _check(provider, environ, base_urls, timeout_s if online else None)

    async with anyio.create_task_group() as group:
        for provider in PROVIDERS.values():
            group.start_soon(check, provider)
    return tuple(found[name] for name in PROVIDERS)


async def _check(
    listed: Provider, environ: Mapping[str, str], base_urls: Mapping[str, str] | None, timeout_s: float | None
) -> ProviderCheck:
    provider = moved(listed, base_urls)
    if provider is None:
        return _said(listed, "fails", "Its base URL is none that anything may be sent to.")
    if provider.local:
        return await _check_local(provider, timeout_s)
    variable = provider.key_variable or ""
    key = environ.get(variable, "").strip()
    wrong = complaint(variable, key) or _unusual(provider, listed.base_url, variable, key)
    if wrong is not None:
        return _said(provider, "unfit_key" if key else "no_key", wrong)
    if timeout_s is None:
        return _said(provider, "key_set", f"{variable} is set.")
    return await _ask(provider, key, timeout_s)


async def _check_local(server: Provider, timeout_s: float | None) -> ProviderCheck:
    if on_this_machine(server.base_url):
        answer = await _ask(server, None, min(timeout_s or LOCAL_TIMEOUT_S, LOCAL_TIMEOUT_S))
        if answer.error is not None and answer.error.kind == "transport":
            return _said(server, "absent", f"Nobody listens at {server.base_url}.")
        return answer
    if timeout_s is None:
        return _said(server, "not_asked", f"{server.base_url} is another machine.")
    return await _ask(server, None, timeout_s)


def _unusual(provider: Provider, own_url: str, variable: str, key: str) -> str | None:
    """Say what is odd about a key that would go to the provider itself."""
    prefix = _PREFIXES.get(provider.name)
    if prefix is None or provider.base_url != own_url or key.startswith(prefix):
        return None
    return f"{variable} does not begin with {prefix}, as keys of {provider.name} do."


async def _ask(provider: Provider, key: str | None, timeout_s: float) -> ProviderCheck:
    try:
        models = await list_models(provider, key, timeout_s)
    except Fault as fault:
        error = fault.info(provider.name, key)
        return _said(provider, "fails", error.message, error=error)
    return _said(provider, "answers", f"It answers and lists {len(models)} models.", models=len(models))


def _said(
    provider: Provider,
    state: State,
    message: str,
    *,
    models: int | None = None,
    error: ErrorInfo | None = None,
) -> ProviderCheck:
    return ProviderCheck(
        provider=provider.name,
        state=state,
        message=message,
        key_variable=provider.key_variable,
        base_url=provider.base_url,
        models=models,
        error=error,
    )
