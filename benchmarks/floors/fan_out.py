"""Stores recorded events in the log's tables and sends their frames: one thread, blocking calls.

`python -m benchmarks.floors.fan_out SOCKET RECORDING SUBSCRIBERS paced|unpaced`
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import apsw
import msgspec

from benchmarks.floors.database import CHECKPOINT_BYTES, open_database
from benchmarks.floors.sockets import accept, listen
from holdfast_daemon.journal.sqlite import SQLiteStore

Row = tuple[int, int, str, str | None, int, bytes]
Part = tuple[bytes, list[Row]]
"""A frame, and the rows of the transaction that comes before it."""

_SESSION = 1


def main(path: str, recording: Path, subscribers: int, *, paced: bool) -> None:
    """Store and send the recording; print what it took."""
    parts = recorded_parts(recording)
    listener = listen(path)
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        database = make_log(Path(directory))
        sockets = accept(listener, subscribers)
        commits: list[tuple[int, int]] = []
        began_at, began = parts[0][1][0][4], time.monotonic()
        before = time.process_time_ns()
        for frame, rows in parts:
            if paced:
                _wait_until(began + (rows[0][4] - began_at) / 1000)
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", rows)
            database.execute("COMMIT")
            commits.append((rows[-1][1], time.monotonic_ns()))
            for sock in sockets:
                sock.sendall(frame)
        cpu_ns = time.process_time_ns() - before
        database.close()
    events = sum(len(rows) for _, rows in parts)
    print(json.dumps({"cpu_ns": cpu_ns, "events": events, "commits": commits}), flush=True)


def recorded_parts(recording: Path) -> list[Part]:
    """Read what was recorded."""
    recorded = msgspec.msgpack.decode(
        recording.read_bytes(), type=list[tuple[bytes, list[tuple[int, str, str | None, int, bytes]]]]
    )
    return [(frame, [(_SESSION, *event) for event in events]) for frame, events in recorded]


def _wait_until(moment: float) -> None:
    """Wait as the model did that streamed the recording."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


def make_log(directory: Path) -> apsw.Connection:
    """Make a log with the daemon's tables, and open it again without the daemon's code."""
    SQLiteStore(directory, spill_bytes=2**20, checkpoint_bytes=CHECKPOINT_BYTES, truncate_bytes=2**30).close()
    return open_database(str(directory / "journal.db"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), paced=sys.argv[4] == "paced")
