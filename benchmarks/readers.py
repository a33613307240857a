"""Many readers in a few processes, and what they recorded."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks import ROOT
from benchmarks.reader import Chunk, Config
from benchmarks.wire import WAIT_S

PROCESSES_MAX = 2
"""Readers share processes: a hundred processes would measure the scheduler."""

Stored = tuple[int, str, str | None, int, bytes]
"""An event as it lies in the log: seq, type, run, at, body."""


class Frame(NamedTuple):
    """One `session/events` as it arrived."""

    arrived_ns: int
    data: bytes
    events: list[Stored]


class _Place(msgspec.Struct):
    seq: int
    at: int
    type: str
    run: str | None = msgspec.field(default=None, name="runId")


class _Params(msgspec.Struct):
    events: list[msgspec.Raw] = []


class _Message(msgspec.Struct):
    method: str | None = None
    params: _Params | None = None


_message = msgspec.json.Decoder(_Message)
_place = msgspec.json.Decoder(_Place)


class Readers:
    """The processes, all connected. The last connection of each is traced, if any is."""

    def __init__(self, processes: "list[subprocess.Popen[bytes]]", traces: list[Path]) -> None:
        self._processes = processes
        self._traces = traces

    def go(self) -> None:
        """Let those begin that read from the start."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()

    def wait(self) -> None:
        """Wait until all have read the end."""
        for process in self._processes:
            _expect(process, b"done\n")

    def frames(self) -> list[list[Frame]]:
        """Give what each traced connection read, after `wait`."""
        for process in self._processes:
            process.wait(WAIT_S)
        return [_frames(trace) for trace in self._traces]


@contextmanager
def connected(config: Config, count: int, traces: Path | None = None) -> Iterator[Readers]:
    """Connect so many readers.

    Args:
        config: what each does; `sockets` and `trace` are filled in.
        count: how many.
        traces: a directory for what they read; None to keep nothing.
    """
    shares = [count // PROCESSES_MAX + (number < count % PROCESSES_MAX) for number in range(PROCESSES_MAX)]
    processes: list[subprocess.Popen[bytes]] = []
    paths: list[Path] = []
    try:
        for number, share in enumerate(filter(None, shares)):
            path = traces / f"trace-{number}" if traces is not None else None
            processes.append(_start(config, share, path))
            paths += [path] if path is not None else []
        for process in processes:
            _expect(process, b"ready\n")
        yield Readers(processes, paths)
        for process in processes:
            process.communicate(timeout=WAIT_S)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _start(config: Config, sockets: int, trace: Path | None) -> "subprocess.Popen[bytes]":
    own = msgspec.structs.replace(config, sockets=sockets, trace=str(trace) if trace else None)
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reader", msgspec.json.encode(own).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


def _expect(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != line:
        raise RuntimeError("A reader ended too early.")


def _frames(trace: Path) -> list[Frame]:
    """Cut what was read into frames; each arrived with the chunk that completes it."""
    chunks = msgspec.msgpack.decode(trace.read_bytes(), type=list[Chunk])
    frames: list[Frame] = []
    rest = b""
    for arrived_ns, data in chunks:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            message = _message.decode(line)
            if message.method == "session/events" and message.params is not None:
                events = [_stored(bytes(body)) for body in message.params.events]
                frames.append(Frame(arrived_ns, line + b"\n", events))
    return frames


def _stored(body: bytes) -> Stored:
    place = _place.decode(body)
    return place.seq, place.type, place.run, place.at, body
