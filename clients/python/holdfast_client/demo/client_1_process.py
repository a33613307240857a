"""Client 1 as a child process: started, watched, killed and started again by its handle."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from holdfast_client.core.tail import AnyEvent
from holdfast_client.demo import client_1, notebook
from holdfast_client.demo.broken import StoryBroken
from holdfast_client.demo.place import Place

_END_TIMEOUT_S: Final = 10.0
_COMPLAINT_CHARS_MAX: Final = 400


class Client1Process:
    """One owner; one process at a time. `end` must be called in any case.

    Args:
        place: where its notebook is, and whose daemon it attaches to.
        session_id: the session it follows.

    Attributes:
        cursor: the last seq it said it has written down.
    """

    def __init__(self, place: Place, session_id: str) -> None:
        self._place = place
        self._session_id = session_id
        self._process: subprocess.Popen[str] | None = None
        self.cursor = 0

    def start(self, *, hold: bool) -> None:
        """Start a process; it goes on where the notebook ends. `hold`: see `client_1`."""
        module = ["-m", f"{client_1.__name__}_main", self._session_id, str(self._place.notebook)]
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell, no input from outside
                [sys.executable, *module, *([client_1.HOLD] if hold else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=self._place.environ,
                cwd=self._place.path,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends it.
            )

    async def reach(self, seq: int) -> None:
        """Wait until it has written an event down.

        Raises:
            StoryBroken: it ended.
        """
        while self.cursor < seq:
            said = await self._line()
            if said != client_1.HOLDS:
                self.cursor = int(said)

    async def hold(self) -> None:
        """Wait until it has stopped in its tracks.

        Raises:
            StoryBroken: it ended.
        """
        while (said := await self._line()) != client_1.HOLDS:
            self.cursor = int(said)

    async def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        await anyio.to_thread.run_sync(self._close)

    def end(self) -> None:
        """Let it leave; if it does not in time, kill it. Never leaves it behind."""
        if self._process is None or self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def written(self) -> tuple[AnyEvent, ...]:
        """Give what stands in the notebook."""
        return notebook.read(self._place.notebook)

    async def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        said = await anyio.to_thread.run_sync(self._process.stdout.readline, abandon_on_cancel=True)
        if not said:
            raise StoryBroken(f"client 1 ended: {self._complaint()}")
        return said.strip()

    def _close(self) -> None:
        assert self._process is not None
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def _stderr(self) -> Path:
        return self._place.path / "client-1-stderr.txt"

    def _complaint(self) -> str:
        said = self._stderr.read_text(encoding="utf-8", errors="replace").strip()
        return said[-_COMPLAINT_CHARS_MAX:] or "it said nothing"
