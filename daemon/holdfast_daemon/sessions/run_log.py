"""A run's way into the log: the session's log, with the run's id on every event.

It ends with the first fault of the log: what a run says afterwards would stand on events that were lost.
"""

from typing import Any

from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_protocol import events
from holdfast_protocol.errors import StorageUnavailable


class RunLog:
    """Emits events of one run.

    Args:
        journal: the daemon's.
        log: the session's.
        run_id: put on every event.
    """

    def __init__(self, journal: Journal, log: SessionLog, run_id: str) -> None:
        self._journal = journal
        self._log = log
        self._faults = log.faults
        self._uncommitted_max = journal.limits.uncommitted_bytes_max
        self.run_id = run_id

    async def emit(self, event_type: type[events.Event], /, **fields: Any) -> None:
        """Append an event soon; waits only if the session has too much uncommitted.

        Raises:
            StorageUnavailable: the session's log is halted, or was since the run began.
            TooLarge: the event is over its limit.
        """
        if self._log.faults != self._faults:
            raise self._lost()
        fields["run_id"] = self.run_id  # Passed beside the others it would cost a copy of them.
        event = event_type(**fields)
        if self._log.has_space(self._uncommitted_max):  # Nearly always, and then nothing is awaited.
            self._journal.add(self._log, event)
        else:
            await self._journal.emit(self._log, event)

    async def room(self) -> None:
        """Wait until the session may take more.

        Raises:
            StorageUnavailable: as `emit`.
        """
        await self._log.wait_for_space(self._uncommitted_max)
        self._check()

    def emit_nowait(self, event_type: type[events.Event], /, **fields: Any) -> None:
        """Append an event soon, behind `room`: whoever has to look again after waiting.

        Raises:
            StorageUnavailable, TooLarge: as `emit`.
        """
        self._journal.add(self._log, event_type(run_id=self.run_id, **fields))

    async def commit(self, *group: events.Event) -> int:
        """Append events together; returns after the sync.

        Raises:
            StorageUnavailable: nothing was stored; see `emit`.
            TooLarge: an event is over its limit.
        """
        self._check()
        return await self._journal.commit(self._log, *group)

    def _check(self) -> None:
        if self._log.faults != self._faults:
            raise self._lost()

    def _lost(self) -> StorageUnavailable:
        return StorageUnavailable("Events of the run were lost.", resource="session", id=self._log.session_id)
