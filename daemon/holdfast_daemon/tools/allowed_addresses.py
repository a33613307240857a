"""Which URLs may be fetched, and to which addresses a connection may go. Standard library alone; pure.

Two checks, both on what is used and not on what was asked: the host and port of every URL on the way against
the list, and every address that a name turned out to have against what is public.
"""

import ipaddress
import re
import urllib.parse
from collections.abc import Sequence
from typing import Final, NamedTuple

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_URL_CHARACTERS_MAX: Final = 8192
_EMBEDDING: Final = (
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # NAT64: the last 32 bits.
    (ipaddress.ip_network("2002::/16"), 80),  # 6to4: the bits after the first 16.
)


class NotAllowed(Exception):
    """The URL or address may not be used; the message says why."""


class Target(NamedTuple):
    """A URL in its parts.

    Attributes:
        path: with the query, as it is sent.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def default_port(self) -> bool:
        """Whether the port is the scheme's own."""
        return self.port == _PORTS[self.scheme]


def target_of(url: str) -> Target:
    """Take a URL apart.

    Raises:
        NotAllowed: it is none of http or https, or is written so that programs read it differently.
    """
    if len(url) > _URL_CHARACTERS_MAX or not url.isprintable() or re.search(r"[\s\\]", url):
        raise NotAllowed("the URL is too long, or has blanks, backslashes or control characters")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAllowed(f"this is no URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise NotAllowed("only http and https are fetched")
    if parts.username is not None or parts.password is not None:
        raise NotAllowed("a URL with a name or password in it is not fetched")
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = urllib.parse.quote(parts.query, safe="/?%:@!$&'()*+,;=-._~[]")
    return Target(
        parts.scheme,
        _host(parts.hostname or ""),
        _PORTS[parts.scheme] if port is None else port,
        f"{path}?{query}" if query else path,
    )


def check_listed(target: Target, domains: Sequence[str]) -> None:
    """Check a URL's host and port against the list.

    Args:
        target: the URL.
        domains: `example.org` is that host, `*.example.org` those below it; with `:PORT`, that port alone.

    Raises:
        NotAllowed: nothing in the list covers it; an empty list covers nothing.
    """
    if not any(_covers(domain.lower(), target) for domain in domains):
        port = "" if target.default_port else f":{target.port}"
        raise NotAllowed(f"{target.host}{port} is not in the list of domains that may be fetched")


def check_public(address: str) -> None:
    """Check an address that a connection is to go to.

    Raises:
        NotAllowed: it is not one of the public network's.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if not all(part.is_global and not part.is_multicast for part in _with_embedded(parsed)):
        raise NotAllowed(f"{address} is not a public address")


def _host(name: str) -> str:
    """Give a host as it is compared and dialled."""
    name = name.removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        name = name.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise NotAllowed("the URL's host is no name") from error
    # A last label of digits is an IPv4 address in one of its old spellings, as 127.1 or 0x7f000001.
    if not _HOST.fullmatch(name) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        raise NotAllowed("the URL's host is no name")
    return name


def _covers(domain: str, target: Target) -> bool:
    match = re.fullmatch(r"(?P<host>\[[0-9a-f:.]+\]|[^:]+)(?::(?P<port>[0-9]+))?", domain)
    if match is None:
        return False
    port = match["port"]
    if target.port != int(port) if port else not target.default_port:
        return False
    host = match["host"].strip("[]")
    if host.startswith("*."):
        return target.host.endswith(host[1:]) and ":" not in target.host
    return target.host == host


def _with_embedded(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Give what has to be public: the IPv4 address that an IPv6 one stands for, too, or instead."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    embedded = [
        ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
        for network, shift in _EMBEDDING
        if address in network
    ]
    return [*embedded] if embedded else [address]
