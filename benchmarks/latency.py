"""Added latency: from an event's commit to its arrival at a subscriber."""

import sys
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import load
from benchmarks.daemon import running, temporary_home
from benchmarks.load import Case
from benchmarks.pairs import Sample, Scale, spread
from benchmarks.readers import Frame
from benchmarks.result import Row, Spec
from benchmarks.traced_daemon import Commit

NAME = "latency"
TITLE = "from an event's commit to its arrival at the last subscribers to be served, 10,000 events a second"

CASES = (
    Case("one", 1, 10_000, (10_000, 200)),
    Case("ten", 10, 10_000, (10_000, 200)),
    Case("hundred", 100, 10_000, (5_000, 100)),
)

_FLOOR_IS = "the same as of `fan-out`: one thread that commits, then sends"


def measure(scale: Scale) -> list[Row]:
    """Measure each number of subscribers."""
    return load.measured(CASES, scale, _stream, _floor, _specs)


def _specs(case: Case) -> list[Spec]:
    number = f"{case.subscribers} subscriber" + ("s" if case.subscribers > 1 else "")
    return [
        Spec(f"{case.key}_p50", f"{number}, p50", "us", _FLOOR_IS),
        Spec(f"{case.key}_p99", f"{number}, p99", "us", _FLOOR_IS),
    ]


def _stream(case: Case, scale: Scale, recording: Path) -> Sample:
    with temporary_home() as home:
        trace = home / "commits"
        command = (sys.executable, "-m", "benchmarks.traced_daemon", str(trace))
        with running(home, command) as daemon, daemon.connect() as wire:
            session_id = daemon.create_session(wire)
            with load.subscribed(daemon, session_id, case.subscribers, home) as readers:
                load.stream(daemon, wire, session_id, readers, case, case.count(scale))
                traced = readers.frames()
        load.save_recording(traced[0], recording)
        commits = msgspec.msgpack.decode(trace.read_bytes(), type=list[Commit])
    return spread(_latencies_us(commits, traced), case.key)


def _floor(case: Case, home: Path, recording: Path) -> Sample:
    return load.run_floor(
        home,
        recording,
        case,
        home,
        lambda result, readers: spread(_latencies_us(result["commits"], readers.frames()), case.key),
    )


def _latencies_us(commits: Sequence[Sequence[int]], traced: list[list[Frame]]) -> list[float]:
    """Give each event's way from its commit to each traced subscriber, in us.

    Args:
        commits: the last seq of each transaction and when it was on disk, in order.
        traced: what each traced subscriber read.
    """
    heads = [seq for seq, _ in commits]
    return [
        (frame.arrived_ns - commits[bisect_left(heads, event[0])][1]) / 1000
        for frames in traced
        for frame in frames
        for event in frame.events
    ]
