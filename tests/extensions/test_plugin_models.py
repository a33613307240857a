"""Models of the user's plugins: in the catalogue where their key is set, with their own window and prices."""

from pathlib import Path

import pytest

from holdfast_daemon.extensions.loader import load_plugins
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
  - {provider: openai_compat, name: far, base_url: "http://example.org", api_key_env: MY_API_KEY}
  - {provider: nobody, name: lost}
"""

KNOWN = "claude-sonnet-5-5"


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


def declare(config_dir: Path, *models: str, name: str = "mine") -> None:
    text = f"name: {name}\nversion: '1'\nmodels:\n" + "".join(f"  - {{{model}}}\n" for model in models)
    (config_dir / "plugins" / "mine" / "plugin.yaml").write_text(text, encoding="utf-8")


ELSEWHERE = "base_url: 'https://elsewhere.example/v1'"


@pytest.mark.parametrize("provider", ["deepseek", "ollama", "openai_compat"])
def test_a_model_elsewhere_has_to_say_whose_key_it_gets(config_dir: Path, provider: str) -> None:
    declare(config_dir, f"provider: {provider}, name: {KNOWN}, {ELSEWHERE}")
    assert declared_models(config_dir) == ()
    (plugin,) = load_plugins(config_dir / "plugins", "user")
    assert plugin.manifest is None
    (problem,) = plugin.problems
    assert (problem.line, problem.field) == (4, "models[0].base_url")
    assert "api_key_env" in problem.message


async def test_a_model_elsewhere_is_the_plugins_and_has_no_key_but_its_own(config_dir: Path) -> None:
    declare(config_dir, f"provider: deepseek, name: deepseek-v4-pro, {ELSEWHERE}, api_key_env: MY_API_KEY")
    (model,) = declared_models(config_dir)
    provider = model.target.provider
    assert (provider.name, provider.key_variable) == ("mine", "MY_API_KEY")
    assert (provider.base_url, provider.reasoning_back) == ("https://elsewhere.example/v1", "tool_calls")
    names = await listed(config_dir, MY_API_KEY="k", DEEPSEEK_API_KEY="k")
    assert "mine/deepseek-v4-pro" in names
    assert names["deepseek/deepseek-v4-pro"] == 1_000_000


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_what_speaks_a_vendors_own_api_is_where_the_vendor_is(config_dir: Path, provider: str) -> None:
    declare(config_dir, f"provider: {provider}, name: x, {ELSEWHERE}, api_key_env: MY_API_KEY")
    assert declared_models(config_dir) == ()
    (problem,) = load_plugins(config_dir / "plugins", "user")[0].problems
    assert f"base_urls.{provider}" in problem.message


def test_a_server_on_this_machine_needs_no_key_and_gets_none(config_dir: Path) -> None:
    declare(config_dir, "provider: deepseek, name: x, base_url: 'http://127.0.0.1:9999/v1'")
    (model,) = declared_models(config_dir)
    assert (model.target.provider.name, model.target.provider.key_variable) == ("mine", None)


async def test_a_known_model_stays_what_it_is(config_dir: Path) -> None:
    declare(
        config_dir,
        f"provider: anthropic, name: {KNOWN}, api_key_env: MY_API_KEY, context: 7",
        "provider: anthropic, name: other, api_key_env: MY_API_KEY",
    )
    assert [model.target.id for model in declared_models(config_dir)] == ["other"]
    assert (await listed(config_dir, MY_API_KEY="k", ANTHROPIC_API_KEY="k"))[
        f"anthropic/{KNOWN}"
    ] == 1_000_000


def test_no_plugin_takes_a_providers_name_for_models_elsewhere(config_dir: Path) -> None:
    model = f"provider: openai_compat, name: anything, {ELSEWHERE}, api_key_env: MY_API_KEY"
    declare(config_dir, model, name="anthropic")
    assert declared_models(config_dir) == ()
    (problem,) = load_plugins(config_dir / "plugins", "user")[0].problems
    assert "anthropic" in problem.message


def test_of_a_name_the_first_plugin_counts(config_dir: Path) -> None:
    model = "provider: anthropic, name: other, api_key_env: {}"
    declare(config_dir, model.format("MY_API_KEY"), model.format("OTHER_API_KEY"))
    (only,) = declared_models(config_dir)
    assert only.target.provider.key_variable == "MY_API_KEY"
