"""Alternating pairs and the statistics over them."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

Sample = dict[str, float]
"""Numbers by name, of one measurement."""


class Pair(NamedTuple):
    """One measurement and, right beside it, its floor."""

    measured: Sample
    floor: Sample


class Scale(NamedTuple):
    """How much is measured."""

    pairs: int
    quick: bool

    def of(self, full: int, quick: int) -> int:
        """Give the size of a load."""
        return quick if self.quick else full


def alternate(count: int, measure: Callable[[], Sample], floor: Callable[[], Sample]) -> list[Pair]:
    """Measure both sides in turn, every second pair the other way round: what drifts, drifts for both.

    The first pair begins with `measure`, so that a floor can repeat what was recorded there.
    """
    pairs: list[Pair] = []
    for number in range(count):
        if number % 2:
            below = floor()
            pairs.append(Pair(measure(), below))
        else:
            measured = measure()
            pairs.append(Pair(measured, floor()))
    return pairs


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def spread(values: Sequence[float], prefix: str) -> Sample:
    """Give p50 and p99 under names that begin with `prefix`."""
    return {f"{prefix}_p50": percentile(values, 50), f"{prefix}_p99": percentile(values, 99)}
