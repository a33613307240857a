"""The command's own standard output and error: never a reason for a traceback."""

import os
import sys


def prepare() -> None:
    """Let no character that the terminal cannot encode, and no closed stream, end the command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for good
        else:
            stream.reconfigure(errors="replace")


def abandon(*descriptors: int) -> None:
    """Write nothing more there, also when Python flushes at its exit: it would only fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
