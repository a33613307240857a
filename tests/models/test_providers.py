"""Which models are there, and that knowing them costs nothing."""

import subprocess
import sys

import pytest

from holdfast_daemon.models.catalogue import BUILT_IN, Catalogue
from holdfast_daemon.models.providers import (
    DEEPSEEK,
    KNOWN_MODELS,
    OLLAMA,
    PROVIDERS,
    KnownModel,
    checked_base_url,
    entry,
    provider_entries,
)
from holdfast_daemon.models.sdk import Sdks
from holdfast_daemon.models.wire import Target


def test_a_providers_models_are_there_when_its_key_is() -> None:
    assert provider_entries(Sdks(), {"PATH": "/bin", "OPENAI_API_KEY": ""}) == ()
    entries = provider_entries(Sdks(), {"DEEPSEEK_API_KEY": "k"})
    catalogue = Catalogue(entries=BUILT_IN + entries)
    names = [info.name for info in catalogue.models]
    assert names == ["offline/rehearsal", "deepseek/deepseek-v4-pro", "deepseek/deepseek-flash"]
    model = catalogue.get("deepseek/deepseek-flash")
    assert model is not None
    assert model.info.provider == "deepseek"


def test_every_provider_with_a_key_has_models_and_each_has_its_own_name() -> None:
    keys = {provider.key_variable: "k" for provider in PROVIDERS.values() if provider.key_variable}
    entries = provider_entries(Sdks(), keys)
    assert len({each.info.name for each in entries}) == len(KNOWN_MODELS) == len(entries)
    assert all(each.make().info == each.info for each in entries)


def test_any_model_of_a_server_on_this_machine_can_be_an_entry() -> None:
    known = KnownModel(target=Target(provider=OLLAMA, id="qwen3:8b"), description="Local.")
    made = entry(known, Sdks(), environ={}, base_url="http://localhost:11435/v1/")
    assert made.info.name == "ollama/qwen3:8b"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.deepseek.com",
        "ftp://127.0.0.1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://",
        "http://127.0.0.1.example.com",
    ],
)
def test_a_key_is_not_sent_to_an_address_that_gives_it_away(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as raised:
        provider_entries(Sdks(), {DEEPSEEK.key_variable or "": "k"}, {"deepseek": url})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://gateway.example/deepseek", "http://127.0.0.1:8080/v1", "http://[::1]/"]
)
def test_gateways_and_servers_on_this_machine_are_addresses(url: str) -> None:
    assert checked_base_url(url) == url.rstrip("/")


def test_no_sdk_is_imported_before_a_model_is_spoken_to() -> None:
    program = (
        "import sys; from holdfast_daemon.models import providers, sdk\n"
        "[e.make() for e in providers.provider_entries(sdk.Sdks(), {'OPENAI_API_KEY': 'k'})]\n"
        "print({'anthropic', 'openai', 'httpx2', 'aiohttp', 'pydantic'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
