"""The process that fetches one URL for the `fetch` tool. Run by `fetch`, never imported by the daemon.

A name's resolution, a TLS handshake and a page's parsing cannot be interrupted, and what comes from outside
is parsed: a process can be killed, and its sandbox holds. The standard library's client is enough for one
plain request, needs no packages, follows no redirect and reads no proxy from the environment by itself, and
takes a socket that is connected already: to the very address that was checked.

Writes one line of JSON: `{"page": {…}}` or `{"failure": {"kind", "message"}}`.
"""

import http.client
import json
import socket
import ssl
import sys
import urllib.parse
from collections.abc import Callable
from email.message import Message
from typing import Any, Final

from holdfast_daemon.tools.allowed_addresses import NotAllowed, Target, check_listed, check_public, target_of
from holdfast_daemon.tools.page_text import page_text

REDIRECTS_MAX: Final = 5

_HEADERS: Final = {
    "User-Agent": "holdfast",
    "Accept": "text/html,text/plain,application/json;q=0.9,text/*;q=0.8,*/*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TEXTS: Final = ("application/json", "application/xml", "application/javascript", "application/yaml")
_READ_BYTES: Final = 64 * 1024

Resolve = Callable[[str, int], list[str]]
"""Gives the addresses of a host; raises OSError."""

Connect = Callable[[str, int, float], socket.socket]
"""Connects to an address and nothing else; raises OSError."""


class Failure(Exception):
    """It cannot be fetched; the arguments are kind and message."""


def main() -> None:
    """Fetch as the last argument says, and write the result to stdout."""
    try:
        said = {"page": Fetch(json.loads(sys.argv[-1])).run()}
    except Failure as failure:
        said = {"failure": dict(zip(("kind", "message"), failure.args, strict=True))}
    except MemoryError:
        said = {"failure": {"kind": "too_large", "message": "the page needs too much memory"}}
    sys.stdout.write(json.dumps(said) + "\n")


def resolve(host: str, port: int) -> list[str]:
    """Give a host's addresses, the preferred one first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, port: int, timeout_s: float) -> socket.socket:
    """Connect to an address."""
    return socket.create_connection((address, port), timeout_s)


class Fetch:
    """One fetch, redirects included.

    Args:
        asked: `url`, `domains`, `private` (whether addresses that are not public may be used), and the
            limits `body_bytes_max`, `idle_timeout_s`, `text_chars_max`.
        resolving: how names become addresses.
        connecting: how connections are made.
    """

    def __init__(
        self, asked: dict[str, Any], resolving: Resolve = resolve, connecting: Connect = connect
    ) -> None:
        self._asked = asked
        self._resolve = resolving
        self._connect = connecting

    def run(self) -> dict[str, Any]:
        """Fetch; give `url`, `status`, `type`, `text`, `cut`.

        Raises:
            Failure: kinds `forbidden`, `unreachable`, `too_large`, `not_text`, `too_many_redirects`.
        """
        url = self._asked["url"]
        scheme = ""
        try:
            for _ in range(REDIRECTS_MAX + 1):
                target = target_of(url)
                check_listed(target, self._asked["domains"])
                _check_kept_secret(scheme, target.scheme)
                scheme = target.scheme
                answer = self._ask(target)
                location = answer.getheader("Location")
                if answer.status not in _REDIRECTS or not location:
                    return self._page(url, answer)
                answer.close()
                url = urllib.parse.urljoin(url, location)
        except NotAllowed as error:
            raise Failure("forbidden", str(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failure("unreachable", f"{url} cannot be fetched: {_said(error)}") from error
        raise Failure("too_many_redirects", f"more than {REDIRECTS_MAX} redirects")

    def _ask(self, target: Target) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = self._connected(target)
        connection.request("GET", target.path, headers=_HEADERS)
        return connection.getresponse()

    def _connected(self, target: Target) -> socket.socket:
        """Connect to one of the addresses that were checked; no name is resolved again."""
        addresses = self._resolve(target.host, target.port)
        if not self._asked["private"]:
            for address in addresses:  # One that is not public makes them all suspect.
                check_public(address)
        timeout_s = self._asked["idle_timeout_s"]
        failure = OSError("it has no address")
        for address in addresses:
            try:
                plain = self._connect(address, target.port, timeout_s)
            except OSError as error:
                failure = error
                continue
            if target.scheme == "http":
                return plain
            return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
        raise failure

    def _page(self, url: str, answer: http.client.HTTPResponse) -> dict[str, Any]:
        headers = answer.headers
        kind = headers.get_content_type()
        if not _is_text(kind):
            size = headers.get("Content-Length", "unknown")
            raise Failure("not_text", f"{url} is {kind} (bytes: {size}), which has no text to show")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Failure("not_text", f"{url} comes compressed, though that was not asked for")
        text = _decoded(self._body(answer), headers)
        if kind in {"text/html", "application/xhtml+xml"}:
            text = page_text(text)
        chars_max = self._asked["text_chars_max"]
        return {
            "url": url,
            "status": answer.status,
            "type": kind,
            "text": text[:chars_max],
            "cut": max(0, len(text) - chars_max),
        }

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        bytes_max = self._asked["body_bytes_max"]
        data = bytearray()
        while piece := answer.read(_READ_BYTES):
            data += piece
            if len(data) > bytes_max:
                raise Failure("too_large", f"the page is larger than {bytes_max} bytes (body_bytes_max)")
        return bytes(data)


def _check_kept_secret(before: str, scheme: str) -> None:
    if (before, scheme) == ("https", "http"):
        raise NotAllowed("a redirect leads from https to http")


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml"))


def _decoded(data: bytes, headers: Message) -> str:
    try:
        return data.decode(headers.get_content_charset("utf-8"), "replace")
    except LookupError:  # A character set nobody knows.
        return data.decode("utf-8", "replace")


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:500]
