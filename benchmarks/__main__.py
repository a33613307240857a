"""Measures figures and prints them beside their floors.

python -m benchmarks [--only NAME] [--pairs N] [--quick] [--json FILE] [--markdown FILE]
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import msgspec

from benchmarks import (
    acp,
    cancel,
    decode,
    fan_out,
    latency,
    machine,
    memory,
    ps,
    replay,
    report,
    round_trip,
    start,
    streaming,
    streaming_history,
)
from benchmarks.pairs import Scale
from benchmarks.result import Figure, Report

FIGURES: tuple[ModuleType, ...] = (
    start,
    memory,
    round_trip,
    fan_out,
    streaming,
    streaming_history,
    latency,
    replay,
    ps,
    cancel,
    decode,
    acp,
)
"""In the order in which they are printed; each has NAME, TITLE and `measure(scale)`."""


def main() -> None:
    """Measure what was asked for."""
    arguments = _parser().parse_args()
    scale = Scale(arguments.pairs or (1 if arguments.quick else 5), arguments.quick)
    chosen = [figure for figure in FIGURES if not arguments.only or figure.NAME in arguments.only]
    measured = Report(
        measured_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=version("holdfast-daemon"),
        pairs=scale.pairs,
        quick=scale.quick,
        machine=machine.facts(),
        figures=[_measure(figure, scale) for figure in chosen],
    )
    print(report.text(measured))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(measured)) + b"\n")
    if arguments.markdown:
        arguments.markdown.write_text(report.markdown(measured), encoding="utf-8")


def _measure(figure: ModuleType, scale: Scale) -> Figure:
    before, load = time.monotonic(), os.getloadavg()[0]
    print(f"{figure.NAME} …", file=sys.stderr, flush=True)
    rows = figure.measure(scale)
    return Figure(
        name=figure.NAME,
        title=figure.TITLE,
        rows=rows,
        load=(load, os.getloadavg()[0]),
        seconds=round(time.monotonic() - before, 1),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure holdfast.")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=[figure.NAME for figure in FIGURES],
        help="measure only this figure; may be given several times: %(choices)s",
    )
    parser.add_argument("--pairs", metavar="N", type=_positive, help="pairs of each figure (5)")
    parser.add_argument(
        "--quick", action="store_true", help="one pair and tiny loads: shows that it works, not how well"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there too")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the tables there too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    main()
