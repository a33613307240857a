"""A check, what it finds, and the scene all of them look at."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from holdfast_client.shell import endpoint, settings
from holdfast_client.shell.exit_codes import CommandFailed, NotRunning
from holdfast_protocol.discovery import Locations
from holdfast_protocol.settings.resolve import BadSettings, Problem, Setting, resolve

Status = Literal["ok", "warning", "failed"]


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        status: a warning works, but not as it should; what failed keeps something from working.
        summary: one line.
        details: more lines, for whoever wants to know.
        remediation: what to do about it, one line; empty if there is nothing to do.
        repair: does it, and says so; only where nothing can be lost. May raise OSError.
    """

    status: Status
    summary: str
    details: tuple[str, ...] = ()
    remediation: str = ""
    repair: Callable[[], str] | None = None


class Check(NamedTuple):
    """One thing to look at. `look` may raise OSError or CommandFailed: then it failed with these words."""

    id: str
    group: str
    look: Callable[["Scene"], Finding]


class Daemon(NamedTuple):
    """A daemon that answered: what it said of itself, its limits, its status."""

    server: dict[str, Any]
    limits: dict[str, Any]
    status: dict[str, Any]


class Scene:
    """What the checks look at; the daemon is asked once.

    Args:
        locations: this user's directories.
        environ: the environment.
    """

    def __init__(self, locations: Locations, environ: Mapping[str, str]) -> None:
        self.locations = locations
        self.environ = environ

    @cached_property
    def settings(self) -> Mapping[str, Setting] | tuple[Problem, ...]:
        """All settings, or what is wrong with them."""
        try:
            return resolve(settings.read_file(self.locations.file), self.environ)
        except BadSettings as error:
            return error.problems

    @cached_property
    def daemon(self) -> Daemon | CommandFailed:
        """The daemon that answers, or why none does: `NotRunning` if there simply is none."""
        try:
            wire, server, limits = endpoint.connect(self.locations, endpoint.new_client_id())
            try:
                return Daemon(server, limits, wire.call("daemon/status", {}))
            finally:
                wire.close()
        except CommandFailed as failure:
            return failure

    @property
    def is_quiet(self) -> bool:
        """Whether no daemon answers, and nothing else does in its place."""
        return isinstance(self.daemon, NotRunning)


READABLE_BYTES_MAX: Final = 64 * 1024


def contents(path: str) -> str | None:
    """Give the beginning of a file as text; None if there is none or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.read(descriptor, READABLE_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
