"""Ends processes of tools that no call stands for any more.

- Left behind: a killed daemon's, found at the start of the next one on the same state by its brands.
- Strayed: adopted by this daemon though they lowered their brand to leave their family. A brand can be
  lowered but not taken off, so a child with a number that no running call gave is one; ended when no call
  runs.

They get no SIGTERM: whoever would wait for their last words is gone. Linux only.
"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread

from holdfast_daemon.execution.brands import Brands
from holdfast_daemon.execution.process_table import (
    ProcessEntry,
    brand_of,
    descendants,
    pids,
    process_table,
    send,
)

TIMEOUT_S: Final = 5.0
"""How long killed processes may take to vanish; only one stuck in the kernel takes longer."""

_POLL_MIN_S: Final = 0.002
_POLL_MAX_S: Final = 0.1

_log = logging.getLogger(__name__)


async def end_left_behind(brands: Brands) -> int:
    """End everything with a brand of this state, and what descends from it. Give how many were found.

    Called while the state is locked and before the first call: nobody else's process has such a brand.
    """
    return await _end(lambda: _left_behind(brands), "left behind")


async def end_strayed(running: Callable[[], frozenset[int]]) -> int:
    """End the daemon's adopted children that carry a number no call gave. Give how many were found.

    Args:
        running: gives the brands of the calls that run; called from a thread.
    """
    return await _end(lambda: _strayed(running()), "strayed")


async def _end(find: Callable[[], set[ProcessEntry]], what: str) -> int:
    if sys.platform != "linux":
        return 0
    seen: set[tuple[int, int]] = set()
    delay_s = _POLL_MIN_S
    limiter = anyio.CapacityLimiter(1)  # Its own: threads that are all busy must not delay an ending.
    with anyio.move_on_after(TIMEOUT_S) as scope:
        while found := await anyio.to_thread.run_sync(_kill, find, limiter=limiter):
            seen |= found
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, _POLL_MAX_S)
    if seen:
        _log.warning("ended %d tool processes %s", len(seen), what)
    if scope.cancelled_caught:
        _log.warning("some of them survive SIGKILL")
    return len(seen)


def _kill(find: Callable[[], set[ProcessEntry]]) -> set[tuple[int, int]]:
    try:
        found = find()
    except OSError:
        _log.warning("procfs cannot be read to end tool processes", exc_info=True)
        return set()
    living: set[tuple[int, int]] = set()
    for entry in found:
        if not entry.zombie:
            send(entry, signal.SIGKILL)
            living.add(entry[:2])
        elif entry.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(entry.pid, os.WNOHANG)
    return living


def _left_behind(brands: Brands) -> set[ProcessEntry]:
    numbers = [pid for pid in pids() if pid != os.getpid() and brands.has(brand_of(pid) or 0)]
    if not numbers:  # As a rule; the table is the dear part.
        return set()
    table = process_table()
    return descendants({table[pid] for pid in numbers if pid in table}, table)


def _strayed(running: frozenset[int]) -> set[ProcessEntry]:
    own = brand_of(os.getpid())
    if own is not None:  # The daemon is branded itself, as a tool of another: its children show nothing.
        return set()
    table = process_table()
    adopted = {entry for entry in table.values() if entry.parent == os.getpid()}
    return descendants({entry for entry in adopted if _is_stray(entry, running)}, table)


def _is_stray(entry: ProcessEntry, running: frozenset[int]) -> bool:
    brand = brand_of(entry.pid)
    return brand is not None and brand not in running
