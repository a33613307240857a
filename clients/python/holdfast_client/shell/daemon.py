"""The user's daemon, as commands want it: a connection now, or a link that lasts."""

import os

from holdfast_client.shell import endpoint
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link


def open_link(interrupts: Interrupts, *, may_start: bool) -> Link:
    """Connect, and start a daemon if none answers and this command may.

    Raises:
        NotRunning, Unreachable: as `endpoint.connect` and `autostart.connect_or_start`.
    """
    locations = endpoint.locate()
    client_id = endpoint.new_client_id()

    def start() -> endpoint.Connection:
        from holdfast_client.shell import autostart  # noqa: PLC0415 - subprocess costs 10 ms

        return autostart.connect_or_start(locations, client_id)

    link = Link(lambda: endpoint.connect(locations, client_id), start if may_start else None, interrupts)
    link.open()
    return link


def new_id() -> str:
    """Give a fresh id for a session or prompt of ours."""
    return os.urandom(10).hex()
