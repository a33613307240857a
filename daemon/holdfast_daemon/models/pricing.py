"""What a response costs, by a dated table (`prices.json`). An unknown price is None, never 0.

    cost = Σ tokens of a class · price of the class, over five classes of `Usage`; `reasoning` is in `output`

A class without a price is priced as input (the table then knows of no difference). Prices that
depend on the size of the prompt or on the hour of the day are in the table, too.
"""

from functools import cache
from importlib import resources
from typing import Final

import msgspec

from holdfast_daemon.models.wire import Target
from holdfast_protocol.events import Cost, Usage

_PER: Final = 1_000_000
_MINUTES_A_DAY: Final = 24 * 60


class Prices(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """For a million tokens of each class."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write_5m: float | None = msgspec.field(default=None, name="cacheWrite5m")
    cache_write_1h: float | None = msgspec.field(default=None, name="cacheWrite1h")


class Tier(Prices, frozen=True, kw_only=True):
    """Where the whole input has more than `above` tokens, for all of the request."""

    above: int


class Period(Prices, frozen=True, kw_only=True):
    """From a minute of the day, in UTC, to before another."""

    from_minute: int
    to_minute: int


class ModelPrices(Prices, frozen=True, kw_only=True):
    """Of one model."""

    tiers: tuple[Tier, ...] = ()
    periods: tuple[Period, ...] = ()


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All prices of one day. Names are the catalogue's: `provider/model`."""

    as_of: str
    source: str
    currency: str
    per_million_tokens: dict[str, ModelPrices]


@cache
def table() -> PriceTable:
    """Read the table; a few kilobytes, once."""
    data = resources.files("holdfast_daemon.models").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(data, type=PriceTable)


def price(target: Target, usage: Usage, at_s: float) -> Cost | None:
    """Give the cost of one response, None where it is not known.

    Args:
        target: the model.
        usage: its tokens.
        at_s: when it was asked for, Unix time.
    """
    if target.own_prices is not None:
        return Cost(amount=amount(_own(target.own_prices), usage))
    currency = table().currency
    if target.provider.local:
        return Cost(amount=0.0, currency=currency)
    known = table().per_million_tokens.get(f"{target.provider.name}/{target.id}")
    if known is None:
        return None
    return Cost(amount=amount(_applying(known, usage, at_s), usage), currency=currency)


def _own(prices: tuple[float, float, float | None, float | None]) -> Prices:
    read, write = prices[2:]
    return Prices(
        input=prices[0], output=prices[1], cache_read=read, cache_write_5m=write, cache_write_1h=write
    )


def amount(prices: Prices, usage: Usage) -> float:
    """Apply the formula."""
    read, short, long = (
        prices.input if own is None else own
        for own in (prices.cache_read, prices.cache_write_5m, prices.cache_write_1h)
    )
    return (
        usage.input * prices.input
        + usage.cache_read * read
        + usage.cache_write_5m * short
        + usage.cache_write_1h * long
        + usage.output * prices.output
    ) / _PER


def _applying(known: ModelPrices, usage: Usage, at_s: float) -> Prices:
    minute = int(at_s // 60) % _MINUTES_A_DAY
    for period in known.periods:
        if period.from_minute <= minute < period.to_minute:
            return period
    total = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    return max(
        (tier for tier in known.tiers if total > tier.above), key=lambda tier: tier.above, default=known
    )
