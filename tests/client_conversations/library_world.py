"""Where a conversation's clients are those of a client library, as a program uses it."""

from client_conversations.relays import RelayChannel, RelayProcess
from conversations.world import Wire, World
from fakes.daemons import Daemon
from fakes.home import Home
from fakes.raw_client import Channel

_WIRE = Wire("unix", "lines")


class LibraryWorld(World):
    """A world in which clients talk through a relay.

    Args:
        relay: where the library runs.
        home: where the daemon lives.
        daemon: not started yet.
    """

    relayed = True

    def __init__(self, relay: RelayProcess, home: Home, daemon: Daemon) -> None:
        super().__init__(_WIRE, home, daemon)
        self._relay = relay

    def _channel(self, name: str, *, trusted: bool, slow: bool) -> Channel:
        assert not trusted
        assert not slow
        return RelayChannel(self._relay, name, str(self._home.runtime))
