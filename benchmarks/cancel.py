"""Cancelling: from a cancel's being written to its run's end being seen by another client."""

import fcntl
import sys
import termios
import time

from benchmarks import wire
from benchmarks.daemon import Daemon, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate, percentile
from benchmarks.result import Row, Spec, rows
from benchmarks.wire import Wire

NAME = "cancel"

_CALLS_BEFORE = 1000
_ROUNDS = (10, 2)
_BLOCKS = (42, 8)
"""Blocks of 128,000 characters, as deltas and once more in the blocks' ends: over 10 MiB, and 2 MiB."""

TITLE = f"cancel past 10 MiB unread and {_CALLS_BEFORE} calls before it, to the run's end"

_HANG = "script:\n  - text: {value: I wait., end: false}\n    hang: true\n"
_STALLED_BYTES = 64 * 1024
_CANCEL_ID = 1_000_000
_FLOOR_IS = "a cancel by the same client with nothing unread and no call before it"
_SPECS = [
    Spec("p50", "p50", "ms", _FLOOR_IS),
    Spec("p99", "p99 (the longest of a pair)", "ms", _FLOOR_IS, 50, "value"),
]


class Room:
    """A session with a backlog, and a client that watches its head."""

    def __init__(self, daemon: Daemon, observer: Wire, blocks: int) -> None:
        self.daemon = daemon
        self.observer = observer
        self.session_id = daemon.create_session(observer)
        backlog = "script:\n  -\n" + blocks * f"    - text: {{value: {'x' * 500}, repeat: 256}}\n"
        run_id = self.prompt(backlog)
        observer.call("session/wait", sessionId=self.session_id, runId=run_id)
        observer.call("session/subscribe", sessionId=self.session_id)

    def prompt(self, text: str) -> str:
        """Start a run."""
        content = [{"type": "text", "text": text}]
        result = self.observer.call("session/prompt", sessionId=self.session_id, content=content)
        return str(result["runId"])

    def hanging_run(self) -> str:
        """Start a run that waits to be cancelled."""
        run_id = self.prompt(_HANG)
        self._read_to(b'"type":"token_delta"', run_id)
        return run_id

    def cancelled(self, canceller: Wire, run_id: str, before: bytes = b"") -> float:
        """Cancel a run; give the milliseconds until its end is seen."""
        params = {"sessionId": self.session_id, "runId": run_id}
        cancel = wire.request(_CANCEL_ID, "session/cancel", params)
        canceller.sock.sendall(before)
        written = time.perf_counter_ns()
        canceller.sock.sendall(cancel)
        self._read_to(b'"type":"run_cancelled"', run_id)
        return (time.perf_counter_ns() - written) / 1e6

    def _read_to(self, kind: bytes, run_id: str) -> None:
        own = b'"runId":"%b"' % run_id.encode()
        while kind not in (line := self.observer.line()) or own not in line:
            pass


def measure(scale: Scale) -> list[Row]:
    """Measure rounds of both kinds, one after the other in one session."""
    with temporary_home() as home, running(home) as daemon, daemon.connect() as observer:
        room = Room(daemon, observer, scale.of(*_BLOCKS))
        rounds = scale.of(*_ROUNDS)
        pairs = alternate(
            scale.pairs,
            lambda: _sample([_past_backlog(room) for _ in range(rounds)]),
            lambda: _sample([_alone(room) for _ in range(rounds)]),
        )
        return rows(pairs, _SPECS)


def _sample(took: list[float]) -> Sample:
    return {"p50": percentile(took, 50), "p99": percentile(took, 99)}


def _alone(room: Room) -> float:
    run_id = room.hanging_run()
    with room.daemon.connect() as canceller:
        return room.cancelled(canceller, run_id)


def _past_backlog(room: Room) -> float:
    run_id = room.hanging_run()
    with room.daemon.connect() as canceller:
        params = {"sessionId": room.session_id, "after": "start"}
        canceller.sock.sendall(wire.request(1, "session/subscribe", params))
        _until_it_stalls(canceller, room.observer)
        return room.cancelled(canceller, run_id, _calls(room.session_id))


def _until_it_stalls(canceller: Wire, observer: Wire) -> None:
    """Wait until the kernel takes no more events for a reader that does not read."""
    waiting = -1
    while (before := waiting) < _STALLED_BYTES or waiting > before:
        observer.call("ping")
        answer = fcntl.ioctl(canceller.sock.fileno(), termios.FIONREAD, b"\0\0\0\0")
        waiting = int.from_bytes(answer, sys.byteorder)


def _calls(session_id: str) -> bytes:
    """Give calls that are served in turn, wait, or are refused because so many are in flight."""
    wait = {"sessionId": session_id, "runId": "r1", "timeoutMs": 600_000}
    read = {"sessionId": session_id, "limit": 1}
    return b"".join(
        wire.request(number, "session/wait", wait)
        if number % 2
        else wire.request(number, "session/read", read)
        for number in range(10_000, 10_000 + _CALLS_BEFORE)
    )
