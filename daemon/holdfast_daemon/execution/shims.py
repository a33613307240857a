"""Small programs a child is started through: each sets one thing on itself and becomes the child.

They stand in for a `preexec_fn`, which would run Python between fork and exec.

- `setpriv --pdeathsig KILL`: the kernel kills the child when the daemon dies. Of root's it also takes the
  right to raise limits, the brand among them. The death that counts is the spawning *thread*'s, so processes
  are started on the loop's thread, which lives as long as the daemon.
- `prlimit --rttime=N:N`: brands the child and all it will ever start with a number. The limit means nothing
  to a process without real-time scheduling, is inherited through fork, exec and setsid, can be read from
  outside, and is not shed by clearing the environment or closing descriptors.
"""

import functools
import os
import resource
import subprocess
import sys
from typing import Final

import msgspec

from holdfast_daemon.execution.brands import Brands

_PATH: Final = "/usr/bin:/bin:/usr/sbin:/sbin"  # Fixed: no session's PATH decides what the daemon starts.
_PROBE_TIMEOUT_S: Final = 5.0


class Shims(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute paths of the shims that work here; None for one that does not.

    Attributes:
        root: whether a right has to be dropped that only root's processes have.
    """

    root: bool = False
    setpriv: str | None = None
    prlimit: str | None = None

    def prefix(self, brand: int) -> tuple[str, ...]:
        """Give the words to put before a command."""
        words: list[str] = []
        if self.prlimit is not None:
            words += [self.prlimit, f"--rttime={brand}:{brand}"]
        if self.setpriv is not None:
            words += [self.setpriv, "--pdeathsig", "KILL"]
            if self.root:
                # Alone with this right could a process take its brand off.
                words += ["--inh-caps", "-sys_resource", "--bounding-set", "-sys_resource"]
            words.append("--")
        return tuple(words)


@functools.cache
def available_shims() -> Shims:
    """Find out, once, which shims are here and allowed. Blocks for some milliseconds."""
    if sys.platform != "linux":
        return Shims()
    import shutil  # noqa: PLC0415 - with the first process

    setpriv = shutil.which("setpriv", path=_PATH)
    prlimit = shutil.which("prlimit", path=_PATH)
    if resource.getrlimit(resource.RLIMIT_RTTIME)[1] != resource.RLIM_INFINITY:
        prlimit = None
    root = os.geteuid() == 0 and setpriv is not None and _works(Shims(root=True, setpriv=setpriv))
    return Shims(
        root=root,
        setpriv=setpriv if setpriv and _works(Shims(root=root, setpriv=setpriv)) else None,
        prlimit=prlimit if prlimit and _works(Shims(prlimit=prlimit)) else None,
    )


def _works(shims: Shims) -> bool:
    command = [*shims.prefix(Brands.of_process().new()), "/bin/sh", "-c", ":"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no input of anybody
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
