"""The benchmarks in their short form: every figure yields numbers, whatever they are here."""

import json
import math
import os
import re
import subprocess
import sys

import jsonschema_rs
import msgspec
import pytest

from benchmarks import ROOT, report
from benchmarks import __main__ as command
from benchmarks.pairs import Pair, Scale, alternate, percentile
from benchmarks.result import Figure, Machine, Report, Row, Spec, rows

QUICK = Scale(pairs=1, quick=True)

AIMED_AT = {
    "start": 4,
    "memory": 2,
    "fan-out": 5,
    "streaming": 8,
    "long-history": 1,
    "replay": 1,
    "ps": 2,
    "cancel": 1,
    "acp": 1,
}
"""How many rows of a figure have an aim."""


@pytest.mark.parametrize("figure", command.FIGURES, ids=lambda figure: figure.NAME)
def test_every_figure_yields_numbers(figure) -> None:
    measured = figure.measure(QUICK)
    assert measured
    assert len({row.name for row in measured}) == len(measured)
    for row in measured:
        numbers = [row.value, *row.values, *row.floors]
        assert all(math.isfinite(number) for number in numbers), row
        assert row.value == row.values[0]
        assert row.floor is None or (row.floor > 0 and row.floor_is is not None), row
        assert (row.met is None) == (row.aim is None), row
    assert sum(row.aim is not None for row in measured) == AIMED_AT.get(figure.NAME, 0)


def test_the_command_prints_a_table_and_writes_json_that_fits_its_schema(tmp_path) -> None:
    json_file, markdown_file = tmp_path / "results.json", tmp_path / "results.md"
    flags = ["--only", "decode", "--quick", "--json", str(json_file), "--markdown", str(markdown_file)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *flags], cwd=ROOT, capture_output=True, text=True, check=True
    )
    document = json.loads(json_file.read_bytes())
    jsonschema_rs.validator_for(msgspec.json.schema(Report)).validate(document)
    read = msgspec.convert(document, Report)
    assert [figure.name for figure in read.figures] == ["decode"]
    for row in read.figures[0].rows:
        assert row.name in done.stdout
        assert f"| {row.name} |" in markdown_file.read_text(encoding="utf-8")
    assert read.machine.cores == len(os.sched_getaffinity(0))


def test_an_unknown_figure_is_refused_by_name() -> None:
    command_line = [sys.executable, "-m", "benchmarks", "--only", "nothing"]
    done = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_every_second_pair_is_measured_the_other_way_round() -> None:
    order: list[str] = []

    def measured() -> dict[str, float]:
        order.append("measured")
        return {"x": 1.0}

    def floor() -> dict[str, float]:
        order.append("floor")
        return {"x": 2.0}

    pairs = alternate(3, measured, floor)
    assert order == ["measured", "floor", "floor", "measured", "measured", "floor"]
    assert pairs == [Pair({"x": 1.0}, {"x": 2.0})] * 3


def test_a_ratio_is_the_median_of_the_pairs_ratios() -> None:
    pairs = [Pair({"x": value}, {"x": floor}) for value, floor in ((2, 1), (30, 10), (8, 1))]
    (row,) = rows(pairs, [Spec("x", "it", "ms", "the least", aim=3)])
    assert (row.value, row.floor, row.ratio, row.met) == (8, 1, 3, True)


@pytest.mark.parametrize(("aim", "met"), [(5, True), (4.9, False)])
def test_an_aim_at_a_value_does_not_look_at_the_floor(aim: float, met: bool) -> None:
    (row,) = rows([Pair({"x": 5}, {"x": 1})], [Spec("x", "it", "MiB", "the least", aim, "value")])
    assert (row.ratio, row.met) == (5, met)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0.5, 1)])
def test_a_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_a_missed_aim_is_shouted_in_every_table() -> None:
    row = Row(
        name="it",
        unit="ms",
        value=9,
        values=[9],
        floor=1,
        floors=[1],
        ratio=9,
        aim=2,
        aim_of="ratio",
        met=False,
    )
    figure = Figure(name="f", title="t", rows=[row], load=(0.0, 0.0), seconds=1)
    machine = Machine(
        system="s", cpu="c", cores=1, memory_mib=1, python="p", sqlite="3", file_system="f", fdatasync_us=1
    )
    whole = Report(measured_at="now", version="1", pairs=1, quick=False, machine=machine, figures=[figure])
    for table in (report.text(whole), report.markdown(whole)):
        assert re.search(r"9\.00x\W+≤ 2x\W+NO", table)


def test_the_document_has_a_table_for_every_figure() -> None:
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [figure.NAME for figure in command.FIGURES] == re.findall(r"^## ([\w-]+):", document, re.MULTILINE)
