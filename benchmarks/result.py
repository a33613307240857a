"""The shapes of results: what is printed, and what the JSON holds."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from benchmarks.pairs import Pair, median


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beside its floor.

    Attributes:
        name: what was measured.
        unit: of `value` and `floor`.
        value: the median of `values`.
        floor: the median of `floors`; None where there is nothing to compare with.
        floor_is: what the floor does.
        ratio: the median of the pairs' ratios; None without a floor.
        aim: what `aim_of` should be at most; None where nothing was aimed at.
        met: whether it is.
        values: one for each pair, in order.
        floors: the same.
    """

    name: str
    unit: str
    value: float
    values: list[float]
    floor: float | None = None
    floor_is: str | None = None
    floors: list[float] = []
    ratio: float | None = None
    aim: float | None = None
    aim_of: Literal["ratio", "value"] | None = None
    met: bool | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What one module measured.

    Attributes:
        load: the load average over a minute before and after: a figure taken beside other work says less.
    """

    name: str
    title: str
    rows: list[Row]
    load: tuple[float, float]
    seconds: float


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    system: str
    cpu: str
    cores: int
    memory_mib: int
    python: str
    sqlite: str
    file_system: str
    fdatasync_us: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the command."""

    measured_at: str
    version: str
    pairs: int
    quick: bool
    machine: Machine
    figures: list[Figure]


class Spec(NamedTuple):
    """How a measured number becomes a row: `key` names it in the samples of both sides."""

    key: str
    name: str
    unit: str
    floor_is: str | None = None
    aim: float | None = None
    aim_of: Literal["ratio", "value"] = "ratio"


def rows(pairs: Sequence[Pair], specs: Sequence[Spec]) -> list[Row]:
    """Make the rows of a figure; numbers that were not measured here are left out."""
    return [_row(pairs, spec) for spec in specs if all(spec.key in pair.measured for pair in pairs)]


def _row(pairs: Sequence[Pair], spec: Spec) -> Row:
    values = [pair.measured[spec.key] for pair in pairs]
    floors = [pair.floor[spec.key] for pair in pairs if spec.key in pair.floor]
    ratios = [value / floor for value, floor in zip(values, floors, strict=False) if floor]
    ratio = median(ratios) if ratios else None
    judged = ratio if spec.aim_of == "ratio" else median(values)
    return Row(
        name=spec.name,
        unit=spec.unit,
        value=median(values),
        values=values,
        floor=median(floors) if floors else None,
        floor_is=spec.floor_is if floors else None,
        floors=floors,
        ratio=ratio,
        aim=spec.aim,
        aim_of=spec.aim_of if spec.aim is not None else None,
        met=None if spec.aim is None or judged is None else judged <= spec.aim,
    )
