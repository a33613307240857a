"""What the client library raises besides what the daemon answers.

A call the daemon refuses raises its class of `holdfast_protocol.errors`, as `NotFound` or `Busy`. The rest is
here:

    ClientError
      DaemonNotRunning       nobody answers, and no daemon was to be started
      DaemonUnreachable      something is there, or was started, that does not serve us
        VersionMismatch      a daemon of another version than `require` asks for
      ConnectionLost         the daemon went and did not come back in time
      NoAnswer               the daemon did not answer a call in time
      ClientClosed           the client was left
      LogChanged             the session's log is not the one the cursor belongs to
      NotificationsLost      raw notifications were taken too slowly
      RunNotCompleted        `RunResult.check`: the run ended otherwise

Knows no I/O, and loads nothing.
"""

__all__ = [
    "ClientClosed",
    "ClientError",
    "ConnectionLost",
    "DaemonNotRunning",
    "DaemonUnreachable",
    "LogChanged",
    "NoAnswer",
    "NotificationsLost",
    "RunNotCompleted",
    "VersionMismatch",
]


class ClientError(Exception):
    """The library could not do what it was asked for."""


class DaemonNotRunning(ClientError):
    """No daemon answers, and none was to be started."""


class DaemonUnreachable(ClientError):
    """Something answers that does not serve us, or the daemon could not be started; the message says why."""


class VersionMismatch(DaemonUnreachable):
    """The daemon's version is not one that is asked for.

    Attributes:
        required: the requirement, as `holdfast>=0.1,<0.2`.
        found: the daemon's version.
    """

    def __init__(self, required: str, found: str) -> None:
        super().__init__(f"This program needs {required}; the daemon that answers is holdfast {found}.")
        self.required = required
        self.found = found


class ConnectionLost(ClientError):
    """The connection was lost, and the call could not be made on another one.

    Attributes:
        method: the call; None where there was none.
        maybe_done: the call was sent and may have taken effect. Calls of this library that change something
            carry a key and are sent again by themselves; only those that cannot be end like this.
    """

    def __init__(self, message: str, method: str | None = None, *, maybe_done: bool = False) -> None:
        super().__init__(message)
        self.method = method
        self.maybe_done = maybe_done


class NoAnswer(ClientError, TimeoutError):
    """The daemon did not answer a call in time; whether it took effect is not known.

    Attributes:
        method: the call.
        timeout_s: how long it was waited for.
    """

    def __init__(self, method: str, timeout_s: float) -> None:
        super().__init__(f"The daemon did not answer {method} within {timeout_s:g} s.")
        self.method = method
        self.timeout_s = timeout_s


class ClientClosed(ClientError):
    """The client was left, or never entered: use it inside its `with` block."""


class LogChanged(ClientError):
    """A session's log is not the one the cursor belongs to: the session was made anew.

    Attributes:
        session_id: of the session.
        expected: the epoch of the cursor.
        found: the epoch of the log.
    """

    def __init__(self, session_id: str, expected: str, found: str) -> None:
        super().__init__(f"The log of session {session_id} is another one: epoch {found}, not {expected}.")
        self.session_id = session_id
        self.expected = expected
        self.found = found


class NotificationsLost(ClientError):
    """Raw notifications were taken too slowly; `count` of them were dropped. Taking more goes on."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} notifications were dropped: they came faster than they were taken.")
        self.count = count


class RunNotCompleted(ClientError):
    """A run ended otherwise than completed.

    Attributes:
        status: `failed`, `cancelled`, `interrupted` or `removed`.
        kind: of the error, if it failed.
    """

    def __init__(self, message: str, status: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
