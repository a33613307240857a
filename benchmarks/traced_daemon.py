"""`holdfastd`, but it writes down when each transaction was on disk.

`python -m benchmarks.traced_daemon FILE FLAG…`; at its end it writes `list[Commit]` to FILE as MessagePack.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast_daemon.__main__ import main
from holdfast_daemon.journal.sqlite import SQLiteStore
from holdfast_daemon.journal.store import Append

Commit = tuple[int, int]
"""The last seq of a transaction, and when it was synced (monotonic, ns)."""


def trace(commits: list[Commit]) -> None:
    """Note every append from now on; of one session, as the load has no more."""
    append = SQLiteStore.append

    def noted(self: SQLiteStore, appends: Sequence[Append]) -> None:
        append(self, appends)
        if appends[0].rows:
            commits.append((appends[0].rows[-1].seq, time.monotonic_ns()))

    SQLiteStore.append = noted


if __name__ == "__main__":
    commits: list[Commit] = []
    trace(commits)
    file = Path(sys.argv.pop(1))
    try:
        main()
    finally:
        file.write_bytes(msgspec.msgpack.encode(commits))
