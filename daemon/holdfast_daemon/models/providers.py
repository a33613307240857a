"""The providers there are, as data: addresses, key variables, quirks, and the models each is known to have.

A provider's models are in the catalogue when its key's variable is set; the key itself is not read for that.
Servers on this machine want no key, and what they have is known only when they are asked: `entry` makes an
entry of any model of any provider.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from holdfast_daemon.models.anthropic import Messages
from holdfast_daemon.models.catalogue import CatalogueEntry
from holdfast_daemon.models.openai_chat import ChatCompletions
from holdfast_daemon.models.openai_responses import Responses
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.sdk import Sdks
from holdfast_daemon.models.wire import Provider, Target, Wire
from holdfast_protocol.methods.catalogue import ModelInfo

_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))
_MILLION: Final = 1_000_000

MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,200}")
"""What may stand behind the provider in a model's name."""

_MESSAGES: Final = Messages()
_RESPONSES: Final = Responses()
_CHAT: Final = ChatCompletions()

ANTHROPIC: Final = Provider(
    name="anthropic", base_url="https://api.anthropic.com", key_variable="ANTHROPIC_API_KEY"
)
OPENAI: Final = Provider(name="openai", base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY")
DEEPSEEK: Final = Provider(
    name="deepseek",
    base_url="https://api.deepseek.com",
    key_variable="DEEPSEEK_API_KEY",
    reasoning_back="tool_calls",
    images=False,
    output_limit="max_tokens",
    thinking_switch=True,
    tool_choice=False,  # Refused while it thinks.
)
MOONSHOT: Final = Provider(
    name="moonshot",
    base_url="https://api.moonshot.ai/v1",
    key_variable="MOONSHOT_API_KEY",
    reasoning_back="tool_calls",
    output_limit="max_completion_tokens",
    thinking_switch=True,
)
OLLAMA: Final = Provider(name="ollama", base_url="http://127.0.0.1:11434/v1", local=True)
LM_STUDIO: Final = Provider(name="lmstudio", base_url="http://127.0.0.1:1234/v1", local=True)
LLAMA_CPP: Final = Provider(name="llamacpp", base_url="http://127.0.0.1:8080/v1", local=True)
VLLM: Final = Provider(name="vllm", base_url="http://127.0.0.1:8000/v1", local=True)

PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider
    for provider in (ANTHROPIC, OPENAI, DEEPSEEK, MOONSHOT, OLLAMA, LM_STUDIO, LLAMA_CPP, VLLM)
}


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model a provider lists.

    Attributes:
        context_tokens: its window.
    """

    target: Target
    description: str
    context_tokens: int | None = None


def _known(provider: Provider, model: str, description: str, window: int, **how: object) -> KnownModel:
    target = msgspec.structs.replace(Target(provider=provider, id=model), **how)
    return KnownModel(target=target, description=description, context_tokens=window)


_EFFORTS: Final = ("low", "high", "max")  # What DeepSeek and Kimi K3 take for low, medium and high.

KNOWN_MODELS: Final = (
    _known(ANTHROPIC, "claude-sonnet-5-5", "Anthropic's middle model.", _MILLION),
    _known(ANTHROPIC, "claude-fable-5-2", "Anthropic's most capable.", _MILLION),
    _known(ANTHROPIC, "claude-opus-5-5", "Anthropic's large model.", _MILLION),
    _known(ANTHROPIC, "claude-haiku-5-5", "Anthropic's small, fast model.", _MILLION),
    _known(ANTHROPIC, "claude-haiku-4-5", "Anthropic's earlier small model.", 200_000, thinking="budget"),
    _known(OPENAI, "gpt-6.1-terra", "OpenAI's middle model.", 1_050_000),
    _known(OPENAI, "gpt-6-astra", "OpenAI's most capable.", 1_050_000),
    _known(OPENAI, "gpt-6.1-sol", "OpenAI's large model.", 1_050_000),
    _known(OPENAI, "gpt-6-luna", "OpenAI's small, fast model.", 1_050_000),
    _known(DEEPSEEK, "deepseek-v4-pro", "DeepSeek's large model.", _MILLION, efforts=_EFFORTS),
    _known(DEEPSEEK, "deepseek-flash", "DeepSeek's small, fast model.", _MILLION, efforts=_EFFORTS),
    _known(MOONSHOT, "kimi-k3", "Moonshot's large model.", 1_048_576, thinking="always", efforts=_EFFORTS),
    _known(MOONSHOT, "kimi-k2.7-code", "Moonshot's model for code.", 262_144, thinking="always"),
    _known(MOONSHOT, "kimi-k2.6", "Moonshot's earlier model.", 262_144),
)
"""Of each provider the one for most work first: where a session names no model, it gets that."""


def provider_entries(
    sdks: Sdks, environ: Mapping[str, str] = os.environ, base_urls: Mapping[str, str] | None = None
) -> tuple[CatalogueEntry, ...]:
    """Give the entries of all providers whose key is there.

    Args:
        sdks: who sends; shared, closed by its owner.
        environ: looked at for names now, and for values at each request.
        base_urls: by a provider's name, for mirrors and gateways.

    Raises:
        ValueError: a base URL is not one to send a key to.
    """
    return tuple(
        entry(known, sdks, environ=environ, base_url=(base_urls or {}).get(known.target.provider.name))
        for known in KNOWN_MODELS
        if environ.get(known.target.provider.key_variable or "")
    )


def named_entry(
    name: str, sdks: Sdks, environ: Mapping[str, str] = os.environ, base_urls: Mapping[str, str] | None = None
) -> CatalogueEntry | None:
    """Give the entry of any model of a provider, listed or not, by its name `PROVIDER/MODEL`.

    None if there is no such provider. Whether it has such a model, and a key is set, shows when it is asked.

    Raises:
        ValueError: the base URL is not one to send a key to.
    """
    provider_name, _, model = name.partition("/")
    provider = PROVIDERS.get(provider_name)
    if provider is None or not MODEL_ID.fullmatch(model):
        return None
    known = [
        known for known in KNOWN_MODELS if known.target.provider is provider and known.target.id == model
    ]
    unknown = KnownModel(
        target=Target(provider=provider, id=model), description=f"A model of {provider_name}."
    )
    return entry(
        known[0] if known else unknown, sdks, environ=environ, base_url=(base_urls or {}).get(provider_name)
    )


def entry(
    known: KnownModel,
    sdks: Sdks,
    *,
    environ: Mapping[str, str] = os.environ,
    base_url: str | None = None,
) -> CatalogueEntry:
    """Give the entry of one model.

    Raises:
        ValueError: the base URL is not one to send a key to.
    """
    target = known.target
    if base_url is not None:
        moved = msgspec.structs.replace(target.provider, base_url=checked_base_url(base_url))
        target = msgspec.structs.replace(target, provider=moved)
    info = ModelInfo(
        name=f"{target.provider.name}/{target.id}",
        provider=target.provider.name,
        description=known.description,
        context_tokens=known.context_tokens,
    )
    return CatalogueEntry(info=info, make=_maker(info, target, sdks, environ))


def on_this_machine(url: str) -> bool:
    """Whether a URL leads to this machine, by its host alone."""
    return urlsplit(url).hostname in _LOOPBACK


def checked_base_url(url: str) -> str:
    """Give the URL back if a key may be sent there: https, or http to this machine, and nothing secret in it.

    Raises:
        ValueError: says why not, without the URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and on_this_machine(url)):
        raise ValueError("a base URL is https, or http to this machine")
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a base URL is a host and a path: no user, query or fragment")
    return url.rstrip("/")


def _maker(
    info: ModelInfo, target: Target, sdks: Sdks, environ: Mapping[str, str]
) -> Callable[[], ProviderModel]:
    return lambda: ProviderModel(info, target, _wire(target.provider), sdks, key_of=environ.get)


def _wire(provider: Provider) -> Wire:
    return {"anthropic": _MESSAGES, "openai": _RESPONSES}.get(provider.name, _CHAT)
