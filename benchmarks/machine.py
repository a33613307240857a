"""Facts about the machine that a reader needs to judge the figures."""

import os
import platform
import tempfile
import time
from pathlib import Path

import apsw

from benchmarks.pairs import median
from benchmarks.result import Machine

_SYNCS = 200


def facts() -> Machine:
    """Look at the machine."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=apsw.sqlite_lib_version(),
        file_system=_file_system(Path(tempfile.gettempdir())),
        fdatasync_us=round(_fdatasync_us(), 1),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    """Give the type of the file system that the daemons' logs lie on."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, *_ = line.split()
        if directory.resolve().is_relative_to(mount) and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


def _fdatasync_us() -> float:
    """Measure what every commit waits for."""
    took: list[float] = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            before = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter_ns() - before) / 1000)
    return median(took)
