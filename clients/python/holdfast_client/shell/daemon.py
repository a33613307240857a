"""The user's daemon, as commands want it: a connection now, or a link that lasts."""

import os

from holdfast_client.shell import endpoint
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.link import Link


def open_link(interrupts: Interrupts, *, may_start: bool, answers: tuple[str, ...] = ()) -> Link:
    """Connect, and start a daemon if none answers and this command may.

    Args:
        interrupts: looked at while waiting.
        may_start: whether this command may.
        answers: kinds of requests that a person at this command can answer.

    Raises:
        NotRunning, Unreachable: as `endpoint.connect` and `autostart.connect_or_start`.
    """
    locations = endpoint.locate()
    client_id = endpoint.new_client_id()

    def start() -> endpoint.Connection:
        from holdfast_client.shell import autostart  # noqa: PLC0415 - subprocess costs 10 ms

        return autostart.connect_or_start(locations, client_id, answers)

    link = Link(
        lambda: endpoint.connect(locations, client_id, answers), start if may_start else None, interrupts
    )
    link.open()
    return link


def new_id() -> str:
    """Give a fresh id for a session or prompt of ours."""
    return os.urandom(10).hex()
