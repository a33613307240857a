"""A person at a terminal: a tmux of the test's own, whose screen is what a terminal would show."""

import os
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Self

from fakes.unconfined import without_sandbox

WAIT_S = 60.0
"""The bound of every wait here: machines are shared, and each terminal starts a process or two."""

_LOOK_AGAIN_S = 0.25  # The screen may lag behind the bytes that say that it changed.


class People:
    """A user's home with a daemon that the first terminal starts, and a directory to work in for each test.

    Attributes:
        path: `HOLDFAST_HOME`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(path),
            "LANG": "C.UTF-8",
            "HOLDFAST_HOME": str(path),
            "SHELL": "/bin/sh",
        }
        self._directories = 0
        without_sandbox(path)  # What is shown does not depend on this machine.

    def directory(self) -> Path:
        """Make a directory without sessions."""
        self._directories += 1
        made = self.path / f"w{self._directories}"
        made.mkdir()
        return made

    def run(self, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the command without a terminal."""
        return subprocess.run(
            ["holdfast", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=WAIT_S,
            cwd=cwd or self.path,
            env=self.environ,
        )


class Terminal:
    """A terminal in which the command runs. Use it as a context manager: its server is killed at the end."""

    _made = 0

    def __init__(
        self,
        people: People,
        cwd: Path,
        command: str = "holdfast",
        *,
        columns: int = 80,
        rows: int = 30,
        env: dict[str, str] | None = None,
    ) -> None:
        Terminal._made += 1
        self._name = f"hf{os.getpid()}-{Terminal._made}"
        self._environ = {**people.environ, "TMUX_TMPDIR": str(people.path), "TERM": "xterm-256color"}
        self._fifo = people.path / f"{self._name}.out"
        os.mkfifo(self._fifo)
        self._changes = os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK)
        words = [f"{name}={value}" for name, value in {"TERM": "tmux-256color", **(env or {})}.items()]
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(columns),
            "-y",
            str(rows),
            "-c",
            str(cwd),
            "sh",  # It waits, so that nothing is drawn before it is looked at.
            "-c",
            f"read _; env {' '.join(words)} {command}; echo EXIT $?; exec cat",
            ";",
            "set",
            "-g",
            "history-limit",
            "5000",
        )
        self._tmux("pipe-pane", "-o", f"exec cat > {self._fifo}")
        self._tmux("send-keys", "Enter")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")
        os.close(self._changes)
        self._fifo.unlink()

    def type(self, text: str) -> None:
        """Type letters."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys, as tmux calls them."""
        self._tmux("send-keys", *keys)

    def enter(self, text: str) -> None:
        """Type a line and send it."""
        self.type(text)
        self.press("Enter")

    def paste(self, text: str) -> None:
        """Paste text, as a terminal does, and send it."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p")
        self.press("Enter")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """Give what the terminal shows."""
        return self._tmux("capture-pane", "-p")

    def everything(self) -> str:
        """Give what the terminal shows and what went into its scrollback."""
        return self._tmux("capture-pane", "-p", "-S", "-")

    def styled(self, *, scrollback: bool = True) -> str:
        """As `everything` or `screen`, with escape sequences."""
        return self._tmux("capture-pane", "-p", "-e", *(("-S", "-") if scrollback else ()))

    def see(self, *texts: str) -> str:
        """Wait until the terminal shows these; give the screen."""
        return self.see_that(lambda screen: all(text in screen for text in texts), repr(texts))

    def see_that(self, holds: Callable[[str], bool], what: str = "it") -> str:
        """Wait until the screen is as it should be; give it."""
        deadline = monotonic() + WAIT_S
        while not holds(screen := self.screen()):
            alive = not re.search(r"^EXIT (?!0$)", screen, re.MULTILINE) and monotonic() < deadline
            assert alive, f"{what} is not shown, but\n{screen}"
            if select.select([self._changes], [], [], _LOOK_AGAIN_S)[0]:
                os.read(self._changes, 65536)
        return screen

    def _tmux(self, *arguments: str) -> str:
        ran = subprocess.run(
            ["tmux", "-u", "-L", self._name, *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=self._environ,
            timeout=WAIT_S,
        )
        return ran.stdout
