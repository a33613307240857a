"""Times, amounts and tokens as a person reads them."""

from collections.abc import Mapping
from typing import Any


def duration(milliseconds: float) -> str:
    """Give a length of time: `850 ms`, `12.4 s`, `3 min 05 s`, `2 h 07 min`, `4 d`."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    if seconds < 48 * 3600:
        return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"
    return f"{int(seconds) // 86400} d"


def age(milliseconds: float) -> str:
    """Give how long ago something was, in one unit: `now`, `5 min`, `3 h`, `12 d`."""
    seconds = milliseconds / 1000
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def size(count: int) -> str:
    """Give an amount of memory: `45 MiB`."""
    return f"{count / 2**20:.0f} MiB" if count >= 2**20 else f"{count / 2**10:.0f} KiB"


def tokens(usage: Mapping[str, Any]) -> str:
    """Give a usage: `1,234 tokens in (800 cached), 56 out`; `about` where no provider counted."""
    cached = usage.get("cacheRead", 0)
    whole = usage.get("input", 0) + cached + usage.get("cacheWrite5m", 0) + usage.get("cacheWrite1h", 0)
    about = "about " if usage.get("estimated") else ""
    of_cache = f" ({cached:,} cached)" if cached else ""
    return f"{about}{whole:,} tokens in{of_cache}, {usage.get('output', 0):,} out"


def cost(amount: Mapping[str, Any] | None) -> str | None:
    """Give a price, None where it is unknown, which is not the same as nothing."""
    if amount is None:
        return None
    currency = amount.get("currency", "USD")
    figure = f"{amount['amount']:.4f}"
    return f"${figure}" if currency == "USD" else f"{figure} {currency}"
