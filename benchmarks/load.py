"""A stream in which nothing merges, at a pace, to so many subscribers."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.daemon import Daemon, temporary_home
from benchmarks.floors import process
from benchmarks.pairs import Sample, Scale, alternate
from benchmarks.reader import Config
from benchmarks.readers import Frame, Readers, connected
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import Wire

RUN_END = '"type":"run_completed"'

_BLOCKS = 16


class Case(NamedTuple):
    """A load.

    Attributes:
        events: in a full and in a quick run.
        per_second: deltas come in a burst every 10 ms; None: as fast as they are taken.
    """

    key: str
    subscribers: int
    per_second: int | None
    events: tuple[int, int]

    def count(self, scale: Scale) -> int:
        return scale.of(*self.events)


class Streamed(NamedTuple):
    """What one run of the load took.

    Attributes:
        stored: events committed meanwhile.
        transactions: in which they were.
        cpu_ns: of the daemon, until every subscriber had all.
    """

    stored: int
    transactions: int
    cpu_ns: int


def measured(
    cases: Sequence[Case],
    scale: Scale,
    stream_of: Callable[[Case, Scale, Path], Sample],
    floor_of: Callable[[Case, Path, Path], Sample],
    specs_of: Callable[[Case], list[Spec]],
) -> list[Row]:
    """Measure each case in pairs; the floor repeats what the daemon's side has recorded."""
    found: list[Row] = []
    for case in cases:
        with temporary_home() as home:
            recording = home / "recording"
            pairs = alternate(
                scale.pairs,
                lambda case=case, recording=recording: stream_of(case, scale, recording),
                lambda case=case, home=home, recording=recording: floor_of(case, home, recording),
            )
            found += rows(pairs, specs_of(case))
    return found


@contextmanager
def subscribed(daemon: Daemon, session_id: str, count: int, traces: Path | None) -> Iterator[Readers]:
    """Let so many subscribers wait at the head."""
    config = Config(path=daemon.socket, sockets=0, until=RUN_END, token=daemon.token, session=session_id)
    with connected(config, count, traces) as readers:
        yield readers


Script = Callable[[Case, int], str]
"""Gives the prompt that makes a daemon stream so many deltas of a case."""


def warm_up(daemon: Daemon, wire: Wire, session_id: str, case: Case, text_of: Script) -> Streamed:
    """Run the load's prompt with hardly a delta and no subscriber; give what that alone takes.

    Blocks start and end, the run begins and completes.
    """
    before, cpu_before = wire.call("daemon/status")["journal"], daemon.cpu_ns
    content = [{"type": "text", "text": text_of(case, _BLOCKS)}]
    run_id = wire.call("session/prompt", sessionId=session_id, content=content)["runId"]
    wire.call("session/wait", sessionId=session_id, runId=run_id)
    return _since(before, cpu_before, daemon, wire)


def stream(
    daemon: Daemon,
    wire: Wire,
    session_id: str,
    readers: Readers,
    case: Case,
    count: int,
    text_of: Script | None = None,
) -> Streamed:
    """Stream the load to subscribers that wait."""
    before, cpu_before = wire.call("daemon/status")["journal"], daemon.cpu_ns
    content = [{"type": "text", "text": (text_of or script)(case, count)}]
    wire.call("session/prompt", sessionId=session_id, content=content)
    readers.wait()
    return _since(before, cpu_before, daemon, wire)


def _since(before: dict[str, int], cpu_before: int, daemon: Daemon, wire: Wire) -> Streamed:
    cpu_ns = daemon.cpu_ns - cpu_before
    after = wire.call("daemon/status")["journal"]
    if after["merged"] != before["merged"]:
        raise RuntimeError("Events of the load were merged.")
    return Streamed(
        after["committed"] - before["committed"], after["transactions"] - before["transactions"], cpu_ns
    )


def emitted(case: Case, count: int) -> str:
    """Give the prompt that makes the emitting daemon stream it."""
    load = {"count": count, "blocks": _BLOCKS, "per_second": case.per_second, "text": "tick "}
    return json.dumps(load)


def script(case: Case, count: int) -> str:
    """Give the prompt that makes the offline model stream it."""
    pace = f", per_second: {case.per_second}" if case.per_second else ""
    return f'script:\n  - interleave: {{blocks: {_BLOCKS}, count: {count}, text: "tick "{pace}}}\n'


def save_recording(frames: list[Frame], path: Path) -> None:
    """Write down frames for a floor to store and send."""
    path.write_bytes(msgspec.msgpack.encode([(frame.data, frame.events) for frame in frames if frame.events]))


def run_floor(
    home: Path,
    recording: Path,
    case: Case,
    traces: Path | None,
    use: Callable[[dict[str, Any], Readers], Sample],
    module: str = "fan_out",
) -> Sample:
    """Let a floor store and send a recording to as many readers; `use` gets what it and they measured."""
    path = str(home / "floor")
    paced = "paced" if case.per_second else "unpaced"
    config = Config(path=path, sockets=0, until=RUN_END)
    with (
        process.commanded(module, path, str(recording), str(case.subscribers), paced) as floor,
        connected(config, case.subscribers, traces) as readers,
    ):
        result = floor.go()
        readers.wait()
        return use(result, readers)
