"""Ctrl-C as a state to look at, not an exception in the middle of something.

While an `Interrupts` is entered, Ctrl-C counts, and a descriptor becomes readable so that a wait ends.
Hanging up and SIGTERM count as leaving at once: sessions belong to the daemon, so nothing is lost. A third
Ctrl-C is Python's own, for the case that this program is stuck.
"""

import os
import signal
from types import FrameType, TracebackType
from typing import Final, Self

LEAVE: Final = 2
"""From so many interrupts on the person wants to leave."""


class Interrupts:
    """Counts Ctrl-C. Entered in the main thread, once.

    Attributes:
        count: how often since the start or the last `forget`.
    """

    def __init__(self) -> None:
        self.count = 0
        self._wake, self._wake_of_handler = -1, -1
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._wake, self._wake_of_handler = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._wake_of_handler, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # As `nohup` and `&` in a script set it.
                self._previous[number] = signal.signal(number, self._received)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._wake)
        os.close(self._wake_of_handler)

    def fileno(self) -> int:
        """Give a descriptor that is readable after an interrupt, until `drain`."""
        return self._wake

    def drain(self) -> None:
        """Make the descriptor unreadable again."""
        try:
            os.read(self._wake, 64)
        except BlockingIOError:
            return

    def forget(self) -> None:
        """Begin to count anew."""
        self.count = 0

    @property
    def leaving(self) -> bool:
        """Whether the person wants to leave now."""
        return self.count >= LEAVE

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1 if number == signal.SIGINT else LEAVE
        if number == signal.SIGINT and self.count > LEAVE:
            raise KeyboardInterrupt
        try:
            os.write(self._wake_of_handler, b"!")
        except BlockingIOError:
            return  # It is readable already.
