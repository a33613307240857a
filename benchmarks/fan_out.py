"""Emit → journal → subscribers: processor time for each stored event."""

import sys
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.daemon import running, temporary_home
from benchmarks.load import Case
from benchmarks.pairs import Sample, Scale
from benchmarks.readers import Readers
from benchmarks.result import Row, Spec

NAME = "fan-out"
TITLE = "emit → journal → subscribers, for each stored event (nothing merges)"

CASES = (
    Case("steady", 1, 1_000, (5_000, 100)),
    Case("one", 1, 10_000, (20_000, 200)),
    Case("ten", 10, 10_000, (20_000, 200)),
    Case("hundred", 100, 10_000, (10_000, 100)),
    Case("unpaced", 1, None, (50_000, 500)),
)

_FLOOR_IS = (
    "group commit of the same bytes in transactions of the same size at the same pace, "
    "then a blocking `send` of the same frame to each socket"
)


def measure(scale: Scale) -> list[Row]:
    """Measure each number of subscribers."""
    return load.measured(CASES, scale, _stream, _floor, _specs)


def _specs(case: Case) -> list[Spec]:
    number = f"{case.subscribers} subscriber" + ("s" if case.subscribers > 1 else "")
    pace = f"{case.per_second:,}/s" if case.per_second else "unpaced"
    return [
        Spec(f"{case.key}_cpu", f"{number}, {pace}, CPU an event", "us", _FLOOR_IS, 2),
        Spec(f"{case.key}_least", f"{number}, {pace}, the same in the least Python", "us", _FLOOR_IS),
        Spec(f"{case.key}_size", f"{number}, {pace}, events in a transaction", ""),
    ]


def _stream(case: Case, scale: Scale, recording: Path) -> Sample:
    """Stream to subscribers; what any run takes is not counted to the deltas."""
    command = (sys.executable, "-m", "benchmarks.emitting_daemon")
    with temporary_home() as home, running(home, command) as daemon, daemon.connect() as wire:
        session_id = daemon.create_session(wire)
        load.warm_up(daemon, wire, session_id, case, load.emitted)  # The first run loads modules.
        base = load.warm_up(daemon, wire, session_id, case, load.emitted)
        with load.subscribed(daemon, session_id, case.subscribers, home) as readers:
            count = case.count(scale)
            streamed = load.stream(daemon, wire, session_id, readers, case, count, load.emitted)
            load.save_recording(readers.frames()[0], recording)
    least = load.run_floor(recording.parent, recording, case, None, _cpu, module="least_python")
    return {
        f"{case.key}_cpu": (streamed.cpu_ns - base.cpu_ns) / (streamed.stored - base.stored) / 1000,
        f"{case.key}_least": least["cpu"],
        f"{case.key}_size": streamed.stored / streamed.transactions,
    }


def _floor(case: Case, home: Path, recording: Path) -> Sample:
    cpu = load.run_floor(home, recording, case, None, _cpu)["cpu"]
    return {f"{case.key}_cpu": cpu, f"{case.key}_least": cpu}


def _cpu(result: dict[str, Any], _readers: Readers) -> Sample:
    return {"cpu": result["cpu_ns"] / result["events"] / 1000}
