"""The numbers that mark the processes of one daemon's calls, so that each can be told from all others.

A brand is 62 bits: a prefix that belongs to the state directory, and a number of the call. A daemon that
finds its prefix on a process at its start knows it for one that a killed daemon on the same state left
behind. Pure but for the file that keeps the prefix's secret.
"""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, Self

_BASE: Final = 1 << 62  # Microseconds: no real-time process runs so long without a wait.
_CALL_BITS: Final = 31
_SECRET_BYTES: Final = 16


class Brands:
    """The brands of one daemon.

    Args:
        prefix: 31 bits.
    """

    def __init__(self, prefix: int) -> None:
        self._prefix = _BASE | prefix << _CALL_BITS

    @classmethod
    def of_state(cls, state_dir: Path) -> Self:
        """Give the brands of a state directory, the same ones every time. Blocks.

        A copy of the directory has others: the daemon there must not end the tools of the one here.

        Raises:
            OSError: the directory cannot be written.
        """
        status = state_dir.stat()
        data = _kept_secret(state_dir / "brand") + b"%d %d" % (status.st_dev, status.st_ino)
        return cls(int.from_bytes(hashlib.sha256(data).digest()[:4]) >> 1)

    @classmethod
    def of_process(cls) -> Self:
        """Give brands that nobody will know again."""
        return cls(secrets.randbits(_CALL_BITS))

    def new(self) -> int:
        """Give a number for a call."""
        return self._prefix | secrets.randbits(_CALL_BITS)

    def has(self, brand: int) -> bool:
        """Tell whether a brand is one of these."""
        return brand >> _CALL_BITS == self._prefix >> _CALL_BITS


def _kept_secret(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        secret = file.read(_SECRET_BYTES)
        if len(secret) < _SECRET_BYTES:  # New, or the daemon was killed while it wrote.
            secret = secrets.token_bytes(_SECRET_BYTES)
            file.seek(0)
            file.write(secret)
    return secret
