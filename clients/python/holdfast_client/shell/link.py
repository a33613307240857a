"""One daemon, over as many connections as it takes. Knows no sessions.

A link makes calls that may be made twice: each carries its own id (of a session, of a prompt), so that a call
whose answer was lost with its connection is simply made again on the next one.
"""

import os
import select
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from holdfast_client.shell.endpoint import Connection
from holdfast_client.shell.exit_codes import CommandFailed, Detached, NotRunning, Unreachable
from holdfast_client.shell.interrupts import Interrupts
from holdfast_client.shell.wire import ConnectionLost, Wire

RECONNECT_TIMEOUT_S: Final = 15.0
"""How long a lost daemon may stay away: time for a supervisor to restart it."""

START_AFTER_S: Final = 1.0
"""How long to leave the restart to somebody whose task it may be, before starting the daemon ourselves."""

_BACK_OFF_S: Final = 0.05
_BACK_OFF_MAX_S: Final = 1.0

Dial = Callable[[], Connection]
"""Gives an initialized connection, or raises NotRunning or Unreachable. Blocks; may be called again."""


class Link:
    """A connection that is made again when it is lost. One owner.

    Args:
        connect: dials a daemon that runs.
        start: dials, and starts a daemon if none runs; None if this command must not.
        interrupts: looked at while waiting.

    Attributes:
        server: who the daemon is, as of the present connection.
        stopped_on_purpose: the daemon said that it stops; it is not started again against a person's will.
    """

    def __init__(self, connect: Dial, start: Dial | None, interrupts: Interrupts) -> None:
        self._connect = connect
        self._start = start
        self._interrupts = interrupts
        self._connection: Connection | None = None
        self.stopped_on_purpose = False

    @property
    def server(self) -> dict[str, Any]:
        """`initialize`'s `server` of the present connection."""
        return self._connected.server

    @property
    def limits(self) -> dict[str, Any]:
        """`initialize`'s `limits` of the present connection."""
        return self._connected.limits

    @property
    def wire(self) -> Wire:
        """The present connection."""
        return self._connected.wire

    @property
    def _connected(self) -> Connection:
        assert self._connection is not None, "open first"
        return self._connection

    def open(self) -> None:
        """Connect for the first time.

        Raises:
            NotRunning, Unreachable: as the dialling functions.
        """
        self._connection = (self._start or self._connect)()

    def close(self) -> None:
        """End the present connection."""
        if self._connection is not None:
            self._connection.wire.close()

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """Make a call that may be made twice, reconnecting if need be; follow nothing on this link yet.

        Raises:
            CallRefused: the daemon answered with an error.
            Unreachable: the daemon is gone.
            NoAnswer: it does not answer.
            Detached: the person left meanwhile.
        """
        while True:
            try:
                return self.wire.call(method, params)
            except ConnectionLost:
                self.reconnect()

    def reconnect(self) -> None:
        """Replace a lost connection.

        Raises:
            Unreachable: no daemon came back in time.
            Detached: the person left meanwhile.
        """
        self.close()
        lost_at = monotonic()
        back_off_s = _BACK_OFF_S
        while True:
            try:
                self._connection = self._dial(monotonic() - lost_at)
            except (NotRunning, Unreachable) as error:
                if monotonic() - lost_at > RECONNECT_TIMEOUT_S:
                    raise _gone(error) from None
                self._pause(back_off_s)
                back_off_s = min(back_off_s * 2, _BACK_OFF_MAX_S)
            else:
                self.stopped_on_purpose = False
                return

    def _dial(self, away_s: float) -> Connection:
        if self._start is not None and away_s > START_AFTER_S and not self.stopped_on_purpose:
            return self._start()
        return self._connect()

    def _pause(self, back_off_s: float) -> None:
        """Wait, a little differently in each client, so that they do not all come at once."""
        jittered_s = back_off_s * (0.5 + os.urandom(1)[0] / 256)
        if select.select([self._interrupts], [], [], jittered_s)[0]:
            self._interrupts.drain()
        if self._interrupts.leaving:
            raise Detached


def _gone(error: CommandFailed) -> Unreachable:
    return Unreachable(
        f"the connection was lost, and no daemon came back: {error.message}", "connection_lost"
    )
