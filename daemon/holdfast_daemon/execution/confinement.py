"""What a tool's process may see and do. A value; `sandbox` makes it so."""

import sys
from pathlib import Path

import msgspec

from holdfast_protocol import version


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """The places and rights of one process and all it starts.

    Attributes:
        writable: directories it may change, absolute; `protected_places` in them stay read-only.
        readable: places it may read though a private directory covers them, absolute.
        hidden: the daemon's own directories, absolute; whatever else is said, they are not there.
        shown: folders of plugins, absolute: read-only, and there even where a hidden directory holds them.
        network: it shares the machine's network; otherwise it has an empty one of its own.
        unix_sockets: it may use sockets of the file system, and through them whatever listens there.
    """

    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    network: bool = False
    unix_sockets: bool = False


def own_places() -> tuple[str, ...]:
    """Give what a process needs to see that runs this interpreter and these packages."""
    daemon, protocol = Path(__file__).parents[2], Path(version.__file__).parents[1]
    return (sys.prefix, sys.base_prefix, str(daemon), str(protocol))
