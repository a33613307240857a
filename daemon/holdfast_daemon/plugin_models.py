"""Models that the user's plugins declare, as the catalogue takes them. Imported when models are asked for.

Those of projects are left out: a model gets a key, and no project says where a key goes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from holdfast_daemon.extensions.loader import load_plugins
from holdfast_daemon.extensions.manifest import ModelEntry, Price
from holdfast_daemon.models.providers import KNOWN_MODELS, PROVIDERS, KnownModel, checked_base_url
from holdfast_daemon.models.wire import Provider, Target


def _name(model: KnownModel) -> str:
    return f"{model.target.provider.name}/{model.target.id}"


_KNOWN: Final = frozenset(map(_name, KNOWN_MODELS))


def declared_models(config_dir: Path) -> tuple[KnownModel, ...]:
    """Read the user's plugins and give their models; a plugin with a mistake brings none. Blocks.

    A model that is where a provider we know is, is called as that provider's are, `anthropic/…`; any other
    `PLUGIN/…`. One we know stays as it is, and of a name the first counts.

    Args:
        config_dir: holds `plugins/`.
    """
    found: dict[str, KnownModel] = {}
    for plugin in load_plugins(config_dir / "plugins", "user"):
        for entry in plugin.manifest.models if plugin.manifest is not None else ():
            for model in _model(plugin.name, entry):
                found.setdefault(_name(model), model)
    return tuple(model for name, model in found.items() if name not in _KNOWN)


def _model(plugin: str, entry: ModelEntry) -> Iterator[KnownModel]:
    provider = _provider(plugin, entry)
    if provider is not None:
        yield KnownModel(
            target=Target(provider=provider, id=entry.called, own_prices=_prices(entry.price)),
            description=f"Declared by the plugin {plugin}.",
            context_tokens=entry.context,
        )


def _provider(plugin: str, entry: ModelEntry) -> Provider | None:
    """Give where the model is; None if that is no place to send a key to.

    An address of its own gets the key that is named for it, or none: never that of the provider.
    """
    known = PROVIDERS.get(entry.provider)
    if entry.base_url is None:
        if known is None or entry.api_key_env is None:
            return known
        return msgspec.structs.replace(known, key_variable=entry.api_key_env)
    try:
        url = checked_base_url(entry.base_url)
    except ValueError:
        return None
    like = known or Provider(name=plugin, base_url=url)
    return msgspec.structs.replace(like, name=plugin, base_url=url, key_variable=entry.api_key_env)


def _prices(price: Price | None) -> tuple[float, float, float | None, float | None] | None:
    return None if price is None else (price.input, price.output, price.cache_read, price.cache_write)
