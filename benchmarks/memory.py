"""Memory: an idle daemon, an idle session, and whether what unloaded sessions held is used again."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.daemon import Daemon, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate
from benchmarks.result import Row, Spec, rows

NAME = "memory"
TITLE = "memory of an idle daemon and of idle sessions"

_SESSIONS = (1000, 20)
_FLOOR_IS = "a process that has imported asyncio and msgspec"
_SPECS = [
    Spec("rss", "idle daemon, RSS", "MiB", _FLOOR_IS, 40, "value"),
    Spec("pss", "idle daemon, PSS (shared pages shared out)", "MiB", _FLOOR_IS),
    Spec("session", "an idle session, RSS", "KiB", None, 64, "value"),
    Spec("unloaded", "an unloaded session, RSS not given back", "KiB"),
    Spec("further", "a further session once as many were unloaded, RSS", "KiB"),
]


def measure(scale: Scale) -> list[Row]:
    """Measure a fresh daemon in each pair."""
    sessions = scale.of(*_SESSIONS)
    return rows(alternate(scale.pairs, lambda: _daemon(sessions), _floor), _SPECS)


def _daemon(sessions: int) -> Sample:
    with temporary_home() as home, running(home) as daemon:
        with daemon.connect() as wire:
            wire.call("ping")
            sample = _memory(daemon.pid)
            _create_and_unload(daemon, sessions, sample)
        return sample


def _create_and_unload(daemon: Daemon, sessions: int, sample: Sample) -> None:
    with daemon.connect() as wire:
        ids = [daemon.create_session(wire) for _ in range(sessions)]
        sample["session"] = (rss_mib(daemon.pid) - sample["rss"]) * 1024 / sessions
        for session_id in ids:
            wire.call("session/close", sessionId=session_id)
        unloaded = rss_mib(daemon.pid)
        sample["unloaded"] = (unloaded - sample["rss"]) * 1024 / sessions
        for _ in range(sessions):
            daemon.create_session(wire)
        sample["further"] = (rss_mib(daemon.pid) - unloaded) * 1024 / sessions


def _floor() -> Sample:
    source = "import asyncio, msgspec; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        sample = _memory(process.pid)
        process.communicate(b"\n")
    return sample


def _memory(pid: int) -> Sample:
    sample = {"rss": rss_mib(pid)}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except PermissionError:  # The daemon hides from others of its user; only root sees its PSS.
        return sample
    (kib,) = [line.split()[1] for line in lines if line.startswith("Pss:")]
    return {**sample, "pss": int(kib) / 1024}


def rss_mib(pid: int) -> float:
    """Give the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
