"""Lines a person types at a terminal, a line at a time, while other things happen."""

import os
import termios
from types import TracebackType
from typing import Any, Final, Self

from holdfast_client.shell.exit_codes import Detached

DETACH_KEY: Final = "\x1d"
"""Ctrl-], as in telnet. It ends a line for the terminal, so it acts without Return."""

_DETACH_WORD: Final = "/detach"
_READ_BYTES: Final = 64 * 1024
_CONTROL_CHARACTERS: Final = 6  # The place of the characters in what termios gives.


class Keyboard:
    """The terminal on a descriptor; only entered if it is one. Lines can be read without entering too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None
        self._typed = b""

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        changed = termios.tcgetattr(self._descriptor)
        changed[_CONTROL_CHARACTERS][termios.VEOL] = DETACH_KEY.encode()
        termios.tcsetattr(self._descriptor, termios.TCSANOW, changed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._descriptor

    def is_ours(self) -> bool:
        """Tell whether we are in the foreground; who reads in the background is stopped."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def lines(self) -> list[str]:
        """Give the lines typed; call it when the descriptor is readable.

        Raises:
            Detached: the person wants to leave: end of input, Ctrl-] or `/detach`.
        """
        try:
            read = os.read(self._descriptor, _READ_BYTES)
        except OSError:
            read = b""  # The terminal was closed.
        if not read or DETACH_KEY.encode() in read:
            raise Detached
        *whole, self._typed = (self._typed + read).split(b"\n")
        lines = [line.decode("utf-8", "replace").strip() for line in whole]
        if _DETACH_WORD in lines:
            raise Detached
        return [line for line in lines if line]
