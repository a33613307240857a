"""Usage by class (every vendor counts in its own way), and what it costs by the dated table."""

import json
from datetime import date

import msgspec
import pytest

from holdfast_daemon.models.pricing import price, table
from holdfast_daemon.models.providers import ANTHROPIC, DEEPSEEK, KNOWN_MODELS, OLLAMA
from holdfast_daemon.models.usage import (
    AnthropicUsage,
    ChatUsage,
    ResponsesUsage,
    anthropic_usage,
    chat_usage,
    latest,
    responses_usage,
)
from holdfast_daemon.models.wire import Target
from holdfast_protocol.events import Usage

NOON_S = 12 * 3600.0


def _said(text: dict[str, object], kind: type) -> object:
    return msgspec.json.decode(json.dumps(text), type=kind)


def test_anthropics_later_figures_take_the_place_of_the_earlier_ones() -> None:
    start = AnthropicUsage(input_tokens=10, output_tokens=1, cache_read_input_tokens=5)
    middle = latest(start, AnthropicUsage(output_tokens=40))
    usage = anthropic_usage(latest(middle, AnthropicUsage(input_tokens=10, output_tokens=90)))
    assert (usage.input, usage.cache_read, usage.output) == (10, 5, 90)


def test_anthropics_writes_are_split_by_how_long_they_are_kept() -> None:
    start = _said(
        {
            "input_tokens": 1,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "service_tier": "standard",
        },
        AnthropicUsage,
    )
    assert isinstance(start, AnthropicUsage)
    later = latest(start, AnthropicUsage(cache_creation_input_tokens=30, output_tokens=2))
    assert anthropic_usage(later) == Usage(input=1, cache_write_5m=10, cache_write_1h=20, output=2)


def test_openais_input_includes_what_was_cached_and_ours_does_not() -> None:
    said = _said(
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 4},
        },
        ResponsesUsage,
    )
    assert isinstance(said, ResponsesUsage)
    expected = Usage(input=10, cache_read=60, cache_write_5m=30, output=9, reasoning=4)
    assert responses_usage(said) == expected


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_tokens_details": {"cached_tokens": 60}},
        {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        {"cached_tokens": 60},
    ],
    ids=["openai", "deepseek", "moonshot"],
)
def test_what_was_cached_is_found_wherever_a_compatible_provider_says_it(cached: dict[str, object]) -> None:
    said = _said({"prompt_tokens": 100, "completion_tokens": 9, **cached}, ChatUsage)
    assert isinstance(said, ChatUsage)
    assert chat_usage(said) == Usage(input=40, cache_read=60, output=9)


def test_a_part_that_is_said_to_be_more_than_the_whole_is_never_negative() -> None:
    said = ChatUsage(prompt_tokens=10, prompt_cache_hit_tokens=60, completion_tokens=-3)
    assert chat_usage(said) == Usage(input=0, cache_read=10)


def test_the_cost_is_the_sum_over_the_classes_and_reasoning_is_not_added_again() -> None:
    model = Target(provider=ANTHROPIC, id="claude-opus-5-5")
    usage = Usage(
        input=1_000_000,
        cache_read=2_000_000,
        cache_write_5m=1_000_000,
        cache_write_1h=1_000_000,
        output=1_000_000,
        reasoning=900_000,
    )
    cost = price(model, usage, NOON_S)
    assert cost is not None
    assert cost.amount == pytest.approx(4 + 2 * 0.2 + 5 + 8 + 20)
    assert cost.currency == "USD"


def test_an_unknown_price_is_unknown_and_not_0() -> None:
    assert price(Target(provider=ANTHROPIC, id="claude-of-tomorrow"), Usage(output=1), NOON_S) is None


def test_what_runs_on_this_machine_costs_nothing() -> None:
    cost = price(Target(provider=OLLAMA, id="anything"), Usage(output=1_000_000), NOON_S)
    assert cost is not None
    assert cost.amount == 0


def test_a_long_prompt_has_its_own_price_for_the_whole_request() -> None:
    model = Target(provider=ANTHROPIC, id="claude-sonnet-4-5")
    short = price(model, Usage(input=100_000, cache_read=100_000), NOON_S)
    long = price(model, Usage(input=100_000, cache_read=100_001), NOON_S)
    assert short is not None
    assert long is not None
    assert long.amount == pytest.approx(2 * short.amount, rel=1e-4)


@pytest.mark.parametrize(
    ("hour", "dollars"), [(0.9, 0.66), (1.0, 1.32), (3.9, 1.32), (4.0, 0.66), (12.0, 0.66)]
)
def test_deepseeks_price_depends_on_the_hour(hour: float, dollars: float) -> None:
    at_s = 1_790_000_000 // 86400 * 86400 + hour * 3600
    cost = price(Target(provider=DEEPSEEK, id="deepseek-v4-pro"), Usage(input=1_000_000), at_s)
    assert cost is not None
    assert cost.amount == pytest.approx(dollars)


def test_the_table_is_dated_and_knows_every_model_that_is_listed() -> None:
    assert date.fromisoformat(table().as_of)
    known = table().per_million_tokens
    assert [model.target.id for model in KNOWN_MODELS if _name(model.target) not in known] == []


def _name(target: Target) -> str:
    return f"{target.provider.name}/{target.id}"
