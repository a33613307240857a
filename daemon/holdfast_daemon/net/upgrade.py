"""Who may open a WebSocket: Host, Origin, path and token of the HTTP request that asks for it. Pure.

A page of any origin can make a browser send this request, and a rebound name can make it look like ours: so
Host must be exactly ours, Origin exactly one that is allowed, and the token is needed all the same.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from holdfast_daemon.net.auth import Principal
from holdfast_protocol.errors import AuthRequired

if (
    TYPE_CHECKING
):  # Settings are checked with `parse_origin` at every start; the library is for WebSockets only.
    from websockets.http11 import Request

SUBPROTOCOL: Final = "holdfast.v1"
TOKEN_PREFIX: Final = "holdfast.token."  # noqa: S105 - the token follows it
"""A page cannot set headers on a WebSocket: its token is one more subprotocol, which is not answered."""


class Refusal(NamedTuple):
    """Why a request is refused, as an HTTP status; a refusal says nothing else."""

    status: int


class Gatekeeper:
    """Decides about upgrades on one port.

    Args:
        host: the address we listen on.
        port: the port.
        origins: further allowed origins, as `https://example.org`.
        principal_of: gives whose a token is, or raises AuthRequired.
    """

    def __init__(
        self, host: str, port: int, origins: Iterable[str], principal_of: Callable[[str | None], Principal]
    ) -> None:
        self._hosts = frozenset({f"{host}:{port}", f"localhost:{port}"})
        own = {("http", name, port) for name in (host, "localhost")}
        self._origins = frozenset(own | {parse_origin(origin) for origin in origins})
        self._principal_of = principal_of

    def decide(self, request: "Request") -> Principal | Refusal:
        """Give who is there, or the status to refuse with."""
        headers = request.headers
        if headers.get_all("Host") not in [[host] for host in self._hosts]:
            return Refusal(421)
        origins = headers.get_all("Origin")
        if origins and (len(origins) > 1 or not self._is_allowed(origins[0])):
            return Refusal(403)
        if request.path != "/":
            return Refusal(404)
        if [value.lower() for value in headers.get_all("Upgrade")] != ["websocket"]:
            return Refusal(426)
        try:
            return self._principal_of(_token(request))
        except AuthRequired:
            return Refusal(401)

    def _is_allowed(self, origin: str) -> bool:
        try:
            return parse_origin(origin) in self._origins
        except ValueError:
            return False


def parse_origin(origin: str) -> tuple[str, str, int]:
    """Give an origin's scheme, host and port.

    Raises:
        ValueError: it is no origin: `null`, a path, a user, no host.
    """
    parts = urlsplit(origin)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or port is None or origin.count("/") != 2 or "@" in parts.netloc:
        raise ValueError(f"no origin: {origin}")
    return parts.scheme, parts.hostname, port


def _token(request: "Request") -> str | None:
    """Find the token: a bearer, or one of the subprotocols; never the path."""
    match request.headers.get_all("Authorization"):
        case [authorization] if authorization[:7].lower() == "bearer ":
            return authorization[7:].strip()
        case _:
            pass
    for value in request.headers.get_all("Sec-WebSocket-Protocol"):
        for name in value.split(","):
            if name.strip().startswith(TOKEN_PREFIX):
                return name.strip().removeprefix(TOKEN_PREFIX)
    return None
