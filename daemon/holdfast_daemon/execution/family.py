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
import resource
import signal
import sys
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import anyio.to_thread

KILL_TIMEOUT_S: Final = 5.0
"""How long killed processes may take to vanish; only one stuck in the kernel takes longer."""

_POLL_MIN_S: Final = 0.002
_POLL_MAX_S: Final = 0.1

_log = logging.getLogger(__name__)


class ProcessEntry(NamedTuple):
    """One row of procfs. (pid, started) names a process for good; a pid alone may be used again."""

    pid: int
    started: int
    parent: int
    group: int
    session: int
    state: str

    @property
    def zombie(self) -> bool:
        """Whether it is dead and waits to be reaped."""
        return self.state in "ZX"


class Family:
    """The processes descended from one leader.

    Args:
        leader: the pid of a child just started with `start_new_session`, not reaped yet.
        brand: the number it was branded with, or None.
    """

    def __init__(self, leader: int, brand: int | None) -> None:
        self._leader = leader
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
        found = self._find(_process_table())
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
        if self._brand is None:
            return False
        with contextlib.suppress(OSError):  # Gone, or another user's.
            return resource.prlimit(pid, resource.RLIMIT_RTTIME)[1] == self._brand
        return False

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
            if signum is signal.SIGKILL or entry[:2] not in signalled:
                signalled.add(entry[:2])
                _send(entry, signum)
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


def _process_table() -> dict[int, ProcessEntry]:
    table: dict[int, ProcessEntry] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                table[int(path.name)] = _entry(int(path.name))
    return table


def _entry(pid: int) -> ProcessEntry:
    data = Path(f"/proc/{pid}/stat").read_bytes()
    # The name in parentheses may hold anything, so fields are counted after its last one (proc(5)).
    fields = data[data.rindex(b")") + 2 :].split()
    return ProcessEntry(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        state=fields[0].decode(),
    )


def _started(pid: int) -> int | None:
    try:
        return _entry(pid).started
    except OSError:  # Gone already, or no procfs.
        return None


def _send(entry: ProcessEntry, signum: signal.Signals) -> None:
    """Signal exactly this process, or nobody if its pid has gone to another."""
    with contextlib.suppress(OSError):  # Gone, another user's, or no descriptor left: the next round tells.
        descriptor = os.pidfd_open(entry.pid)
        try:
            if _entry(entry.pid).started == entry.started:
                signal.pidfd_send_signal(descriptor, signum)
        finally:
            os.close(descriptor)
