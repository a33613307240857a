"""The interactive terminal, where there is one. Imports none of the libraries it draws with.

There is one at a terminal that is not dumb, if those libraries are installed (`holdfast-client[tui]`).
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

_PACKAGE: Final = "holdfast_client.terminal"  # By name: it stands above the shell, which works without it.
_LIBRARIES: Final = frozenset({"prompt_toolkit", "rich", "wcwidth"})


class Terminal(Protocol):
    """What the package offers; see there."""

    def run(self, session_id: str, *, prompt: str | None = None, color: str = "auto") -> int:
        """Attach to a session until the person leaves; give the exit code."""
        ...


def find(environ: Mapping[str, str]) -> Terminal | None:
    """Give the interactive terminal; None if this is no place for it, or it is not installed."""
    if environ.get("TERM", "dumb") in ("", "dumb") or not _at_a_terminal():
        return None
    try:
        return cast(Terminal, import_module(_PACKAGE))
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _LIBRARIES:
            raise
        return None


def _at_a_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
