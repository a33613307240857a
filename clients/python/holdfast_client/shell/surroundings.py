"""What a new session takes from the shell it is created in: a directory, and an allow-listed environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from holdfast_client.shell import daemon
from holdfast_client.shell.exit_codes import UsageError

ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "USER", "SHELL")
"""What tools may get. A list of what to leave out would always lack the next secret's name."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables a session's tools may see."""
    return {name: environ[name] for name in ENVIRONMENT if name in environ and _is_unicode(environ[name])}


def new_session(environ: Mapping[str, str], preferences: Mapping[str, str]) -> dict[str, Any]:
    """Give the params of a session that begins here, as the user prefers them.

    Raises:
        UsageError: nothing can begin here.
    """
    return {
        "sessionId": daemon.new_id(),  # Ours, so that the call can be repeated after a lost connection.
        "cwd": directory(),
        "env": environment(environ),
        **{name: preferences[name] for name in ("model", "mode") if name in preferences},
    }


def directory() -> str:
    """Give the working directory without symbolic links, as sessions are listed by it.

    Raises:
        UsageError: it has gone, or its name is not UTF-8.
    """
    try:
        path = str(Path.cwd())
    except OSError as error:
        raise UsageError(f"cannot work here: {error.strerror}") from None
    if not _is_unicode(path):
        raise UsageError("cannot work here: the directory's name is not UTF-8")
    return path


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
