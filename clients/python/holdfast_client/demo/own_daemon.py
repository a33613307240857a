"""The demo's own daemon: a child process, started, killed and started again by its handle."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from holdfast_client.demo.broken import StoryBroken
from holdfast_client.demo.place import Place
from holdfast_client.shell import spawn

READY_TIMEOUT_S: Final = 30.0
"""A cold start takes a tenth of a second; a starved machine has needed many."""

END_TIMEOUT_S: Final = 10.0

_IDLE_EXIT_S: Final = 60
"""So that nothing stays if the demo itself is killed."""

_READY_BYTES_MAX: Final = 64 * 1024
_COMPLAINT_CHARS_MAX: Final = 400


class OwnDaemon:
    """One owner. `end` must be called in any case.

    Args:
        place: whose home it serves.
        keep: whether it may stay when the demo is over; then its own idle exit ends it.
    """

    def __init__(self, place: Place, *, keep: bool) -> None:
        self._place = place
        self._idle_exit = [] if keep else ["--idle-exit", str(_IDLE_EXIT_S)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; it serves when this returns.

        Raises:
            StoryBroken: it did not become ready.
            holdfast_client.shell.exit_codes.Unreachable: there is no `holdfastd`.
        """
        ready, ready_of_daemon = os.pipe()
        try:
            try:
                self._process = self._execute(ready_of_daemon)
            finally:
                os.close(ready_of_daemon)
            with anyio.move_on_after(READY_TIMEOUT_S):
                await anyio.wait_readable(ready)
                if os.read(ready, _READY_BYTES_MAX):
                    return
        finally:
            os.close(ready)
        raise StoryBroken(f"the daemon did not start: {self._complaint()}")

    async def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        await anyio.to_thread.run_sync(self._process.wait)

    def end(self) -> None:
        """Ask it to end; if it does not in time, kill it. Never leaves it behind."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _execute(self, ready: int) -> "subprocess.Popen[bytes]":
        program = spawn.find_daemon(os.environ)
        with self._stderr.open("ab") as stderr:
            return subprocess.Popen(  # noqa: S603 - the daemon's own program, no shell, no input from outside
                [program, "--ready-fd", str(ready), *self._idle_exit],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(ready,),
                env=self._place.environ,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its daemon.
            )

    @property
    def _stderr(self) -> Path:
        return self._place.path / "daemon-stderr.txt"

    def _complaint(self) -> str:
        said = self._stderr.read_text(encoding="utf-8", errors="replace").strip()
        return said[-_COMPLAINT_CHARS_MAX:] or "it said nothing"
