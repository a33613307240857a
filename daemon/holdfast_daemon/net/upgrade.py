"""Who may open a WebSocket: Host, Origin, path and token of the HTTP request that asks for it. Pure.

A page of any origin can make a browser send this request, and a rebound name can make it look like ours: so
Host must be exactly ours, Origin exactly one that is allowed, and the token is needed all the same.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast_daemon.net.auth import Principal
from holdfast_protocol.errors import AuthRequired

if (
    TYPE_CHECKING
):  # Settings are checked with `check_origin` at every start; the library is for WebSockets only.
    from websockets.http11 import Request

SUBPROTOCOL: Final = "holdfast.v1"
TOKEN_PREFIX: Final = "holdfast.token."  # noqa: S105 - the token follows it
"""A page cannot set headers on a WebSocket: its token is one more subprotocol, which is not answered."""


_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS: Final = frozenset({("http", "80"), ("https", "443")})


class Refusal(NamedTuple):
    """Why a request is refused, as an HTTP status; a refusal says nothing else."""

    status: int


class Gatekeeper:
    """Decides about upgrades on one port.

    Args:
        host: the address we listen on.
        port: the port.
        origins: further allowed origins, as `https://example.org`; see `check_origin`.
        principal_of: gives whose a token is, or raises AuthRequired.
    """

    def __init__(
        self, host: str, port: int, origins: Iterable[str], principal_of: Callable[[str | None], Principal]
    ) -> None:
        self._hosts = frozenset({f"{host}:{port}", f"localhost:{port}"})
        own = {f"http://{name}:{port}" for name in (host, "localhost")}
        self._origins = frozenset(own | {check_origin(origin) for origin in origins})
        self._principal_of = principal_of

    def decide(self, request: "Request") -> Principal | Refusal:
        """Give who is there, or the status to refuse with."""
        headers = request.headers
        if headers.get_all("Host") not in [[host] for host in self._hosts]:
            return Refusal(421)
        origins = headers.get_all("Origin")
        if origins and (len(origins) > 1 or origins[0] not in self._origins):
            return Refusal(403)
        if request.path != "/":
            return Refusal(404)
        if [value.lower() for value in headers.get_all("Upgrade")] != ["websocket"]:
            return Refusal(426)
        try:
            return self._principal_of(_token(request))
        except AuthRequired:
            return Refusal(401)


def check_origin(origin: str) -> str:
    """Give an origin as browsers write it: scheme, host, and the port unless it is the scheme's own.

    Raises:
        ValueError: it is no origin: `null`, a path, capitals, a user, a port that goes without saying.
    """
    found = _ORIGIN.fullmatch(origin)
    if found is None or (found["scheme"], found["port"]) in _DEFAULT_PORTS or int(found["port"] or 0) > 65535:
        raise ValueError(f"no origin as a browser writes it: {origin}")
    return origin


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
