"""Models that the user's plugins declare, as the catalogue takes them. Imported when models are asked for.

Those of projects are left out: a model gets a key, and no project says where a key goes.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from holdfast_daemon.extensions.loader import load_plugins
from holdfast_daemon.extensions.manifest import ModelEntry, Price
from holdfast_daemon.models.providers import PROVIDERS, KnownModel, checked_base_url
from holdfast_daemon.models.wire import Provider, Target


def declared_models(config_dir: Path) -> tuple[KnownModel, ...]:
    """Read the user's plugins and give their models; a plugin with a mistake brings none. Blocks.

    A model of a provider we know is called as that provider's are, `anthropic/…`; any other `PLUGIN/…`.

    Args:
        config_dir: holds `plugins/`.
    """
    return tuple(
        model
        for plugin in load_plugins(config_dir / "plugins", "user")
        if plugin.manifest is not None
        for entry in plugin.manifest.models
        for model in _model(plugin.name, entry)
    )


def _model(plugin: str, entry: ModelEntry) -> Iterator[KnownModel]:
    provider = _provider(plugin, entry)
    if provider is not None:
        yield KnownModel(
            target=Target(provider=provider, id=entry.called, own_prices=_prices(entry.price)),
            description=f"Declared by the plugin {plugin}.",
            context_tokens=entry.context,
        )


def _provider(plugin: str, entry: ModelEntry) -> Provider | None:
    """Give where the model is; None if that is no place to send a key to."""
    known = PROVIDERS.get(entry.provider)
    if known is None and entry.base_url is None:
        return None
    try:
        url = checked_base_url(entry.base_url) if entry.base_url is not None else None
    except ValueError:
        return None
    if known is None:
        assert url is not None
        return Provider(name=plugin, base_url=url, key_variable=entry.api_key_env)
    return msgspec.structs.replace(
        known,
        base_url=url or known.base_url,
        key_variable=entry.api_key_env or known.key_variable,
    )


def _prices(price: Price | None) -> tuple[float, float, float | None, float | None] | None:
    return None if price is None else (price.input, price.output, price.cache_read, price.cache_write)
