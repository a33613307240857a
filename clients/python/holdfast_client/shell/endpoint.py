"""To a daemon that runs: find its record, connect, shake hands. Starts nothing, signals nobody.

The record is a hint: the daemon that answers on the socket says who it is. No process id out of a file is
ever acted upon. The token is sent to nobody but the socket's owner, who must be this user.
"""

import json
import os
import pwd
import socket
import stat
import sys
from typing import Any, Final, NamedTuple, cast

from holdfast_client.shell.exit_codes import NotRunning, Unreachable
from holdfast_client.shell.wire import CallRefused, ConnectionLost, NoAnswer, Wire
from holdfast_protocol import discovery, version

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""A daemon that listens answers within milliseconds; on a starved machine it takes its time."""

_RECORD_BYTES_MAX: Final = 64 * 1024
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_PEER_CREDENTIALS_BYTES: Final = 12  # struct ucred: pid, uid, gid.


class Connection(NamedTuple):
    """An initialized connection, and what the daemon said about itself.

    Attributes:
        server: `initialize`'s `server`: name, version, instanceId, pid, startedAt.
        limits: `initialize`'s `limits`.
    """

    wire: Wire
    server: dict[str, Any]
    limits: dict[str, Any]


def locate() -> discovery.Locations:
    """Give this user's directories; all absolute."""
    environ = dict(os.environ)
    moved = environ.get("HOLDFAST_HOME")
    if moved and not moved.startswith("/"):
        environ["HOLDFAST_HOME"] = f"{os.getcwd()}/{moved}"  # noqa: PTH109 - pathlib costs 9 ms
    home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return discovery.locations(environ, home, sys.platform)


def new_client_id() -> str:
    """Give an id for this process; it stays the same over reconnects."""
    return f"shell-{os.urandom(8).hex()}"


def connect(locations: discovery.Locations, client_id: str, answers: tuple[str, ...] = ()) -> Connection:
    """Connect to the daemon of a record and initialize.

    Args:
        locations: where it is.
        client_id: who we are; the same over reconnects.
        answers: kinds of requests that a person at this command can answer.

    Raises:
        NotRunning: there is no record, or nothing answers where it points.
        Unreachable: something answers that is not our daemon, or refuses us.
    """
    record = read_record(locations.record)
    try:
        return _initialize(Wire(_dial(record)), record["token"], client_id, answers)
    except CallRefused as refused:
        renewed = read_record(locations.record)
        if renewed == record:
            raise _explain(refused, locations) from None
    # The daemon was replaced between our reading its record and our connecting.
    try:
        return _initialize(Wire(_dial(renewed)), renewed["token"], client_id, answers)
    except CallRefused as refused:
        raise _explain(refused, locations) from None


def dial(locations: discovery.Locations) -> tuple[socket.socket, str]:
    """Connect to the daemon of a record without a word, and give its token too.

    Raises:
        NotRunning, Unreachable: as `connect`, as far as it can be told without a handshake.
    """
    record = read_record(locations.record)
    return _dial(record), record["token"]


def read_record(path: str) -> dict[str, Any]:
    """Read the discovery record.

    Raises:
        NotRunning: there is none.
        Unreachable: it is not a private file of this user, or no record.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise NotRunning from None
    except OSError as error:
        raise Unreachable(f"cannot read {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not is_private(status) or not stat.S_ISREG(status.st_mode):
            raise Unreachable(f"refusing {path}: it must be a file that only you can read (mode 0600)")
        content = os.read(descriptor, _RECORD_BYTES_MAX)
    finally:
        os.close(descriptor)
    return _parse_record(content, path)


def is_private(status: os.stat_result) -> bool:
    """Tell whether something belongs to this user and is closed to everybody else."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _parse_record(content: bytes, path: str) -> dict[str, Any]:
    try:
        record: Any = json.loads(content)
    except (ValueError, RecursionError):
        raise Unreachable(f"{path} is not a discovery record") from None
    members = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
    if not isinstance(members.get("token"), str):
        raise Unreachable(f"{path} is not a discovery record")
    return members


def _dial(record: dict[str, Any]) -> socket.socket:
    """Connect to where a record points: the unix socket, else loopback."""
    unix: Any = record.get("unix")
    tcp: list[Any] | Any = record.get("tcp")
    try:
        if isinstance(unix, str):
            return _dial_unix(unix)
        match tcp:
            case [str(host), int(port)] if host in _LOOPBACK:
                return socket.create_connection((host, port), HANDSHAKE_TIMEOUT_S)
            case _:
                pass
    except (FileNotFoundError, ConnectionError, TimeoutError):
        raise NotRunning from None
    except OSError as error:
        raise Unreachable(f"cannot connect to the daemon: {error}") from None
    raise Unreachable("the discovery record names no endpoint that can be used")


def _dial_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(HANDSHAKE_TIMEOUT_S)
        sock.connect(path)
        _check_peer(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_peer(sock: socket.socket, path: str) -> None:
    if hasattr(socket, "SO_PEERCRED"):
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS_BYTES)
        if int.from_bytes(credentials[4:8], sys.byteorder) != os.geteuid():
            raise Unreachable(f"refusing {path}: another user listens on it")


def _initialize(wire: Wire, token: str, client_id: str, answers: tuple[str, ...]) -> Connection:
    params = {
        "protocol": version.PROTOCOL,
        "versions": version.PROTOCOL_VERSIONS,
        "client": {"id": client_id, "name": "holdfast", "version": version.VERSION},
        "token": token,
        "capabilities": {"answers": answers} if answers else {},
    }
    try:
        result = wire.call("initialize", params, HANDSHAKE_TIMEOUT_S)
    except ConnectionLost:
        wire.close()
        raise NotRunning from None  # It was about to stop.
    except NoAnswer as error:
        wire.close()
        raise Unreachable(error.message, error.kind) from None
    except CallRefused:
        wire.close()
        raise
    return Connection(wire, result.get("server", {}), result.get("limits", {}))


def _explain(refused: CallRefused, locations: discovery.Locations) -> Unreachable:
    match refused.kind:
        case "auth_required":
            message = f"the daemon does not accept the token of {locations.record}"
        case "unsupported_version":
            ours = ", ".join(map(str, version.PROTOCOL_VERSIONS))
            theirs = ", ".join(map(str, refused.data.get("supported") or ["unknown"]))
            message = f"the daemon speaks protocol {theirs}, this command {ours}"
        case _:
            message = f"the daemon refused the handshake: {refused.message}"
    return Unreachable(message, refused.kind)
