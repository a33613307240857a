"""The installed command: `holdfast ps` against a daemon that runs."""

import sys
from pathlib import Path

from benchmarks.clocks import Cost, run, run_python
from benchmarks.daemon import environ, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate, median
from benchmarks.result import Row, Spec, rows

NAME = "ps"
TITLE = "the installed `holdfast ps` against a running daemon with 10 sessions"

_RUNS = (20, 2)
_SESSIONS = 10
_FLOOR_IS = "`python -c pass`"
_SPECS = [
    Spec("cpu", "`holdfast ps`, CPU", "ms", _FLOOR_IS, 4),
    Spec("wall", "`holdfast ps`, wall", "ms", _FLOOR_IS, 4),
]


def measure(scale: Scale) -> list[Row]:
    """Measure the whole process, as a prompt or a status line would run it."""
    with temporary_home() as home, running(home) as daemon:
        with daemon.connect() as wire:
            for _ in range(_SESSIONS):
                daemon.create_session(wire)
        runs = scale.of(*_RUNS)
        command = str(Path(sys.executable).with_name("holdfast"))
        pairs = alternate(
            scale.pairs,
            lambda: _sample([run([command, "ps"], environ(home)) for _ in range(runs)]),
            lambda: _sample([run_python("pass") for _ in range(runs)]),
        )
        return rows(pairs, _SPECS)


def _sample(costs: list[Cost]) -> Sample:
    return {
        "cpu": median([cost.cpu_ms for cost in costs]),
        "wall": median([cost.wall_ms for cost in costs]),
    }
