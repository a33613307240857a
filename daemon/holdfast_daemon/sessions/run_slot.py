"""A session's one place for a run: who drives it, and a cancel that comes before it has begun."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from holdfast_daemon.sessions.driver import Driver
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_factory import RunFactory
from holdfast_protocol.errors import StorageUnavailable
from holdfast_protocol.events import Cost, Usage
from holdfast_protocol.methods.prompt import SessionCancelResult


class RunSlot:
    """Holds at most one driver. Changed by the session's task and by cancels, all on the loop.

    Args:
        runs: counts the daemon's active runs.
        on_ended: called with the run's id when its driver is done, whether or not it could store the end.
    """

    def __init__(self, runs: RunFactory, on_ended: Callable[[str], None]) -> None:
        self._runs = runs
        self._on_ended = on_ended
        self._driver: Driver | None = None
        self._over = False  # Its terminal event is in the log; it only has to let go of the slot.
        self._cancel_next: tuple[str, int] | None = None  # By whom, and the last prompt it is about.
        self._free = anyio.Event()

    @property
    def busy(self) -> bool:
        """Whether a run is active or being started."""
        return self._driver is not None

    def reserve(self, driver: Driver, number: int | None = None) -> None:
        """Take the slot before the run's start is committed, so that a cancel meanwhile finds it.

        Args:
            driver: of the run.
            number: the number of the prompt that starts it; None if it comes out of the queue.
        """
        assert self._driver is None
        self._driver = driver
        self._over = False
        self._runs.started()
        if self._cancel_next is not None and number is not None and number <= self._cancel_next[1]:
            driver.cancel(self._cancel_next[0])
            self._cancel_next = None

    def release(self) -> None:
        """Give the slot back: the run is over, or its start could not be committed."""
        self._driver = None
        self._runs.ended()
        self._free.set()
        self._free = anyio.Event()

    def start(self, tasks: TaskGroup, load_history: Callable[[], Awaitable[History]]) -> None:
        """Drive the reserved run in a task of its own."""
        assert self._driver is not None
        tasks.start_soon(self._drive, self._driver, load_history)

    def over(self) -> None:
        """Say that the run's end is in the log: from now on there is nothing to cancel."""
        self._over = True

    async def freed(self) -> None:
        """Wait until no run is active."""
        while self._driver is not None:
            await self._free.wait()

    def cancel(
        self, *, by: str, run_id: str | None, tool_call_id: str | None, admitting: int = 0
    ) -> SessionCancelResult:
        """Cancel what runs. Acts now, waits for nothing.

        Args:
            by: the client's id.
            run_id: only this run; another or none is left alone.
            tool_call_id: only this call of it.
            admitting: the number of the newest prompt on its way to a run, 0 for none: without a `run_id`,
                the first of those that starts one is meant.
        """
        driver = self._driver
        if driver is None or self._over:
            if run_id is not None or tool_call_id is not None or not admitting:
                return SessionCancelResult(cancelled=False)
            self._cancel_next = (by, admitting)
            return SessionCancelResult(cancelled=True)
        if run_id is not None and run_id != driver.run_id:
            return SessionCancelResult(cancelled=False)
        if tool_call_id is not None:
            return SessionCancelResult(cancelled=driver.cancel_tool_call(tool_call_id), run_id=driver.run_id)
        driver.cancel(by)
        return SessionCancelResult(cancelled=True, run_id=driver.run_id)

    def admitted(self, number: int) -> None:
        """A prompt was carried out, or refused: a cancel that was about it and none after it is over."""
        if self._cancel_next is not None and number >= self._cancel_next[1]:
            self._cancel_next = None

    def child_spent(self, usage: Usage, cost: Cost | None) -> None:
        """Count what a sub-agent used for the current run's budget."""
        if self._driver is not None:
            self._driver.child_spent(usage, cost)

    def interrupt(self, cause: str) -> None:
        """End the current run because the daemon or its disk stops."""
        if self._driver is not None:
            self._driver.interrupt(cause)

    async def _drive(self, driver: Driver, load_history: Callable[[], Awaitable[History]]) -> None:
        try:
            await driver.drive(load_history)
        except StorageUnavailable:
            pass  # The log is halted; recovery appends the terminal event when it can be written again.
        finally:
            self.release()
            self._on_ended(driver.run_id)
