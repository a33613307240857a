"""A run's way into the log: the session's log, with the run's id on every event."""

from typing import Any

from holdfast_daemon.journal.journal import Journal, SessionLog
from holdfast_protocol import events


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
        self.run_id = run_id

    async def emit(self, event_type: type[events.Event], /, **fields: Any) -> None:
        """Append an event soon; waits only if the session has too much uncommitted.

        Raises:
            StorageUnavailable: the session's log is halted.
            TooLarge: the event is over its limit.
        """
        await self._journal.emit(self._log, event_type(run_id=self.run_id, **fields))

    async def commit(self, *group: events.Event) -> int:
        """Append events together; returns after the sync.

        Raises:
            StorageUnavailable: nothing was stored.
            TooLarge: an event is over its limit.
        """
        return await self._journal.commit(self._log, *group)
