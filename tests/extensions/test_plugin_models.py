"""Models of the user's plugins: in the catalogue where their key is set, with their own window and prices."""

from pathlib import Path

import pytest

from holdfast_daemon.models.catalogue import AUTO, BUILT_IN, Catalogue
from holdfast_daemon.models.pricing import price
from holdfast_daemon.models.provider_source import ProviderSource
from holdfast_daemon.plugin_models import declared_models
from holdfast_protocol.events import Cost, Usage

MODELS = """\
name: mine
version: '1'
models:
  - provider: openai_compat
    name: deepseek-chat
    base_url: https://api.deepseek.com
    api_key_env: MY_API_KEY
    context: 65536
    price: {input: 2, output: 4, cache_read: 1}
  - {provider: anthropic, model: claude-mine, api_key_env: ANTHROPIC_API_KEY}
  - {provider: openai_compat, name: far, base_url: "http://example.org"}
  - {provider: nobody, name: lost}
"""


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins" / "mine"
    folder.mkdir(parents=True)
    (folder / "plugin.yaml").write_text(MODELS, encoding="utf-8")
    return tmp_path


async def listed(config_dir: Path, **environ: str) -> dict[str, int | None]:
    catalogue = Catalogue(AUTO, source=ProviderSource(environ, {}, lambda: declared_models(config_dir)))
    await catalogue.ready()
    return {model.name: model.context_tokens for model in catalogue.models}


async def test_a_model_is_listed_when_its_key_is_set(config_dir: Path) -> None:
    nothing = await listed(config_dir)
    assert list(nothing) == [entry.info.name for entry in BUILT_IN]
    mine = await listed(config_dir, MY_API_KEY="k")
    assert mine["mine/deepseek-chat"] == 65536
    theirs = await listed(config_dir, ANTHROPIC_API_KEY="k")
    assert "anthropic/claude-mine" in theirs
    assert "anthropic/claude-sonnet-5-5" in theirs


async def test_one_at_a_place_no_key_may_go_to_or_of_a_provider_nobody_knows_is_left_out(
    config_dir: Path,
) -> None:
    assert [model.target.id for model in declared_models(config_dir)] == ["deepseek-chat", "claude-mine"]


async def test_its_own_prices_go_before_the_table(config_dir: Path) -> None:
    model = declared_models(config_dir)[0]
    usage = Usage(input=1_000_000, cache_read=1_000_000, cache_write_5m=1_000_000, output=1_000_000)
    assert price(model.target, usage, 0) == Cost(amount=2 + 1 + 2 + 4)


async def test_a_reload_takes_up_what_changed(config_dir: Path) -> None:
    environ = {"MY_API_KEY": "k"}
    catalogue = Catalogue(AUTO, source=ProviderSource(environ, {}, lambda: declared_models(config_dir)))
    await catalogue.ready()
    manifest = config_dir / "plugins" / "mine" / "plugin.yaml"
    manifest.write_text(MODELS.replace("name: deepseek-chat", "name: other"), encoding="utf-8")
    await catalogue.ready()
    assert catalogue.default == "mine/deepseek-chat"
    catalogue.forget()
    await catalogue.ready()
    assert catalogue.default == "mine/other"
    assert catalogue.get("mine/deepseek-chat") is None
