"""Exit codes, which equal the outcome, and the exceptions that carry one. Knows no methods and no streams."""

from collections.abc import Mapping
from typing import Any, Final

OK: Final = 0
FAILED: Final = 1
"""Failed, and trying again without a change will not help."""
USAGE: Final = 2
LIMIT: Final = 3
"""A limit was reached: time, steps or cost."""
CREDENTIALS: Final = 4
"""The provider's credentials are missing or were rejected."""
PERMISSION: Final = 5
"""The run needs an answer from a person, and there is nobody to give one."""
NO_SESSION: Final = 6
UNREACHABLE: Final = 69
"""No daemon answers (EX_UNAVAILABLE)."""
TRANSIENT: Final = 75
"""Trying again later may help (EX_TEMPFAIL)."""
INTERRUPTED: Final = 130
"""Cancelled or left behind: what a shell reports after Ctrl-C."""

_CREDENTIAL_KINDS: Final = frozenset({"auth", "auth_required", "credentials_missing", "permission_denied"})

_CODE_OF_REFUSAL: Final[dict[str, int]] = {
    "auth_required": UNREACHABLE,
    "not_initialized": UNREACHABLE,
    "unsupported_version": UNREACHABLE,
    "invalid_params": USAGE,
    "too_large": USAGE,  # The prompt, or the message, is over a limit: the same call would fail again.
    "cursor_invalid": USAGE,
    "forbidden": PERMISSION,
}
# Kinds that are not here are judged by whether they are retryable.


MEANINGS: Final[dict[int, str]] = {
    OK: "done; of a run: completed",
    FAILED: "failed, and trying again without a change will not help",
    USAGE: "the command line makes no sense, or a name means several things",
    LIMIT: "a limit was reached: time, steps or cost; the run waits and can go on. "
    "Of --timeout: a step that never ends goes on, holdfast cancel ends it",
    CREDENTIALS: "the provider's credentials are missing or were rejected",
    PERMISSION: "an answer is needed and there is nobody to give it; the message names what would",
    NO_SESSION: "no such session",
    UNREACHABLE: "no daemon answers, or it cannot be started",
    TRANSIENT: "trying again later may help; of a run: interrupted, or a provider that is overloaded",
    INTERRUPTED: "cancelled, or left behind by Ctrl-C",
}
"""For the manual."""


class CommandFailed(Exception):
    """A command cannot go on.

    Attributes:
        message: one sentence for standard error.
        exit_code: one of this module's.
        kind: a stable name for JSON output.
    """

    def __init__(self, message: str, exit_code: int = FAILED, kind: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.kind = kind


class UsageError(CommandFailed):
    """The command line makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, USAGE, "usage")


class NotRunning(CommandFailed):
    """No daemon answers, and none was to be started."""

    def __init__(self, message: str = "daemon not running") -> None:
        super().__init__(message, UNREACHABLE, "not_running")


class Unreachable(CommandFailed):
    """Something is there, but it is not a daemon that serves us."""

    def __init__(self, message: str, kind: str = "unreachable") -> None:
        super().__init__(message, UNREACHABLE, kind)


class Detached(Exception):
    """The person left; the session goes on."""


def of_terminal(event: Mapping[str, Any]) -> int:
    """Give the exit code for a run's terminal event."""
    match event["type"]:
        case "run_completed":
            return LIMIT if event.get("stopReason") in ("max_steps", "budget") else OK
        case "run_cancelled":
            return INTERRUPTED
        case "run_interrupted":
            return TRANSIENT
        case _:
            return of_error(event.get("error") or {})


def of_error(error: Mapping[str, Any]) -> int:
    """Give the exit code for an error in the log."""
    if error.get("kind") in _CREDENTIAL_KINDS:
        return CREDENTIALS
    if error.get("kind") == "unattended":
        return PERMISSION
    return TRANSIENT if error.get("retryable") else FAILED


def of_refusal(kind: str, data: Mapping[str, Any]) -> int:
    """Give the exit code for a call the daemon refused."""
    if kind == "not_found":
        return NO_SESSION if data.get("resource", "session") == "session" else FAILED
    return _CODE_OF_REFUSAL.get(kind, TRANSIENT if data.get("retryable") else FAILED)
