"""Where a session's tools work."""

from collections.abc import Mapping

import msgspec


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session's tools work.

    Attributes:
        session_id: the session's.
        cwd: its directory, absolute.
        roots: the directories tools may touch; the first is `cwd`.
        hidden: the daemon's own directories, which no tool touches.
        env: its environment.
        sandboxed: whether commands are confined.
    """

    session_id: str
    cwd: str
    roots: tuple[str, ...]
    hidden: tuple[str, ...]
    env: Mapping[str, str]
    sandboxed: bool
