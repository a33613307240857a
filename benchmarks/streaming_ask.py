"""What the processes of `streaming` are asked for: one response after the other, each a line on stdin.

Each answers with a line: the processor time it took from the request to the end of the response.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from benchmarks import ROOT
from benchmarks.wire import WAIT_S

Wire = Literal["messages", "responses", "chat"]
WIRES: tuple[Wire, ...] = ("messages", "responses", "chat")

PATHS: dict[Wire, str] = {
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
}
KEY = "sk-of-the-benchmarks"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A response: so many deltas, so many a second; 0: as fast as they are taken."""

    wire: Wire
    count: int
    per_second: int

    @property
    def prompt(self) -> str:
        """What makes the vendor answer so."""
        return f"stream {self.count} at {self.per_second}"


def asks() -> Iterator[Ask]:
    """Give what is asked for, until stdin ends."""
    return (msgspec.json.decode(line, type=Ask) for line in iter(sys.stdin.readline, ""))


def answer(cpu_ns: int) -> None:
    """Say what it took."""
    print(json.dumps({"cpu_ns": cpu_ns}), flush=True)


class Asked:
    """A process that is asked."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def cpu_ns(self, ask: Ask) -> int:
        """Let it stream; give what that took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(ask) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("A process that streams ended too early.")
        return int(json.loads(line)["cpu_ns"])

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextmanager
def started(module: str, *arguments: str) -> Iterator[tuple[Asked, str]]:
    """Run a module; give it, and the first line it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{module} did not start.")
            asked = Asked(process)
            yield asked, line.decode().strip()
            asked.end()
            process.wait(WAIT_S)
        finally:
            process.kill()
