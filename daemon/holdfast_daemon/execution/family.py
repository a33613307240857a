"""All processes of one call: found in procfs, also those that left its session, and ended.

A process belongs to the family of a leader if it carries the leader's brand (`shims`), has a parent in the
family, or is in a session that a member made. A killed process group alone leaves behind whatever called
`setsid`. Adopted members (the daemon is a subreaper) are reaped by pid: reaping any child would steal exit
statuses from others.

Knows nothing of tools or output. Scans block for a few milliseconds and run in a thread.
"""

import contextlib
import logging
import os
import signal
import sys
from typing import Final

import anyio
import anyio.to_thread

from holdfast_daemon.execution.process_table import ProcessEntry, brand_of, process_entry, process_table, send

KILL_TIMEOUT_S: Final = 5.0
"""How long killed processes may take to vanish; only one stuck in the kernel takes longer."""

_POLL_MIN_S: Final = 0.002
_POLL_MAX_S: Final = 0.1

_log = logging.getLogger(__name__)


class Family:
    """The processes descended from one leader.

    Args:
        leader: the pid of a child just started with `start_new_session`, not reaped yet.
        brand: the number it was branded with, or None.
        contains: the leader holds the others in a pid namespace; they end when it does, so it gets no
            SIGTERM.
    """

    def __init__(self, leader: int, brand: int | None, *, contains: bool = False) -> None:
        self._leader = leader
        self._contains = contains
        self._brand = brand
        self._leader_started = _started(leader)
        self._sessions = {leader}  # Every session a member was ever seen in.

    async def end(self, grace_s: float) -> None:
        """End all members: SIGTERM, up to `grace_s` of grace, SIGKILL until none is left.

        Takes at most `grace_s` + `KILL_TIMEOUT_S`; shield it from cancellation. Returns at once when nothing
        is left, and may be called again.
        """
        if sys.platform != "linux":
            await self._end_group(grace_s)
            return
        if await self._gone_after(signal.SIGTERM, grace_s):
            return
        if not await self._gone_after(signal.SIGKILL, KILL_TIMEOUT_S):
            _log.warning("processes of leader %d survive SIGKILL", self._leader)

    def members(self) -> tuple[ProcessEntry, ...]:
        """Scan for members that are not gone yet, and reap the dead ones that only the daemon can reap.

        Blocks. Linux only.

        Raises:
            OSError: procfs cannot be read now, for want of descriptors for example.
        """
        found = self._find(process_table())
        pids = {entry.pid for entry in found}
        return tuple(entry for entry in found if not self._gone(entry, pids))

    def _find(self, table: dict[int, ProcessEntry]) -> set[ProcessEntry]:
        leader = table.get(self._leader)
        if leader is not None and self._leader_started not in (None, leader.started):
            self._sessions.discard(self._leader)  # The number has gone to a stranger.
        found: set[ProcessEntry] = set()
        grown = {entry for entry in table.values() if self._branded(entry.pid)}
        while grown - found:
            found |= grown
            self._sessions |= {entry.session for entry in found}
            pids = {entry.pid for entry in found}
            grown = {e for e in table.values() if e.session in self._sessions or e.parent in pids}
        return found

    def _branded(self, pid: int) -> bool:
        if pid == self._leader:
            return self._leader in self._sessions
        return self._brand is not None and brand_of(pid) == self._brand

    def _gone(self, entry: ProcessEntry, pids: set[int]) -> bool:
        """Reap a zombie that is ours; one of a member is not gone, it may become ours at any moment."""
        if not entry.zombie or entry.parent in pids:
            return False
        if entry.parent == os.getpid() and entry.pid != self._leader:  # The leader has its own waiter.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(entry.pid, os.WNOHANG)
        return True

    async def _gone_after(self, signum: signal.Signals, timeout_s: float) -> bool:
        signalled: set[tuple[int, int]] = set()
        delay_s = _POLL_MIN_S
        limiter = anyio.CapacityLimiter(1)  # Its own: threads that are all busy must not delay an ending.
        with anyio.move_on_after(timeout_s):
            while await anyio.to_thread.run_sync(self._signal_all, signum, signalled, limiter=limiter):
                await anyio.sleep(delay_s)
                delay_s = min(2 * delay_s, _POLL_MAX_S)
            return True
        return False

    def _signal_all(self, signum: signal.Signals, signalled: set[tuple[int, int]]) -> bool:
        """Signal the members once each, SIGKILL every time; say whether there were any."""
        try:
            members = self.members()
        except OSError:
            _log.warning("procfs cannot be read to end leader %d", self._leader, exc_info=True)
            self._kill_group(signum)
            return True  # Unknown is not "none left".
        if any(entry.group == self._leader for entry in members):
            self._kill_group(signum)
        for entry in members:
            if self._contains and entry.pid == self._leader and signum is not signal.SIGKILL:
                continue
            if signum is signal.SIGKILL or entry[:2] not in signalled:
                signalled.add(entry[:2])
                send(entry, signum)
        return bool(members)

    def _kill_group(self, signum: signal.Signals) -> None:
        """Kill the leader's group in one call, which no fork can outrun."""
        if signum is signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader, signum)

    async def _end_group(self, grace_s: float) -> None:
        """End the group alone, where there is no procfs."""
        for signum, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 0.0)):
            try:
                os.killpg(self._leader, signum)
            except (ProcessLookupError, PermissionError):
                return
            await anyio.sleep(wait_s)


def _started(pid: int) -> int | None:
    try:
        return process_entry(pid).started
    except OSError:  # Gone already, or no procfs.
        return None
