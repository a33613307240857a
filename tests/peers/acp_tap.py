"""Runs a command and copies bytes both ways, keeping each line of either side: `acp_tap.py RECORD COMMAND…`.

A program of its own, so that a foreign client starts it as it would start the agent. Knows nothing of
messages.
"""

import contextlib
import os
import subprocess
import sys
import threading
from typing import IO

_PIECE_BYTES = 65536


class Record:
    """The lines of both sides, in the order in which they were seen whole."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115, PTH123 - for the program's life
        self._lock = threading.Lock()

    def put(self, sender: str, line: bytes) -> None:
        with self._lock:
            self._file.write(sender.encode() + b" " + line + b"\n")


def copy(source: int, sink: IO[bytes], sender: str, record: Record) -> None:
    """Copy to the source's end; a line is kept before its last piece goes on."""
    rest = b""
    while piece := os.read(source, _PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            record.put(sender, line)
        try:
            sink.write(piece)
            sink.flush()
        except BrokenPipeError:
            break
    with contextlib.suppress(BrokenPipeError):
        sink.close()


def main() -> int:
    record = Record(sys.argv[1])
    agent = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin is not None
    assert agent.stdout is not None
    threading.Thread(target=copy, args=(0, agent.stdin, "client", record), daemon=True).start()
    with open(1, "wb", buffering=0, closefd=False) as out:
        copy(agent.stdout.fileno(), out, "agent", record)
    return agent.wait()


if __name__ == "__main__":
    sys.exit(main())
