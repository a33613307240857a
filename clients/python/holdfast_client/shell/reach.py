"""A connection for a command that makes a few calls: to the daemon that runs, or to one started for it."""

from holdfast_client.shell import endpoint
from holdfast_client.shell.exit_codes import NotRunning


def running() -> endpoint.Connection:
    """Connect to the daemon that runs.

    Raises:
        NotRunning, Unreachable: as `endpoint.connect`.
    """
    return endpoint.connect(endpoint.locate(), endpoint.new_client_id())


def started() -> endpoint.Connection:
    """Connect to the daemon; start it if none answers.

    Raises:
        Unreachable: as `autostart.connect_or_start`.
    """
    locations, client_id = endpoint.locate(), endpoint.new_client_id()
    try:
        return endpoint.connect(locations, client_id)
    except NotRunning:
        from holdfast_client.shell import autostart  # noqa: PLC0415 - subprocess costs 10 ms

        return autostart.connect_or_start(locations, client_id)
